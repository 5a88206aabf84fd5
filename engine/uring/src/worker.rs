//! Threads for what would hold up a shard: page faults of mapped files, hashing, deflating.

use std::io;
use std::thread;

use crossbeam::channel::{self, Sender};
use tokio::sync::oneshot;

/// A fixed set of worker threads. Cloning gives another handle. The threads end when the last handle is gone.
#[derive(Clone)]
pub struct Workers {
    jobs: Sender<Job>,
}

type Job = Box<dyn FnOnce() + Send>;

impl Workers {
    /// Starts `threads` threads (at least one).
    pub fn start(threads: usize) -> io::Result<Self> {
        let (jobs, queue) = channel::bounded::<Job>(JOBS_MAX);
        for number in 0..threads.max(1) {
            let queue = queue.clone();
            thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
                for job in queue {
                    job();
                }
            })?;
        }
        Ok(Self { jobs })
    }

    /// Runs `work` on a worker and wakes this task when it is done. If the future is dropped, the work still
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
        let job: Job = Box::new(move || {
            // A panic ends this job, not the worker: the sender is dropped, which the waiting task sees.
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            if let Ok(value) = outcome {
                let _ = done.send(value);
            }
        });
        self.jobs.try_send(job).map_err(|_| io::Error::other("the workers are overloaded"))?;
        result.await.map_err(|_| io::Error::other("a worker failed; its message is in the log"))
    }
}

/// Jobs that may wait. A transfer has at most one, so this is beyond what a pool of buffers allows.
const JOBS_MAX: usize = 4096;
