//! Worker threads with one queue of jobs, shared by concurrent calls.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
    thread::{self, JoinHandle},
};

/// Threads that compute `R` from `T`. Dropping the value ends and joins them.
///
/// The panic of a job is its result. The thread continues with the next job.
pub(super) struct Workers<T, R> {
    /// The queue; `None` only during `drop`, where closing the queue ends the threads.
    jobs: Option<Sender<Job<T, R>>>,
    handles: Vec<JoinHandle<()>>,
}

/// The result of a job, or the panic that ended it.
pub(super) type JobResult<R> = thread::Result<R>;

/// The owner of jobs. Dropping it cancels those that have not started.
#[derive(Default)]
pub(super) struct Call(Arc<AtomicBool>);

struct Job<T, R> {
    input: T,
    result: SyncSender<JobResult<R>>,
    is_cancelled: Arc<AtomicBool>,
}

impl Drop for Call {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl<T: Send + 'static, R: Send + 'static> Workers<T, R> {
    /// Starts up to `n` threads that compute jobs with `work`.
    ///
    /// Each thread calls `run_worker` with its index and its body, a closure that `run_worker` must
    /// call, for example inside a thread pool.
    ///
    /// If the system refuses a thread, there are fewer. Returns `None` if it refuses all.
    pub(super) fn start(
        n: usize,
        work: impl Fn(T) -> R + Clone + Send + 'static,
        run_worker: impl Fn(usize, Box<dyn FnOnce() + Send>) + Clone + Send + 'static,
    ) -> Option<Self> {
        let (jobs, queue) = channel();
        let queue = Arc::new(Mutex::new(queue));
        let start = |index| {
            let (work, run_worker, queue) = (work.clone(), run_worker.clone(), queue.clone());
            let name = format!("inference worker {index}");
            let body = Box::new(move || compute_jobs(&work, &queue));
            thread::Builder::new().name(name).spawn(move || run_worker(index, body)).ok()
        };
        let handles: Vec<_> = (0..n).map_while(start).collect();
        (!handles.is_empty()).then_some(Self { jobs: Some(jobs), handles })
    }

    /// Number of threads.
    pub(super) fn len(&self) -> usize {
        self.handles.len()
    }

    /// Appends a job of `call` to the queue. The receiver gets its result, unless the job is
    /// cancelled.
    pub(super) fn submit(&self, call: &Call, input: T) -> Receiver<JobResult<R>> {
        let (result, receiver) = sync_channel(1);
        let job = Job { input, result, is_cancelled: call.0.clone() };
        let jobs = self.jobs.as_ref().expect("only `drop` closes the queue");
        jobs.send(job).expect("the threads receive until the queue is closed");
        receiver
    }
}

impl<T, R> Drop for Workers<T, R> {
    fn drop(&mut self) {
        self.jobs = None;
        for handle in self.handles.drain(..) {
            // The panic of a job is its result, so there is nothing to report.
            let _ = handle.join();
        }
    }
}

/// Computes jobs until the queue is closed.
fn compute_jobs<T, R>(work: &impl Fn(T) -> R, queue: &Mutex<Receiver<Job<T, R>>>) {
    while let Some(Job { input, result, is_cancelled }) = next_job(queue) {
        if is_cancelled.load(Ordering::Relaxed) {
            continue;
        }
        let computed = catch_unwind(AssertUnwindSafe(|| work(input)));
        // Sending fails if the call has ended in the meantime.
        let _ = result.send(computed);
    }
}

/// Waits for a job. Returns `None` when the queue is closed.
fn next_job<T, R>(queue: &Mutex<Receiver<Job<T, R>>>) -> Option<Job<T, R>> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two threads that divide 100 by their input; `ended` counts the threads that have ended.
    fn workers(ended: Arc<Mutex<usize>>) -> Workers<u32, u32> {
        let run_worker = move |_, body: Box<dyn FnOnce() + Send>| {
            body();
            *ended.lock().unwrap() += 1;
        };
        Workers::start(2, |divisor| 100 / divisor, run_worker).unwrap()
    }

    #[test]
    fn a_panic_reaches_the_call_of_its_job_and_no_other() {
        let workers = workers(Arc::default());
        let (first, second) = (Call::default(), Call::default());
        let results: Vec<_> = [5, 0, 0, 0, 4].map(|n| workers.submit(&first, n)).into();
        let other = workers.submit(&second, 10).recv().unwrap();
        let results: Vec<_> = results.iter().map(|result| result.recv().unwrap().ok()).collect();
        assert_eq!(results, [Some(20), None, None, None, Some(25)]);
        assert_eq!(other.ok(), Some(10));
    }

    #[test]
    fn dropping_the_workers_joins_their_threads() {
        let ended = Arc::default();
        let workers = workers(Arc::clone(&ended));
        let results: Vec<_> = (1..50).map(|n| workers.submit(&Call::default(), n)).collect();
        drop(workers);
        assert_eq!(*ended.lock().unwrap(), 2);
        drop(results);
    }

    #[test]
    fn the_queued_jobs_of_a_call_that_has_ended_are_cancelled() {
        let workers = workers(Arc::default());
        let call = Call::default();
        call.0.store(true, Ordering::Relaxed);
        assert!(workers.submit(&call, 5).recv().is_err());
    }
}
