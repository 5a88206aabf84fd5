//! Threads for what would hold up a shard: page faults of mapped files, hashing, deflating.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crossbeam::channel::{self, Sender};
use tokio::sync::oneshot;

use crate::errand::Run;

/// A fixed set of worker threads. Cloning gives another handle. The threads end when the last handle is gone.
#[derive(Clone)]
pub struct Workers {
    jobs: Sender<Job>,
    threads: usize,
}

enum Job {
    Once(Box<dyn FnOnce() + Send>),
    Errand(Arc<dyn Run>),
}

impl Workers {
    /// Starts `threads` threads (at least one).
    pub fn start(threads: usize) -> io::Result<Self> {
        let (jobs, queue) = channel::bounded::<Job>(JOBS_MAX);
        for number in 0..threads.max(1) {
            let queue = queue.clone();
            thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
                for job in queue {
                    match job {
                        Job::Once(job) => job(),
                        Job::Errand(errand) => errand.run(),
                    }
                }
            })?;
        }
        Ok(Self { jobs, threads: threads.max(1) })
    }

    /// How many threads there are.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Does `work` with each item, on this thread and on workers that are free, and gives what came of them in order.
    ///
    /// For threads that may wait, workers among them: it never waits for something that nobody has begun.
    ///
    /// # Errors
    ///
    /// If the work panicked on a worker.
    pub fn map<T: Send + 'static, R: Send + 'static>(
        &self,
        items: Vec<T>,
        work: impl Fn(T) -> R + Send + Sync + 'static,
    ) -> Result<Vec<R>, io::Error> {
        let count = items.len();
        if count.min(self.threads) <= 1 {
            return Ok(items.into_iter().map(work).collect());
        }
        let items = items.into_iter().map(|item| Mutex::new(Some(item))).collect();
        let batch = Arc::new(Batch { items, next: AtomicUsize::new(0), work });
        // Unbounded, it would take room for dozens at once.
        let (done, results) = channel::bounded(count);
        for _ in 1..count.min(self.threads) {
            let (batch, done) = (Arc::clone(&batch), done.clone());
            let job = Job::Once(Box::new(move || {
                // A panic ends this batch, not the worker: the sender is dropped, which the caller sees.
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| batch.help(&done)));
            }));
            // A full queue is no trouble: this thread does it all.
            if self.jobs.try_send(job).is_err() {
                break;
            }
        }
        batch.help(&done);
        drop(done);
        let mut found: Vec<Option<R>> = (0..count).map(|_| None).collect();
        for _ in 0..count {
            let (index, result) = results.recv().map_err(|_| io::Error::other(FAILED))?;
            if let Some(slot) = found.get_mut(index) {
                *slot = Some(result);
            }
        }
        Ok(found.into_iter().flatten().collect())
    }

    /// Runs `work` on a worker and wakes this task when it is done. What is done for each block is an
    /// [`Errand`](crate::Errand) instead: this allocates. If the future is dropped, the work still
    /// runs to its end, and what it gives is dropped there.
    ///
    /// # Errors
    ///
    /// If the work panicked, or more jobs are waiting than all transfers of a station can have.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, io::Error> {
        let (done, result) = oneshot::channel();
        let job = Job::Once(Box::new(move || {
            // A panic ends this job, not the worker: the sender is dropped, which the waiting task sees.
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            if let Ok(value) = outcome {
                let _ = done.send(value);
            }
        }));
        self.begin(job)?;
        result.await.map_err(|_| io::Error::other(FAILED))
    }

    pub(crate) fn send(&self, errand: Arc<dyn Run>) -> Result<(), io::Error> {
        self.begin(Job::Errand(errand))
    }

    fn begin(&self, job: Job) -> Result<(), io::Error> {
        self.jobs.try_send(job).map_err(|_| io::Error::other("the workers are overloaded"))
    }
}

/// Items that several threads take in turn.
struct Batch<T, W> {
    items: Vec<Mutex<Option<T>>>,
    next: AtomicUsize,
    work: W,
}

impl<T, W> Batch<T, W> {
    /// Works until nothing is left to be begun.
    fn help<R>(&self, done: &Sender<(usize, R)>)
    where
        W: Fn(T) -> R,
    {
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(slot) = self.items.get(index) else { return };
            let item = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(item) = item {
                // Nobody listens any more if the batch has failed.
                let _ = done.send((index, (self.work)(item)));
            }
        }
    }
}

pub(crate) const FAILED: &str = "a worker failed; its message is in the log";

/// Jobs that may wait. A transfer has at most one, so this is beyond what a pool of buffers allows.
const JOBS_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_keeps_the_order_whoever_does_the_work() {
        for threads in [1, 2, 5] {
            let workers = Workers::start(threads).unwrap();
            let squares = workers.map((0..100_u64).collect(), |number| number * number).unwrap();
            assert_eq!(squares, (0..100).map(|number| number * number).collect::<Vec<_>>());
            assert!(workers.map(Vec::<u8>::new(), |_| ()).unwrap().is_empty());
        }
    }

    #[test]
    fn a_map_on_the_only_worker_does_not_wait_for_itself() {
        let workers = Workers::start(1).unwrap();
        let rt = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let inner = workers.clone();
        let sum = rt.block_on(workers.run(move || inner.map(vec![1, 2, 3], |number| number).unwrap()));
        assert_eq!(sum.unwrap(), [1, 2, 3]);
    }

    #[test]
    fn a_panic_on_a_worker_is_an_error_of_the_map() {
        let workers = Workers::start(2).unwrap();
        let caller = thread::current().id();
        let outcome = workers.map(vec![(); 8], move |()| {
            while thread::current().id() == caller && !PANICKED.load(Ordering::Acquire) {
                thread::yield_now();
            }
            if thread::current().id() != caller {
                PANICKED.store(true, Ordering::Release);
                assert!(!PANICKED.load(Ordering::Acquire), "on purpose");
            }
        });
        assert!(outcome.is_err());
        // The worker lives on.
        assert_eq!(workers.map(vec![1, 2], |number| number).unwrap(), [1, 2]);
    }

    static PANICKED: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
}
