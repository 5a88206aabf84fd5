//! A shard: one thread, pinned to a core, with its own ring and buffers. Shards share nothing.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio_uring::Runtime;

use crate::error::{About, Error};
use crate::faults::{self, Faults};
use crate::pool::{HugePages, Pool};
use crate::worker::Workers;

/// How a shard is set up.
#[derive(Clone)]
pub struct ShardConfig {
    /// Its number, from 0.
    pub index: usize,
    /// The core to pin it to.
    pub cpu: Option<usize>,
    /// Entries of the submission queue.
    pub ring_entries: u32,
    /// A thread of the kernel takes what is submitted, and sleeps when nothing has come for so long; `None`: the
    /// shard hands it over itself, by system calls.
    pub polling: Option<Duration>,
    /// Buffers of the shard.
    pub pool_blocks: usize,
    /// Bytes of each buffer.
    pub block_bytes: usize,
    /// What is asked of the kernel for the buffers' memory.
    pub huge_pages: Option<HugePages>,
    /// The threads it hands long work to.
    pub workers: Workers,
    /// Simulated disk faults, for tests.
    pub faults: Option<Arc<dyn Faults>>,
}

/// What tasks on a shard need to know of it.
#[derive(Clone)]
pub struct Shard {
    /// Its number, from 0.
    pub index: usize,
    /// Its buffers.
    pub pool: Pool,
    /// The threads for long work.
    pub workers: Workers,
}

/// The thread of a running shard.
pub struct ShardThread<T> {
    // `None`: the ring could not be set up, which `start` has told.
    thread: thread::JoinHandle<Option<T>>,
}

thread_local! {
    static CURRENT: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Starts a shard's thread, which runs `main` to its end. Tasks that are left then are dropped; operations in
/// flight are cancelled and waited for.
///
/// The result comes when the ring is set up (or not); `main`'s own result when the thread is joined.
pub fn start<F, Fut, T>(config: ShardConfig, main: F) -> Result<ShardThread<T>, Error>
where
    F: FnOnce(Shard) -> Fut + Send + 'static,
    Fut: Future<Output = T>,
    T: Send + 'static,
{
    let (ready, outcome) = crossbeam::channel::bounded(1);
    let name = format!("shard-{}", config.index);
    let subject = name.clone();
    let thread = thread::Builder::new()
        .name(name)
        .spawn(move || {
            let (runtime, shard) = match set_up(&config) {
                Ok(parts) => parts,
                Err(error) => {
                    let _ = ready.send(Err(error));
                    return None;
                }
            };
            let _ = ready.send(Ok(()));
            Some(runtime.block_on(main(shard)))
        })
        .about("start", &subject)?;
    match outcome.recv() {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(error),
        Err(_) => return Err(Error::new("start", subject, io::Error::other("its thread ended at once"))),
    }
    Ok(ShardThread { thread })
}

impl<T> ShardThread<T> {
    /// Waits until `main` has ended, and gives its result. A panic of the shard goes on here.
    pub fn join(self) -> T {
        match self.thread.join() {
            Ok(Some(value)) => value,
            Ok(None) => unreachable!("a shard that did not start was reported by `start`"),
            Err(payload) => std::panic::resume_unwind(payload),
        }
    }

    /// True if `main` has ended.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }
}

/// The number of the shard that this thread is; `usize::MAX` elsewhere.
pub(crate) fn current() -> usize {
    CURRENT.get()
}

/// The cores that this process may run on, by number.
pub fn available_cpus() -> Vec<usize> {
    // SAFETY: all zeros is an empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is valid for the size given.
    let result = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) };
    if result != 0 {
        return Vec::new();
    }
    let highest = usize::try_from(libc::CPU_SETSIZE).unwrap_or_default();
    (0..highest)
        .filter(|&cpu| {
            // SAFETY: cpu is below CPU_SETSIZE.
            unsafe { libc::CPU_ISSET(cpu, &set) }
        })
        .collect()
}

fn set_up(config: &ShardConfig) -> Result<(Runtime, Shard), Error> {
    let name = || format!("shard {}", config.index);
    CURRENT.set(config.index);
    faults::install(config.faults.clone());
    if let Some(cpu) = config.cpu {
        pin_to(cpu).about("pin to a core", format!("shard {} to core {cpu}", config.index))?;
    }
    let mut ring = tokio_uring::uring_builder();
    ring.setup_single_issuer();
    match config.polling {
        // The kernel refuses both: there is no system call at which completions could be run.
        None => ring.setup_coop_taskrun(),
        Some(idle) => ring.setup_sqpoll(u32::try_from(idle.as_millis()).unwrap_or(u32::MAX)),
    };
    let mut builder = tokio_uring::builder();
    builder.entries(config.ring_entries).uring_builder(&ring);
    let runtime = Runtime::new(&builder).about("set up io_uring for", name())?;
    let pool = Pool::new(config.index, config.pool_blocks, config.block_bytes, config.huge_pages)?;
    runtime.block_on(async {
        // Not an error: the probe tells the operator what the limit on locked memory costs.
        let _ = pool.register();
    });
    let shard = Shard { index: config.index, pool, workers: config.workers.clone() };
    Ok((runtime, shard))
}

fn pin_to(cpu: usize) -> io::Result<()> {
    if cpu >= usize::try_from(libc::CPU_SETSIZE).unwrap_or_default() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "there is no such core"));
    }
    // SAFETY: all zeros is an empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: cpu is below CPU_SETSIZE.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: the pointer is valid for the size given.
    let result = unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
