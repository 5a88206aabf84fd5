//! Threads for what would hold up a shard: page faults of mapped files, hashing, deflating.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crossbeam::channel::{self, Sender};
use tokio::sync::oneshot;

use crate::errand::{Company, Run};

/// A fixed set of worker threads. Cloning gives another handle. The threads end when the last handle is gone.
#[derive(Clone)]
pub struct Workers {
    handle: Arc<Handle>,
    threads: usize,
}

enum Job {
    Once(Box<dyn FnOnce() + Send>),
    Errand(Arc<dyn Run>),
}

/// What a worker does next.
enum Next {
    Job(Job),
    /// Errands that are done together.
    Batch(Vec<Arc<dyn Run>>, fn(&[Arc<dyn Run>])),
}

impl Workers {
    /// Starts `threads` threads (at least one).
    pub fn start(threads: usize) -> io::Result<Self> {
        let threads = threads.max(1);
        let handle = Arc::new(Handle(Arc::new(Queue::new(threads))));
        for number in 0..threads {
            let queue = Arc::clone(&handle.0);
            thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
                while let Some(next) = queue.take() {
                    match next {
                        Next::Job(Job::Once(job)) => job(),
                        Next::Job(Job::Errand(errand)) => errand.run(),
                        Next::Batch(errands, run) => run(&errands),
                    }
                }
            })?;
        }
        Ok(Self { handle, threads })
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
                let _ = catch_unwind(AssertUnwindSafe(|| batch.help(&done)));
            }));
            // If all are busy, this thread does it all.
            if !self.handle.0.offer(job) {
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
            if let Ok(value) = catch_unwind(AssertUnwindSafe(work)) {
                let _ = done.send(value);
            }
        }));
        self.handle.0.put(job)?;
        result.await.map_err(|_| io::Error::other(FAILED))
    }

    /// A worker that takes it also takes its share of the company that waits behind it: all of it if it is the only
    /// worker. Nobody waits for company.
    pub(crate) fn send(&self, errand: Arc<dyn Run>) -> Result<(), io::Error> {
        self.handle.0.put(Job::Errand(errand))
    }
}

/// The last one closes the queue.
struct Handle(Arc<Queue>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.jobs().is_closed = true;
        self.0.is_there_more.notify_all();
    }
}

/// Jobs that wait for a worker.
struct Queue {
    jobs: Mutex<Jobs>,
    is_there_more: Condvar,
    threads: usize,
}

#[derive(Default)]
struct Jobs {
    waiting: VecDeque<Job>,
    is_closed: bool,
}

impl Queue {
    fn new(threads: usize) -> Self {
        Self { jobs: Mutex::default(), is_there_more: Condvar::new(), threads }
    }

    fn jobs(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, job: Job) -> Result<(), io::Error> {
        let mut jobs = self.jobs();
        if jobs.waiting.len() >= JOBS_MAX {
            return Err(io::Error::other("the workers are overloaded"));
        }
        jobs.waiting.push_back(job);
        drop(jobs);
        self.is_there_more.notify_one();
        Ok(())
    }

    /// Takes help that is of no use later, unless there is work enough for all: it must not fill the queue.
    fn offer(&self, job: Job) -> bool {
        let mut jobs = self.jobs();
        let is_wanted = jobs.waiting.len() < self.threads;
        if is_wanted {
            jobs.waiting.push_back(job);
            drop(jobs);
            self.is_there_more.notify_one();
        }
        is_wanted
    }

    /// Waits for the next job, and takes what goes with it. None: there are no handles any more.
    fn take(&self) -> Option<Next> {
        let mut jobs = self.jobs();
        loop {
            let Some(job) = jobs.waiting.pop_front() else {
                if jobs.is_closed {
                    return None;
                }
                jobs = self.is_there_more.wait(jobs).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let Some(company) = job.company() else { return Some(Next::Job(job)) };
            let same = jobs.waiting.iter().filter(|job| job.is_of(company)).count();
            // The other workers have cores of their own, which are worth more than company.
            let share = (same + 1).div_ceil(self.threads).min(company.batch_max);
            return match job {
                Job::Errand(errand) if share > 1 => {
                    let mut batch = Vec::with_capacity(share);
                    batch.push(errand);
                    jobs.take_along(company, share, &mut batch);
                    Some(Next::Batch(batch, company.run))
                }
                job => Some(Next::Job(job)),
            };
        }
    }
}

impl Jobs {
    /// Takes the first of a kind out of the others, until there are so many.
    fn take_along(&mut self, company: Company, share: usize, batch: &mut Vec<Arc<dyn Run>>) {
        let mut at = 0;
        while batch.len() < share && at < self.waiting.len() {
            if !self.waiting.get(at).is_some_and(|job| job.is_of(company)) {
                at += 1;
            } else if let Some(Job::Errand(errand)) = self.waiting.remove(at) {
                batch.push(errand);
            }
        }
    }
}

impl Job {
    /// What it can be done together with.
    fn company(&self) -> Option<Company> {
        match self {
            Self::Once(_) => None,
            Self::Errand(errand) => errand.company(),
        }
    }

    fn is_of(&self, company: Company) -> bool {
        self.company().is_some_and(|found| found.kind == company.kind)
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

    /// How many were done together, or a panic.
    fn company(workers: &Workers) -> crate::Errand<bool, usize> {
        crate::Errand::together(
            workers,
            |panics| {
                assert!(!panics, "on purpose");
                1
            },
            4,
            |batch| {
                assert!(batch.iter().all(|panics| !panics), "on purpose");
                vec![batch.len(); batch.len()]
            },
        )
    }

    /// Starts work on all workers that goes on until the sender is dropped.
    fn hold(workers: &Workers) -> Sender<()> {
        let (open, gate) = channel::bounded(0);
        let (begun, has_begun) = channel::unbounded();
        for _ in 0..workers.threads() {
            let (gate, begun) = (gate.clone(), begun.clone());
            let job = Job::Once(Box::new(move || {
                let _ = begun.send(());
                let _ = gate.recv();
            }));
            workers.handle.0.put(job).unwrap();
        }
        for _ in 0..workers.threads() {
            has_begun.recv().unwrap();
        }
        open
    }

    fn block_on<R>(future: impl Future<Output = R>) -> R {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn what_waits_is_done_together_but_no_more_than_may_be() {
        let workers = Workers::start(1).unwrap();
        let open = hold(&workers);
        let mut errands = [(); 6].map(|()| company(&workers));
        let found = block_on(async {
            let [one, two, three, four, five, six] = errands.each_mut().map(|errand| errand.run(false));
            let between = workers.run(|| 0);
            let opening = async { drop(open) };
            let done = tokio::join!(one, two, three, between, four, five, six, opening);
            [done.0, done.1, done.2, done.3, done.4, done.5, done.6].map(Result::unwrap)
        });
        assert_eq!(found, [4, 4, 4, 0, 4, 2, 2]);
        assert_eq!(block_on(errands[0].run(false)).unwrap(), 1, "nobody waits for company");
    }

    #[test]
    fn each_worker_takes_its_share_only() {
        let workers = Workers::start(2).unwrap();
        let open = hold(&workers);
        let mut errands = [(); 4].map(|()| company(&workers));
        let found = block_on(async {
            let [one, two, three, four] = errands.each_mut().map(|errand| errand.run(false));
            let done = tokio::join!(one, two, three, four, async { drop(open) });
            [done.0, done.1, done.2, done.3].map(Result::unwrap)
        });
        // Whoever comes first takes two of four; then two are left for two workers.
        assert_eq!(found, [2, 2, 1, 1]);
    }

    #[test]
    fn a_panic_is_an_error_of_those_that_were_together() {
        let workers = Workers::start(1).unwrap();
        let open = hold(&workers);
        let mut errands = [company(&workers), company(&workers)];
        let (one, other, ()) = block_on(async {
            let [one, other] = errands.each_mut();
            tokio::join!(one.run(false), other.run(true), async { drop(open) })
        });
        assert!(one.is_err() && other.is_err());
        assert_eq!(block_on(errands[0].run(false)).unwrap(), 1, "the worker lives on");
    }

    #[test]
    fn the_threads_end_with_the_last_handle_and_what_was_asked_for_before() {
        let workers = Workers::start(1).unwrap();
        let queue = Arc::downgrade(&workers.handle.0);
        let (done, is_done) = channel::bounded(1);
        let job = Job::Once(Box::new(move || done.send(()).unwrap()));
        workers.clone().handle.0.put(job).unwrap();
        drop(workers);
        is_done.recv().unwrap();
        while queue.strong_count() > 0 {
            thread::yield_now();
        }
    }

    static PANICKED: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
}
