//! Tasks on threads that are deep enough for guests.

use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context as _, anyhow};

/// Something to do on one of the threads.
pub(super) type Task<'a, T> = Box<dyn FnOnce() -> anyhow::Result<T> + Send + 'a>;

/// Runs the tasks on so many threads with so much stack, and gives the results in the order of the
/// tasks. The last tasks begin first: they are the longest. The first error is returned.
pub(super) fn run<T: Send>(
    threads: usize,
    stack: usize,
    tasks: Vec<Task<'_, T>>,
) -> anyhow::Result<Vec<T>> {
    let count = tasks.len();
    let left: Mutex<Vec<_>> = Mutex::new(tasks.into_iter().enumerate().collect());
    let done: Mutex<Vec<Option<T>>> = Mutex::new((0..count).map(|_| None).collect());
    let work = || -> anyhow::Result<()> {
        loop {
            let next = left.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some((index, task)) = next else { return Ok(()) };
            let result = task()?;
            done.lock().unwrap_or_else(PoisonError::into_inner)[index] = Some(result);
        }
    };
    thread::scope(|scope| {
        let start = |_| {
            let builder = thread::Builder::new().name("test".to_owned()).stack_size(stack);
            builder.spawn_scoped(scope, work).context("failed to start a thread for tests")
        };
        let threads = (0..threads.clamp(1, count.max(1))).map(start);
        let threads = threads.collect::<anyhow::Result<Vec<_>>>()?;
        let join = |thread: thread::ScopedJoinHandle<'_, anyhow::Result<()>>| {
            thread.join().unwrap_or_else(|_| Err(anyhow!("the host panicked during a test")))
        };
        threads.into_iter().map(join).collect::<anyhow::Result<Vec<()>>>()
    })?;
    let done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    // Without an error every task has left its result.
    Ok(done.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_the_order_of_their_tasks() {
        let task = |n: usize| -> Task<'_, usize> { Box::new(move || Ok(n)) };
        let results = run(3, 64 << 10, (0..20).map(task).collect());
        assert_eq!(results.ok(), Some((0..20).collect()));
        assert_eq!(run(3, 64 << 10, Vec::<Task<'_, usize>>::new()).ok(), Some(vec![]));
    }

    #[test]
    fn an_error_and_a_panic_end_it() {
        let fails: Task<'_, ()> = Box::new(|| anyhow::bail!("no instance"));
        let result = run(1, 64 << 10, vec![fails]).map_err(|error| error.to_string());
        assert_eq!(result, Err("no instance".to_owned()));
        let panics: Task<'_, ()> = Box::new(|| panic!("as the test says"));
        assert!(run(2, 64 << 10, vec![panics]).is_err());
    }
}
