//! Threads that compute one job after another for all calls that share them.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
    thread::{self, JoinHandle},
};

/// Threads that compute `T` → `R`. They end, and are joined, when this is dropped.
///
/// A job that panics sends the panic to its caller; its thread goes on with the next job.
pub(super) struct Workers<T, R> {
    /// `None` once the threads are told to end.
    jobs: Option<Sender<Job<T, R>>>,
    handles: Vec<JoinHandle<()>>,
}

/// The result of a job, or the panic that ended it.
pub(super) type Answer<R> = thread::Result<R>;

/// Withdraws the waiting jobs of one call when it is dropped.
#[derive(Default)]
pub(super) struct Call(Arc<AtomicBool>);

struct Job<T, R> {
    input: T,
    answer: SyncSender<Answer<R>>,
    is_withdrawn: Arc<AtomicBool>,
}

impl Drop for Call {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl<T: Send + 'static, R: Send + 'static> Workers<T, R> {
    /// Starts `n` threads, each of which calls `surround` with its index and its whole work.
    ///
    /// There are fewer where the system gives no more threads, and `None` where it gives none.
    pub(super) fn start(
        n: usize,
        work: impl Fn(T) -> R + Clone + Send + 'static,
        surround: impl Fn(usize, Box<dyn FnOnce() + Send>) + Clone + Send + 'static,
    ) -> Option<Self> {
        let (jobs, waiting) = channel();
        let waiting = Arc::new(Mutex::new(waiting));
        let start = |index| {
            let (work, surround, waiting) = (work.clone(), surround.clone(), waiting.clone());
            let name = format!("inference worker {index}");
            let all_jobs = Box::new(move || work_through(&work, &waiting));
            thread::Builder::new().name(name).spawn(move || surround(index, all_jobs)).ok()
        };
        let handles: Vec<_> = (0..n).map_while(start).collect();
        (!handles.is_empty()).then_some(Self { jobs: Some(jobs), handles })
    }

    /// Number of threads.
    pub(super) fn len(&self) -> usize {
        self.handles.len()
    }

    /// Appends a job of `call` to the queue; the receiver gets one answer.
    pub(super) fn give(&self, call: &Call, input: T) -> Receiver<Answer<R>> {
        let (answer, answers) = sync_channel(1);
        let job = Job { input, answer, is_withdrawn: call.0.clone() };
        let jobs = self.jobs.as_ref().expect("the threads are told to end by `drop` only");
        jobs.send(job).expect("the threads receive until they are told to end");
        answers
    }
}

impl<T, R> Drop for Workers<T, R> {
    fn drop(&mut self) {
        self.jobs = None;
        for handle in self.handles.drain(..) {
            // A panic of a job went into its answer.
            let _ = handle.join();
        }
    }
}

fn work_through<T, R>(work: &impl Fn(T) -> R, waiting: &Mutex<Receiver<Job<T, R>>>) {
    while let Some(Job { input, answer, is_withdrawn }) = next_job(waiting) {
        if is_withdrawn.load(Ordering::Relaxed) {
            continue;
        }
        let result = catch_unwind(AssertUnwindSafe(|| work(input)));
        // The call may have ended meanwhile.
        let _ = answer.send(result);
    }
}

/// Waits for a job; `None` when there will be no more.
fn next_job<T, R>(waiting: &Mutex<Receiver<Job<T, R>>>) -> Option<Job<T, R>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two threads that divide 100 by their input; `ended` counts the threads that have ended.
    fn workers(ended: Arc<Mutex<usize>>) -> Workers<u32, u32> {
        let surround = move |_, work: Box<dyn FnOnce() + Send>| {
            work();
            *ended.lock().unwrap() += 1;
        };
        Workers::start(2, |divisor| 100 / divisor, surround).unwrap()
    }

    #[test]
    fn a_panic_reaches_the_call_that_gave_the_job_and_no_other() {
        let workers = workers(Arc::default());
        let (first, second) = (Call::default(), Call::default());
        let answers: Vec<_> = [5, 0, 0, 0, 4].map(|n| workers.give(&first, n)).into();
        let other = workers.give(&second, 10).recv().unwrap();
        let answers: Vec<_> = answers.iter().map(|answer| answer.recv().unwrap().ok()).collect();
        assert_eq!(answers, [Some(20), None, None, None, Some(25)]);
        assert_eq!(other.ok(), Some(10));
    }

    #[test]
    fn dropping_the_workers_joins_their_threads() {
        let ended = Arc::default();
        let workers = workers(Arc::clone(&ended));
        let answers: Vec<_> = (1..50).map(|n| workers.give(&Call::default(), n)).collect();
        drop(workers);
        assert_eq!(*ended.lock().unwrap(), 2);
        drop(answers);
    }

    #[test]
    fn the_waiting_jobs_of_a_call_that_has_ended_are_withdrawn() {
        let workers = workers(Arc::default());
        let call = Call::default();
        call.0.store(true, Ordering::Relaxed);
        assert!(workers.give(&call, 5).recv().is_err());
    }
}
