//! Keeps what is in memory out of core dumps.

use crate::error::{About, Error};

/// From now on this process leaves no core dump, neither in a file nor with a crash handler, and no other process of
/// this user can look into it: private keys are in its memory.
pub fn forbid_core_dumps() -> Result<(), Error> {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the call reads the structure, which lives until it returns.
    check(unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) })
        .about("limit", "the size of core dumps".to_owned())?;
    // A crash handler that the kernel pipes dumps to is not bound by the limit.
    // SAFETY: the call takes numbers only.
    check(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) })
        .about("forbid core dumps of", "this process".to_owned())
}

fn check(result: libc::c_int) -> std::io::Result<()> {
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_zero_afterwards() {
        forbid_core_dumps().unwrap();
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
        let line = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(line.split_whitespace().nth(4), Some("0"), "{line}");
        // SAFETY: the call takes numbers only.
        assert_eq!(unsafe { libc::prctl(libc::PR_GET_DUMPABLE) }, 0);
    }
}
