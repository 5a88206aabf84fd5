//! What this machine allows, looked up at start: each finding names what is missing and the remedy.

use std::fs;
use std::io;

use io_uring::{IoUring, Probe, opcode};

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// As it should be.
    Good,
    /// It works, but not as well as it could.
    Poor,
    /// Odile cannot run.
    Fatal,
}

/// One thing that was looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked up: `io_uring`, `kernel`, `locked memory`, …
    pub subject: &'static str,
    /// How it is.
    pub severity: Severity,
    /// What was found.
    pub detail: String,
    /// What to do about it; empty if nothing.
    pub remedy: String,
}

/// Looks at kernel, io_uring and limits. `pool_bytes`: the buffers that all shards together register.
pub fn probe(pool_bytes: u64) -> Vec<Finding> {
    vec![kernel(), ring(), locked_memory(pool_bytes), open_files()]
}

fn kernel() -> Finding {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|part| part.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let good = version >= KERNEL_MIN;
    Finding {
        subject: "kernel",
        severity: if good { Severity::Good } else { Severity::Fatal },
        detail: format!("Linux {release}"),
        remedy: if good {
            String::new()
        } else {
            format!("install Linux {}.{} or newer", KERNEL_MIN.0, KERNEL_MIN.1)
        },
    }
}

fn ring() -> Finding {
    let finding = |severity, detail: String, remedy: &str| Finding {
        subject: "io_uring",
        severity,
        detail,
        remedy: remedy.to_owned(),
    };
    let ring: IoUring = match IoUring::builder().setup_coop_taskrun().setup_single_issuer().build(8) {
        Ok(ring) => ring,
        Err(error) => return finding(Severity::Fatal, refused(&error), &remedy_for(&error)),
    };
    let mut supported = Probe::new();
    if let Err(error) = ring.submitter().register_probe(&mut supported) {
        return finding(Severity::Fatal, refused(&error), "allow io_uring_register in the seccomp profile");
    }
    let missing: Vec<&str> =
        REQUIRED.iter().filter(|(_, code)| !supported.is_supported(*code)).map(|(name, _)| *name).collect();
    if missing.is_empty() {
        finding(Severity::Good, "available, with all operations needed".to_owned(), "")
    } else {
        let detail = format!("operations missing: {}", missing.join(", "));
        finding(Severity::Fatal, detail, "install a newer kernel")
    }
}

fn refused(error: &io::Error) -> String {
    format!("cannot be used: {error}")
}

fn remedy_for(error: &io::Error) -> String {
    let disabled = fs::read_to_string("/proc/sys/kernel/io_uring_disabled").unwrap_or_default();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let filtered = status.lines().any(|line| line.starts_with("Seccomp:") && line.trim().ends_with('2'));
    match (error.raw_os_error(), disabled.trim()) {
        (Some(libc::EPERM), "2") => {
            "set kernel.io_uring_disabled=0: sysctl -w kernel.io_uring_disabled=0".into()
        }
        (Some(libc::EPERM), "1") => {
            "add this user to the group in kernel.io_uring_group, or set kernel.io_uring_disabled=0".into()
        }
        (Some(libc::EPERM | libc::ENOSYS), _) if filtered => {
            "a seccomp profile forbids io_uring: allow io_uring_setup, io_uring_enter and io_uring_register \
             (containers: a custom seccomp profile; systemd: SystemCallFilter=@io-event io_uring_setup \
             io_uring_enter io_uring_register)"
                .into()
        }
        (Some(libc::ENOSYS), _) => "install a kernel that has io_uring".into(),
        (Some(libc::ENOMEM), _) => "raise the limit on locked memory (LimitMEMLOCK=, ulimit -l)".into(),
        (Some(libc::EINVAL), _) => {
            format!("install Linux {}.{} or newer", KERNEL_MIN.0, KERNEL_MIN.1)
        }
        _ => "see the kernel's log".into(),
    }
}

fn locked_memory(pool_bytes: u64) -> Finding {
    let limit = limit_of(libc::RLIMIT_MEMLOCK);
    // SAFETY: a plain system call without arguments.
    let root = unsafe { libc::geteuid() } == 0;
    let enough = root || limit >= pool_bytes.saturating_add(RING_BYTES);
    let shown = if limit == u64::MAX { "unlimited".to_owned() } else { format!("{} KiB", limit / 1024) };
    Finding {
        subject: "locked memory",
        severity: if enough { Severity::Good } else { Severity::Poor },
        detail: format!("limit {shown}, buffers need {} KiB", pool_bytes / 1024),
        remedy: if enough {
            String::new()
        } else {
            "buffers are used unregistered, which costs a little speed; LimitMEMLOCK= (systemd) or \
             `ulimit -l` raises the limit"
                .to_owned()
        },
    }
}

fn open_files() -> Finding {
    let limit = limit_of(libc::RLIMIT_NOFILE);
    let enough = limit >= OPEN_FILES_WANTED;
    Finding {
        subject: "open files",
        severity: if enough { Severity::Good } else { Severity::Poor },
        detail: format!("limit {limit}"),
        remedy: if enough {
            String::new()
        } else {
            format!(
                "each session needs about three: raise it to {OPEN_FILES_WANTED} (LimitNOFILE=, ulimit -n)"
            )
        },
    }
}

fn limit_of(resource: libc::__rlimit_resource_t) -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is valid for the call.
    let result = unsafe { libc::getrlimit(resource, &raw mut limit) };
    if result == 0 { limit.rlim_cur } else { 0 }
}

/// Cancelling by descriptor and `IORING_SETUP_SINGLE_ISSUER`.
const KERNEL_MIN: (u32, u32) = (6, 0);
const RING_BYTES: u64 = 256 * 1024;
const OPEN_FILES_WANTED: u64 = 1024;

const REQUIRED: &[(&str, u8)] = &[
    ("accept", opcode::Accept::CODE),
    ("connect", opcode::Connect::CODE),
    ("recv", opcode::Recv::CODE),
    ("send", opcode::Send::CODE),
    ("read", opcode::Read::CODE),
    ("read_fixed", opcode::ReadFixed::CODE),
    ("write_fixed", opcode::WriteFixed::CODE),
    ("write", opcode::Write::CODE),
    ("fsync", opcode::Fsync::CODE),
    ("fallocate", opcode::Fallocate::CODE),
    ("openat", opcode::OpenAt::CODE),
    ("renameat", opcode::RenameAt::CODE),
    ("unlinkat", opcode::UnlinkAt::CODE),
    ("async_cancel", opcode::AsyncCancel2::CODE),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finding_that_is_not_good_has_a_remedy() {
        for finding in probe(u64::MAX - RING_BYTES) {
            assert_eq!(finding.severity == Severity::Good, finding.remedy.is_empty(), "{finding:?}");
        }
    }
}
