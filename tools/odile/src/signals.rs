//! Signals that end the program.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::exit::Failure;

/// True once somebody wants the program to end. The second signal ends it at once.
#[derive(Clone)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Catches SIGINT, SIGTERM, and SIGHUP (the terminal was closed) from now on; SIGHUP not under `nohup`.
    pub fn catch() -> Result<Self, Failure> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // First what ends the program at the second signal, then what notes the first one.
            signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&flag))
                .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&flag)))
                .map_err(cannot)?;
        }
        if !is_ignored(SIGHUP) {
            // It may come twice, from the system and from the shell.
            signal_hook::flag::register(SIGHUP, Arc::clone(&flag)).map_err(cannot)?;
        }
        Ok(Self(flag))
    }

    pub fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// An error if a signal came.
    pub fn check(&self) -> Result<(), Failure> {
        if self.came() { Err(Failure::refused("interrupted")) } else { Ok(()) }
    }
}

/// Whether whoever has started us wants a signal to be ignored.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    mask >> (signal - 1) & 1 == 1
}

/// Sends the name of each signal that comes.
pub fn forward(to: Sender<String>) -> Result<(), Failure> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(cannot)?;
    thread::spawn(move || {
        for signal in signals.forever() {
            let name = if signal == SIGINT { "SIGINT" } else { "SIGTERM" };
            if to.send(name.to_owned()).is_err() {
                return;
            }
        }
    });
    Ok(())
}

fn cannot(error: std::io::Error) -> Failure {
    Failure::usage(format!("cannot catch signals: {error}"))
}
