//! What can be seen of a process and of a file from outside.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::failed;
use crate::crash::Failure;

/// What a process has used so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// Processor time, of user and system.
    pub seconds: f64,
    /// The most memory that was resident, the mapped window of the source (8 MiB) included.
    pub memory_bytes_max: u64,
}

/// What a process has used; it must run.
pub fn usage(process: u32) -> Result<Usage, Failure> {
    let read = |name: &str| {
        let path = format!("/proc/{process}/{name}");
        fs::read_to_string(&path).map_err(|error| failed(&path, error))
    };
    let (stat, status) = (read("stat")?, read("status")?);
    // Behind the name, which may hold anything: the 14th and 15th field of all (proc(5)).
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks: u64 =
        fields.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    let kib: u64 = resident.and_then(|kib| kib.parse().ok()).unwrap_or_default();
    Ok(Usage { seconds: Duration::from_millis(ticks * TICK_MS).as_secs_f64(), memory_bytes_max: kib << 10 })
}

/// Octets of a file that are in the page cache, whole pages.
pub fn resident_bytes(file: &Path) -> Result<u64, Failure> {
    let output =
        Command::new("fincore").args(["--bytes", "--noheadings", "--output", "RES"]).arg(file).output();
    let output = output.map_err(|error| failed("fincore", error))?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().map_err(|_| failed("fincore", String::from_utf8_lossy(&output.stderr).trim()))
}

/// Drops the pages of a file from the page cache, from this MiB on. Those that somebody has mapped stay.
pub fn drop_cache(file: &Path, from_mib: u64) -> Result<(), Failure> {
    let mut argument = std::ffi::OsString::from("if=");
    argument.push(file);
    let output = Command::new("dd")
        .arg(argument)
        .args(["iflag=nocache", "of=/dev/null", "bs=1M", "count=0", &format!("skip={from_mib}")])
        .output()
        .map_err(|error| failed("dd", error))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(failed("dd", String::from_utf8_lossy(&output.stderr).trim()))
    }
}

/// USER_HZ is 100 on all machines that Odile runs on.
const TICK_MS: u64 = 10;
