//! SIGBUS: what the kernel sends when a mapped file was truncated, or its disk fails, while we read it.
//!
//! A guarded section names the mapping that it reads. If the signal comes for an address in it, the handler puts
//! zeroed memory in place of the missing pages, notes that, and lets the read go on; the section then ends with
//! an error. For any other address the process ends as it always did.

use std::cell::Cell;
use std::io;
use std::ops::Range;
use std::sync::OnceLock;

thread_local! {
    // Constant initial values without destructors: plain thread-local memory, which a signal handler may use.
    static GUARDED: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
    static TRIPPED: Cell<bool> = const { Cell::new(false) };
}

/// The memory under a guarded section could not be read.
pub(crate) struct Unreadable;

/// Runs `section`, which may read `mapping`.
pub(crate) fn guarded<R>(mapping: Range<usize>, section: impl FnOnce() -> R) -> Result<R, Unreadable> {
    install();
    let _guard = Guard::over(mapping);
    let value = section();
    if TRIPPED.get() { Err(Unreadable) } else { Ok(value) }
}

struct Guard;

impl Guard {
    fn over(mapping: Range<usize>) -> Self {
        TRIPPED.set(false);
        GUARDED.set((mapping.start, mapping.end));
        Self
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        GUARDED.set((0, 0));
    }
}

fn install() {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        // SAFETY: all zeros is a valid value of this plain C structure.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = on_sigbus as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        // SAFETY: the handler below uses only what is allowed in a signal handler.
        let result = unsafe { libc::sigaction(libc::SIGBUS, &raw const action, std::ptr::null_mut()) };
        // It can only fail for an invalid signal number.
        assert_eq!(result, 0, "sigaction: {}", io::Error::last_os_error());
    });
}

extern "C" fn on_sigbus(signal: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel passes valid information to a SA_SIGINFO handler.
    let info = unsafe { &*info };
    // SAFETY: si_addr is set for SIGBUS.
    let address = unsafe { info.si_addr() } as usize;
    let (start, end) = GUARDED.get();
    if (start..end).contains(&address) {
        let page = address & !(PAGE_BYTES - 1);
        // SAFETY: the pages from the missing one to the end of the mapping belong to the guarded section, which
        // reads them only; mmap is a plain system call.
        let zeros = unsafe {
            libc::mmap(
                page as *mut libc::c_void,
                end - page,
                libc::PROT_READ,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
                -1,
                0,
            )
        };
        if zeros != libc::MAP_FAILED {
            TRIPPED.set(true);
            return;
        }
    }
    // Not ours: the default action ends the process when the read is tried again.
    // SAFETY: resetting a signal's action is allowed in a handler.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

const PAGE_BYTES: usize = 4096;
