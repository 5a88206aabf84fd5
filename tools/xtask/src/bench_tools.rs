//! `cargo xtask bench-tools`: installs what the benchmark `peers` measures Odile beside.
//!
//! Some of it is packaged as a service of the system. Nothing of that may run afterwards: the benchmark starts instances
//! of its own, and a machine that measures, or builds, shall not begin to listen.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;

use crate::packages::{WANTED_FOR_BENCHMARKS, is_there, may_install, provide};
use crate::works;

/// Installs what is missing; an error names what still is.
pub fn install() -> Result<(), String> {
    let missing: Vec<&Service> = SERVICES.iter().filter(|service| !is_there(service.process)).collect();
    let before = running();
    let still = {
        let _guard = if may_install() { NoServices::begin()? } else { None };
        provide(WANTED_FOR_BENCHMARKS)
    };
    for service in missing {
        service.keep_quiet(&before)?;
    }
    if still.is_empty() {
        return Ok(());
    }
    Err(format!("not everything is there; `peers` leaves out what is not:\n  {}", still.join("\n  ")))
}

/// A package that starts something.
struct Service {
    /// The name of its process, and of its program.
    process: &'static str,
    /// The name that init knows.
    name: &'static str,
}

const SERVICES: [Service; 4] = [
    Service { process: "nginx", name: "nginx" },
    Service { process: "sshd", name: "ssh" },
    Service { process: "rsync", name: "rsync" },
    Service { process: "iperf3", name: "iperf3" },
];

impl Service {
    /// Ends what was started by an installation just now, and lets it not be started at the next boot.
    fn keep_quiet(&self, before: &BTreeSet<String>) -> Result<(), String> {
        if !is_there(self.process) {
            return Ok(());
        }
        if Path::new(SYSTEMD).exists() {
            // Fails for what has no unit, which is what is wanted.
            let _ = works(Command::new("systemctl").args(["disable", "--now", self.name]));
        }
        if before.contains(self.process) || !running().contains(self.process) {
            return Ok(());
        }
        println!("stopping the service {}, which its installation has started", self.name);
        let _ = works(Command::new("service").args([self.name, "stop"]));
        if running().contains(self.process) {
            return Err(format!("{} was started when it was installed, and cannot be stopped", self.process));
        }
        Ok(())
    }
}

/// Tells packages that no service may be started, as long as it lives (policy-rc.d of Debian).
struct NoServices;

impl NoServices {
    /// None if there is such a rule already: it is somebody else's.
    fn begin() -> Result<Option<Self>, String> {
        let made = OpenOptions::new().write(true).create_new(true).mode(0o755).open(POLICY);
        match made {
            Ok(mut file) => {
                let guard = Self;
                file.write_all(b"#!/bin/sh\nexit 101\n").map_err(|error| format!("{POLICY}: {error}"))?;
                Ok(Some(guard))
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(None),
            Err(error) => Err(format!("cannot write {POLICY}: {error}")),
        }
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(POLICY) {
            eprintln!("xtask: remove {POLICY} by hand: {error}");
        }
    }
}

/// Names of the processes that run now.
fn running() -> BTreeSet<String> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| fs::read_to_string(entry.path().join("comm")).ok())
        .map(|name| name.trim_end().to_owned())
        .collect()
}

const POLICY: &str = "/usr/sbin/policy-rc.d";
/// There if systemd is what runs services (`sd_booted(3)`).
const SYSTEMD: &str = "/run/systemd/system";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sees_what_runs() {
        let own = fs::read_to_string("/proc/self/comm").unwrap();
        assert!(running().contains(own.trim_end()));
        assert!(!running().contains("no-such-process"));
    }
}
