//! Work that a task sends to workers again and again, a block at a time: the place where it waits and where its result is
//! laid down is made once, so that nothing is allocated for a block.
//!
//! ```text
//! task ──input──▶ slot ◀── a handle to it in the queue of the workers
//! task ◀─output── slot ◀── worker
//! ```

use std::any::{Any, TypeId};
use std::future::poll_fn;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use crate::worker::{FAILED, Workers};

/// Work on an `I` that gives an `O`, done on workers, once at a time.
pub struct Errand<I, O> {
    slot: Arc<Slot<I, O>>,
    workers: Workers,
}

struct Slot<I, O> {
    work: fn(I) -> O,
    together: Option<Together<I, O>>,
    state: Mutex<(State<I, O>, Option<Waker>)>,
}

/// How several are done at once: so many at most.
struct Together<I, O> {
    work: fn(Vec<I>) -> Vec<O>,
    batch_max: usize,
}

impl<I, O> Clone for Together<I, O> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<I, O> Copy for Together<I, O> {}

enum State<I, O> {
    Idle,
    Waiting(I),
    /// A worker is at it.
    Begun,
    Done(O),
    /// The work panicked.
    Failed,
}

/// What the queue of the workers has of it.
pub(crate) trait Run: Send + Sync {
    fn run(&self);

    /// What it can be done together with.
    fn company(&self) -> Option<Company>;

    fn as_any(&self) -> &dyn Any;
}

/// Errands that can be done together.
#[derive(Clone, Copy)]
pub(crate) struct Company {
    pub kind: TypeId,
    /// So many at a time at most.
    pub batch_max: usize,
    pub run: fn(&[Arc<dyn Run>]),
}

impl<I: Send + 'static, O: Send + 'static> Errand<I, O> {
    /// `work` is done by these workers.
    pub fn new(workers: &Workers, work: fn(I) -> O) -> Self {
        Self { slot: Arc::new(Slot::new(work, None)), workers: workers.clone() }
    }

    /// The same, for work of which one thread does several faster at a time, `batch_max` at most, than one after the
    /// other: a worker does it with others of these types that wait, if no other worker is free for them. `together`
    /// gives what came of each, in order. A panic ends all that was done together.
    pub fn together(
        workers: &Workers,
        work: fn(I) -> O,
        batch_max: usize,
        together: fn(Vec<I>) -> Vec<O>,
    ) -> Self {
        let together = Some(Together { work: together, batch_max });
        Self { slot: Arc::new(Slot::new(work, together)), workers: workers.clone() }
    }

    /// Does the work on a worker and wakes this task when it is done. If the future is dropped, the work still runs to
    /// its end, and what it gives is dropped.
    ///
    /// # Errors
    ///
    /// If the work panicked, or more jobs are waiting than all transfers of a station can have.
    pub async fn run(&mut self, input: I) -> Result<O, io::Error> {
        if !matches!(self.slot.lock().0, State::Idle) {
            // What was given up may still be under way.
            self.slot = Arc::new(Slot::new(self.slot.work, self.slot.together));
        }
        self.slot.lock().0 = State::Waiting(input);
        if let Err(error) = self.workers.send(Arc::clone(&self.slot) as Arc<dyn Run>) {
            self.slot.lock().0 = State::Idle;
            return Err(error);
        }
        poll_fn(|context| {
            let mut held = self.slot.lock();
            let (state, waker) = &mut *held;
            match std::mem::replace(state, State::Idle) {
                State::Done(output) => Poll::Ready(Ok(output)),
                State::Failed | State::Idle => Poll::Ready(Err(io::Error::other(FAILED))),
                before @ (State::Waiting(_) | State::Begun) => {
                    *state = before;
                    match waker {
                        Some(waker) => waker.clone_from(context.waker()),
                        None => *waker = Some(context.waker().clone()),
                    }
                    Poll::Pending
                }
            }
        })
        .await
    }
}

impl<I, O> Slot<I, O> {
    fn new(work: fn(I) -> O, together: Option<Together<I, O>>) -> Self {
        Self { work, together, state: Mutex::new((State::Idle, None)) }
    }

    fn lock(&self) -> MutexGuard<'_, (State<I, O>, Option<Waker>)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<I, O> Slot<I, O> {
    fn begin(&self) -> Option<I> {
        let mut held = self.lock();
        if !matches!(held.0, State::Waiting(_)) {
            return None;
        }
        match std::mem::replace(&mut held.0, State::Begun) {
            State::Waiting(input) => Some(input),
            _ => None,
        }
    }

    fn end(&self, outcome: State<I, O>) {
        let waker = {
            let mut held = self.lock();
            held.0 = outcome;
            held.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<I: Send + 'static, O: Send + 'static> Run for Slot<I, O> {
    fn run(&self) {
        let Some(input) = self.begin() else { return };
        // A panic ends this job, not the worker.
        let outcome = catch_unwind(AssertUnwindSafe(|| (self.work)(input)));
        self.end(outcome.map_or(State::Failed, State::Done));
    }

    fn company(&self) -> Option<Company> {
        let Together { batch_max, .. } = self.together?;
        Some(Company { kind: TypeId::of::<Self>(), batch_max, run: run_batch::<I, O> })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn run_batch<I: Send + 'static, O: Send + 'static>(errands: &[Arc<dyn Run>]) {
    let slots = errands.iter().filter_map(|errand| errand.as_any().downcast_ref::<Slot<I, O>>());
    let mut slots = slots.peekable();
    let Some(together) = slots.peek().and_then(|slot| slot.together) else { return };
    let (slots, batch): (Vec<_>, Vec<_>) = slots.filter_map(|slot| Some((slot, slot.begin()?))).unzip();
    // A panic ends this batch, not the worker.
    let outcomes = catch_unwind(AssertUnwindSafe(|| (together.work)(batch))).unwrap_or_default();
    let outcomes = outcomes.into_iter().map(State::Done).chain(std::iter::repeat_with(|| State::Failed));
    slots.into_iter().zip(outcomes).for_each(|(slot, outcome)| slot.end(outcome));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_a_thread<T>(task: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(task)
    }

    #[test]
    fn what_is_sent_comes_back_again_and_again() {
        let workers = Workers::start(2).unwrap();
        let mut errand = Errand::new(&workers, |(number, step): (u64, u64)| number + step);
        let sum = on_a_thread(async {
            let mut sum = 0;
            for step in 0..1000 {
                sum = errand.run((sum, step)).await.unwrap();
            }
            sum
        });
        assert_eq!(sum, 499_500);
    }

    #[test]
    fn a_panic_is_an_error_and_the_next_one_is_done() {
        let workers = Workers::start(1).unwrap();
        let mut errand =
            Errand::new(&workers, |divisor: u32| 10_u32.checked_div(divisor).expect("on purpose"));
        on_a_thread(async {
            assert!(errand.run(0).await.is_err());
            assert_eq!(errand.run(5).await.unwrap(), 2);
        });
    }

    #[test]
    fn what_was_given_up_does_not_come_back_as_the_result_of_another() {
        let workers = Workers::start(1).unwrap();
        let (enter, entered) = crossbeam::channel::bounded::<()>(0);
        let mut errand =
            Errand::new(&workers, |(number, wait): (u32, Option<crossbeam::channel::Receiver<()>>)| {
                wait.map(|wait| wait.recv());
                number
            });
        on_a_thread(async {
            {
                let given_up = errand.run((1, Some(entered)));
                tokio::select! { biased; _ = given_up => unreachable!(), () = std::future::ready(()) => {} }
            }
            drop(enter);
            assert_eq!(errand.run((2, None)).await.unwrap(), 2);
        });
    }
}
