//! Many appends on their way at once, answered in order.
//!
//! Knows neither where values come from nor how answers are shown.

use std::collections::VecDeque;
use std::future::{Future, pending, ready};
use std::pin::Pin;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::event::{Event, Position};
use crate::log::{AppendError, Log};

/// Events that may wait for the log at once.
const IN_FLIGHT: usize = 1_000;

/// Bytes that may wait for the log at once; one event always fits.
const BYTES_IN_FLIGHT: usize = 16 * 1024 * 1024;

/// The pause before an event is offered again to a log that is full although nothing of ours is
/// on its way, and how often that is done: it may still be clearing up what it has confirmed.
const PAUSE: Duration = Duration::from_millis(5);
const REFUSALS: u32 = 200;

/// A value to write; the inner `None` is a tombstone. An error ends the values.
pub(super) type Value = anyhow::Result<Option<Vec<u8>>>;

/// What all events of one command have in common.
pub(super) struct Template {
    /// All but the value.
    pub(super) event: Event,
    /// Overrides the key.
    pub(super) partition: Option<i32>,
}

/// Who hears where the events are.
pub(super) trait Answers {
    /// The log has the next event for good.
    fn answer(&mut self, position: &Position) -> anyhow::Result<()>;

    /// Nothing follows for a while: what was answered is to be seen now.
    fn flush(&mut self) -> anyhow::Result<()>;
}

/// Appends every value and answers each one in order. A full log is waited for. At the first
/// failure no more values are taken; what is on its way by then is still waited for and answered.
pub(super) async fn pump(
    log: &dyn Log,
    template: &Template,
    mut values: mpsc::Receiver<Value>,
    answers: &mut dyn Answers,
) -> anyhow::Result<()> {
    let mut on_its_way = OnItsWay::new(log, template);
    let (mut more, mut unflushed) = (true, false);
    let mut failure: Option<anyhow::Error> = None;
    loop {
        let step = tokio::select! {
            biased;
            answer = on_its_way.next(), if !on_its_way.is_empty() => {
                unflushed = true;
                let answered = answer.and_then(|position| answers.answer(&position));
                answered.and_then(|()| on_its_way.offer_kept())
            }
            value = values.recv(), if more && on_its_way.takes_more() => match value {
                Some(value) => value.and_then(|value| on_its_way.offer(value)),
                None => {
                    more = false;
                    Ok(())
                }
            },
            () = ready(()), if unflushed => {
                unflushed = false;
                answers.flush()
            }
            () = sleep(PAUSE), if on_its_way.is_refused() => on_its_way.offer_kept(),
            else => break,
        };
        if let Err(error) = step {
            more = false;
            on_its_way.drop_kept();
            failure.get_or_insert(error);
        }
    }
    failure.map_or(Ok(()), Err)
}

type Pending = Pin<Box<dyn Future<Output = Result<Position, AppendError>>>>;

/// Events handed to the log and not yet answered, the oldest first, and the one that comes next
/// when there was no room for it.
struct OnItsWay<'a> {
    log: &'a dyn Log,
    template: &'a Template,
    /// With the size of each.
    pending: VecDeque<(usize, Pending)>,
    bytes: usize,
    kept: Option<Event>,
    /// How often the kept event was refused while nothing was on its way.
    refusals: u32,
    answered: u64,
}

impl<'a> OnItsWay<'a> {
    fn new(log: &'a dyn Log, template: &'a Template) -> Self {
        let pending = VecDeque::new();
        Self { log, template, pending, bytes: 0, kept: None, refusals: 0, answered: 0 }
    }

    fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    fn takes_more(&self) -> bool {
        self.kept.is_none() && self.pending.len() < IN_FLIGHT
    }

    /// Whether no answer will ever make room for what is kept.
    fn is_refused(&self) -> bool {
        self.kept.is_some() && self.is_empty()
    }

    /// Hands the next value to the log, or keeps it when there is no room.
    fn offer(&mut self, value: Option<Vec<u8>>) -> anyhow::Result<()> {
        self.kept = Some(Event { value, ..self.template.event.clone() });
        self.offer_kept()
    }

    fn offer_kept(&mut self) -> anyhow::Result<()> {
        let Some(event) = self.kept.take() else { return Ok(()) };
        let size = event.size();
        if !self.is_empty() && self.bytes + size > BYTES_IN_FLIGHT {
            self.kept = Some(event);
            return Ok(());
        }
        match self.log.append(event.clone(), self.template.partition) {
            Ok(receipt) => {
                self.refusals = 0;
                self.bytes += size;
                self.pending.push_back((size, Box::pin(receipt.wait())));
                Ok(())
            }
            Err(AppendError::QueueFull) if !self.is_empty() || self.refusals < REFUSALS => {
                self.refusals += u32::from(self.is_empty());
                self.kept = Some(event);
                Ok(())
            }
            Err(error) => Err(unconfirmed(error, self.answered + self.pending.len() as u64 + 1)),
        }
    }

    fn drop_kept(&mut self) {
        self.kept = None;
    }

    /// The answer to the oldest one; waits for ever when there is none. May be cancelled.
    async fn next(&mut self) -> anyhow::Result<Position> {
        let Some((size, oldest)) = self.pending.front_mut() else { return pending().await };
        let answer = oldest.as_mut().await;
        self.bytes -= *size;
        self.pending.pop_front();
        self.answered += 1;
        answer.map_err(|error| unconfirmed(error, self.answered))
    }
}

fn unconfirmed(error: AppendError, number: u64) -> anyhow::Error {
    anyhow::Error::new(error).context(format!("event {number} was not confirmed"))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;
    use crate::log::{Admin, Completer, ReadFrom, Reader, Receipt, Session, Subscription, Writer};

    /// A log that keeps its answers back until it is asked for them, and has room for so many.
    struct Corked {
        waiting: Mutex<Vec<(Event, Completer)>>,
        room: usize,
        answered: AtomicI64,
    }

    impl Corked {
        fn with_room(room: usize) -> Self {
            Self { waiting: Mutex::default(), room, answered: AtomicI64::default() }
        }

        fn waiting(&self) -> usize {
            self.waiting.lock().map_or(0, |waiting| waiting.len())
        }

        /// Confirms all that wait, the newest first; those whose value is `bad` are refused.
        fn uncork(&self) {
            let Ok(mut waiting) = self.waiting.lock() else { return };
            let before = self.answered.fetch_add(waiting.len() as i64, Ordering::Relaxed);
            for (n, (event, completer)) in waiting.drain(..).enumerate().rev() {
                let offset = before + n as i64;
                let at = Position { topic: event.topic, partition: 0, offset };
                completer.complete(match event.value.as_deref() {
                    Some(b"bad") => Err(AppendError::Refused("it is bad".to_owned())),
                    _ => Ok(at),
                });
            }
        }
    }

    impl Log for Corked {
        fn describe(&self) -> String {
            "a corked log".to_owned()
        }

        fn append(&self, event: Event, _: Option<i32>) -> Result<Receipt, AppendError> {
            let (completer, receipt) = Receipt::pair();
            let mut waiting = self.waiting.lock().expect("no test panics with the lock");
            if waiting.len() >= self.room {
                return Err(AppendError::QueueFull);
            }
            waiting.push((event, completer));
            Ok(receipt)
        }

        fn session(&self, _: &Subscription) -> anyhow::Result<Box<dyn Session>> {
            anyhow::bail!("not here")
        }

        fn reader(&self, _: &str, _: ReadFrom) -> anyhow::Result<Box<dyn Reader>> {
            anyhow::bail!("not here")
        }

        fn writer(&self, _: &str) -> anyhow::Result<Box<dyn Writer>> {
            anyhow::bail!("not here")
        }

        fn admin(&self) -> &dyn Admin {
            unreachable!("nothing is administered here")
        }

        fn ping(&self, _: Duration) -> anyhow::Result<()> {
            Ok(())
        }
    }

    #[derive(Default)]
    struct Heard {
        offsets: Vec<i64>,
        flushed: usize,
    }

    impl Answers for Heard {
        fn answer(&mut self, position: &Position) -> anyhow::Result<()> {
            self.offsets.push(position.offset);
            Ok(())
        }

        fn flush(&mut self) -> anyhow::Result<()> {
            self.flushed = self.offsets.len();
            Ok(())
        }
    }

    fn template() -> Template {
        let event = Event {
            topic: "t".into(),
            key: None,
            value: None,
            headers: vec![],
            timestamp_ms: None,
        };
        Template { event, partition: None }
    }

    fn block_on<F: Future>(future: F) -> anyhow::Result<F::Output> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        Ok(runtime.block_on(future))
    }

    /// Pumps these values through a corked log that has room for so many and answers whenever
    /// nothing else can happen: what was heard, the most that were on their way, the end.
    fn pumped(room: usize, values: &[&str]) -> anyhow::Result<(Heard, usize, anyhow::Result<()>)> {
        let (log, mut heard, mut most) = (Corked::with_room(room), Heard::default(), 0);
        let template = template();
        let (tx, rx) = mpsc::channel(values.len().max(1));
        for value in values {
            tx.try_send(Ok(Some(value.as_bytes().to_vec())))?;
        }
        drop(tx);
        let result = block_on(async {
            let mut before = 0;
            let mut pump = std::pin::pin!(pump(&log, &template, rx, &mut heard));
            loop {
                tokio::select! {
                    biased;
                    result = &mut pump => return result,
                    () = tokio::task::yield_now() => {
                        let waiting = log.waiting();
                        most = most.max(waiting);
                        if waiting == before {
                            log.uncork();
                        }
                        before = log.waiting();
                    }
                }
            }
        })?;
        Ok((heard, most, result))
    }

    #[test]
    fn answers_keep_the_order_of_the_events() -> anyhow::Result<()> {
        let (heard, most, result) = pumped(usize::MAX, &["a", "b", "c"])?;
        assert_eq!((heard.offsets, heard.flushed, most), (vec![0, 1, 2], 3, 3));
        result
    }

    #[test]
    fn no_more_than_the_bound_are_on_their_way() -> anyhow::Result<()> {
        let (heard, most, result) = pumped(usize::MAX, &vec!["x"; 2 * IN_FLIGHT])?;
        assert_eq!((heard.offsets.len(), most), (2 * IN_FLIGHT, IN_FLIGHT));
        result
    }

    #[test]
    fn a_failure_names_its_event_and_what_was_on_its_way_is_answered() -> anyhow::Result<()> {
        let (heard, _, result) = pumped(usize::MAX, &["a", "bad", "c"])?;
        assert_eq!((heard.offsets, heard.flushed), (vec![0, 2], 2));
        let message = result.map_err(|error| format!("{error:#}"));
        let expected = "event 2 was not confirmed: the log refuses the event: it is bad";
        assert_eq!(message, Err(expected.to_owned()));
        Ok(())
    }

    #[test]
    fn no_more_bytes_than_the_bound_are_on_their_way() -> anyhow::Result<()> {
        let large = "x".repeat(1 << 20);
        let (heard, most, result) = pumped(usize::MAX, &[&*large; 40])?;
        assert_eq!((heard.offsets.len(), most), (40, BYTES_IN_FLIGHT >> 20));
        result
    }

    #[test]
    fn a_full_log_is_waited_for_and_the_order_is_kept() -> anyhow::Result<()> {
        for room in [1, 3] {
            let (heard, most, result) = pumped(room, &["x"; 10])?;
            assert_eq!((heard.offsets, most), ((0..10).collect(), room));
            result?;
        }
        Ok(())
    }

    #[test]
    fn a_log_that_stays_full_while_nothing_is_on_its_way_ends_it() -> anyhow::Result<()> {
        let (heard, _, result) = pumped(0, &["a", "b"])?;
        let message = result.map_err(|error| format!("{error:#}"));
        let expected = "event 1 was not confirmed: too many events wait for the log";
        assert_eq!((heard.offsets, message), (vec![], Err(expected.to_owned())));
        Ok(())
    }

    #[test]
    fn a_failure_behind_a_full_log_drops_what_was_kept() -> anyhow::Result<()> {
        let (heard, _, result) = pumped(2, &["a", "bad", "c", "d"])?;
        assert_eq!(heard.offsets[0], 0);
        let message = result.map_err(|error| format!("{error:#}"));
        let expected = "event 2 was not confirmed: the log refuses the event: it is bad";
        assert_eq!(message, Err(expected.to_owned()));
        Ok(())
    }

    #[test]
    fn without_values_nothing_is_written() -> anyhow::Result<()> {
        let (heard, most, result) = pumped(usize::MAX, &[])?;
        assert_eq!((heard.offsets.len(), most), (0, 0));
        result
    }
}
