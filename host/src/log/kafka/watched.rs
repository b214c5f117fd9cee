//! Calls into librdkafka that may never return, made where that does no harm.
//!
//! `rd_kafka_send_offsets_to_transaction` does not keep its timeout when the group's coordinator
//! is gone (librdkafka #5456, #5511), and closing a consumer has none.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// A client whose blocking calls are made by a thread of their own. If one hangs, the thread
/// and the client are left behind, and go when the call returns after all.
pub(super) struct Watched<T> {
    client: Arc<T>,
    calls: Option<Sender<Call<T>>>,
    thread: Option<JoinHandle<()>>,
}

type Call<T> = Box<dyn FnOnce(&T) + Send>;

impl<T: Send + Sync + 'static> Watched<T> {
    /// Starts the thread, under this name.
    pub(super) fn new(name: &str, client: T) -> std::io::Result<Self> {
        let client = Arc::new(client);
        let (calls, queue) = channel::<Call<T>>();
        let its = Arc::clone(&client);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            for call in queue {
                call(&its);
            }
        })?;
        Ok(Self { client, calls: Some(calls), thread: Some(thread) })
    }

    /// The client, for calls that do not block.
    pub(super) fn client(&self) -> &T {
        &self.client
    }

    /// Makes a call, and waits so long for it. `None`: it hangs, as will every later call.
    pub(super) fn call<R: Send + 'static>(
        &mut self,
        limit: Duration,
        call: impl FnOnce(&T) -> R + Send + 'static,
    ) -> Option<R> {
        let (done, result) = sync_channel(1);
        let call: Call<T> = Box::new(move |client| {
            // Nobody listens any more when the limit has passed.
            let _ = done.send(call(client));
        });
        self.calls.as_ref()?.send(call).ok()?;
        let result = result.recv_timeout(limit).ok();
        if result.is_none() {
            // Not waited for in `drop`.
            self.thread = None;
        }
        result
    }
}

impl<T> Drop for Watched<T> {
    fn drop(&mut self) {
        self.calls = None;
        if let Some(thread) = self.thread.take() {
            // Its share of the client goes before ours does. A panic has been reported.
            let _ = thread.join();
        }
    }
}

/// Drops a value on a thread of its own and waits so long for it. Whether it was done in time;
/// if not, the thread is left behind.
pub(super) fn drop_within<T: Send + 'static>(limit: Duration, value: T) -> bool {
    let (done, result) = sync_channel(1);
    let spawned = std::thread::Builder::new().name("kafka-close".to_owned()).spawn(move || {
        drop(value);
        let _ = done.send(());
    });
    spawned.is_ok() && result.recv_timeout(limit).is_ok()
}

/// A client that is dropped on a thread of its own, which nobody waits for: closing a consumer
/// takes up to 100 ms, also when it was in no group.
pub(super) struct Aside<T: Send + 'static>(Option<T>);

impl<T: Send + 'static> Aside<T> {
    /// Takes the client.
    pub(super) fn new(client: T) -> Self {
        Self(Some(client))
    }
}

impl<T: Send + 'static> std::ops::Deref for Aside<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // It is there until it is dropped.
        self.0.as_ref().unwrap_or_else(|| unreachable!("a dropped client is used"))
    }
}

impl<T: Send + 'static> Drop for Aside<T> {
    fn drop(&mut self) {
        if let Some(client) = self.0.take() {
            drop_within(Duration::ZERO, client);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Instant;

    use super::*;

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(20);

    /// A client that notes its end, and a call on it that hangs until told otherwise.
    struct Client(Sender<&'static str>);

    impl Drop for Client {
        fn drop(&mut self) {
            let _ = self.0.send("dropped");
        }
    }

    fn client() -> (Watched<Client>, Receiver<&'static str>) {
        let (end, ended) = channel();
        (Watched::new("test", Client(end)).expect("a thread starts"), ended)
    }

    #[test]
    fn a_call_gives_its_result() {
        let (mut watched, ended) = client();
        assert_eq!(watched.call(LONG, |_| 7), Some(7));
        assert_eq!(watched.call(LONG, |_| "again"), Some("again"));
        drop(watched);
        assert_eq!(ended.try_recv(), Ok("dropped"), "the thread has let go of the client");
    }

    #[test]
    fn a_call_that_hangs_is_given_up_and_its_client_lives_as_long_as_it() {
        let (mut watched, ended) = client();
        let (release, hanging) = channel::<()>();
        let begun = Instant::now();
        assert_eq!(watched.call(SHORT, move |_| hanging.recv().is_ok()), None);
        assert_eq!(watched.call(SHORT, |_| ()), None, "the thread is still in the first call");
        drop(watched);
        assert!(begun.elapsed() < LONG, "neither the calls nor the drop waited for the end");
        assert!(ended.try_recv().is_err(), "a client in use is not dropped");
        release.send(()).expect("the call still hangs");
        assert_eq!(ended.recv_timeout(LONG), Ok("dropped"));
    }

    #[test]
    fn a_drop_that_hangs_is_left_behind() {
        struct Slow(Receiver<()>);
        impl Drop for Slow {
            fn drop(&mut self) {
                let _ = self.0.recv();
            }
        }
        let (release, hanging) = channel::<()>();
        assert!(!drop_within(SHORT, Slow(hanging)));
        let (finished, quick) = channel::<()>();
        drop(finished);
        assert!(drop_within(LONG, Slow(quick)));
        drop(release);
    }
}
