//! For tests: a log that remembers what is appended, and that a test can cork or make fail.

use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::watch;

use crate::event::{Event, Position};
use crate::http::testing::DEADLINE;
use crate::log::{
    Admin, AppendError, Completer, Log, ReadFrom, Reader, Receipt, Session, Subscription, Writer,
};

pub(crate) struct CorkedLog {
    state: Mutex<State>,
    /// How many events were appended.
    count: watch::Sender<usize>,
}

#[derive(Default)]
struct State {
    events: Vec<Event>,
    corked: bool,
    waiting: Vec<(Completer, Position)>,
    answer: Option<AppendError>,
    refusal: Option<AppendError>,
}

impl CorkedLog {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::default(), count: watch::Sender::new(0) }
    }

    /// From now on appends are taken but not confirmed.
    pub(crate) fn cork(&self) {
        self.state.lock().unwrap().corked = true;
    }

    /// Confirms what waits.
    pub(crate) fn uncork(&self) {
        let mut state = self.state.lock().unwrap();
        state.corked = false;
        for (completer, position) in state.waiting.drain(..) {
            completer.complete(Ok(position));
        }
    }

    /// From now on receipts resolve to this.
    pub(crate) fn fail_receipts(&self, error: AppendError) {
        self.state.lock().unwrap().answer = Some(error);
    }

    /// From now on appends are not even taken.
    pub(crate) fn fail_appends(&self, error: AppendError) {
        self.state.lock().unwrap().refusal = Some(error);
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.state.lock().unwrap().events.clone()
    }

    /// Waits until this many events were appended.
    pub(crate) async fn appended(&self, count: usize) {
        let mut seen = self.count.subscribe();
        let wait = seen.wait_for(|seen| *seen >= count);
        tokio::time::timeout(DEADLINE, wait).await.expect("appends arrive").unwrap();
    }
}

impl Log for CorkedLog {
    fn describe(&self) -> String {
        "a corked log".to_owned()
    }

    fn append(&self, event: Event, _: Option<i32>) -> Result<Receipt, AppendError> {
        let mut state = self.state.lock().unwrap();
        if let Some(error) = &state.refusal {
            return Err(error.clone());
        }
        let offset = i64::try_from(state.events.len()).unwrap();
        let position = Position { topic: event.topic.clone(), partition: 2, offset };
        state.events.push(event);
        let (completer, receipt) = Receipt::pair();
        match &state.answer {
            _ if state.corked => state.waiting.push((completer, position)),
            Some(error) => completer.complete(Err(error.clone())),
            None => completer.complete(Ok(position)),
        }
        self.count.send_replace(state.events.len());
        Ok(receipt)
    }

    fn session(&self, _: &Subscription) -> anyhow::Result<Box<dyn Session>> {
        anyhow::bail!("ingest opens no session")
    }

    fn reader(&self, _: &str, _: ReadFrom) -> anyhow::Result<Box<dyn Reader>> {
        anyhow::bail!("ingest reads nothing")
    }

    fn writer(&self, _: &str) -> anyhow::Result<Box<dyn Writer>> {
        anyhow::bail!("ingest opens no writer")
    }

    fn admin(&self) -> &dyn Admin {
        unreachable!("ingest administers nothing")
    }

    fn ping(&self, _: Duration) -> anyhow::Result<()> {
        Ok(())
    }
}
