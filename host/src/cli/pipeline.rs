//! Many appends on their way at once, answered in order.
//!
//! Knows neither where values come from nor how answers are shown.

use std::collections::VecDeque;
use std::future::{Future, pending, ready};
use std::pin::Pin;

use tokio::sync::mpsc;

use crate::event::{Event, Position};
use crate::log::{AppendError, Log};

/// Events that may wait for the log at once.
pub(super) const IN_FLIGHT: usize = 1_000;

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

/// Appends every value and answers each one in order. At the first failure no more values are
/// taken; what is on its way by then is still waited for and answered.
pub(super) async fn pump(
    log: &dyn Log,
    template: &Template,
    mut values: mpsc::Receiver<Value>,
    answers: &mut dyn Answers,
) -> anyhow::Result<()> {
    let mut on_its_way = OnItsWay::default();
    let (mut more, mut unflushed) = (true, false);
    let mut failure: Option<anyhow::Error> = None;
    loop {
        let step = tokio::select! {
            biased;
            answer = on_its_way.next(), if !on_its_way.is_empty() => {
                unflushed = true;
                answer.and_then(|position| answers.answer(&position))
            }
            value = values.recv(), if more && on_its_way.len() < IN_FLIGHT => match value {
                Some(value) => value.and_then(|value| on_its_way.append(log, template, value)),
                None => {
                    more = false;
                    Ok(())
                }
            },
            () = ready(()), if unflushed => {
                unflushed = false;
                answers.flush()
            }
            else => break,
        };
        if let Err(error) = step {
            more = false;
            failure.get_or_insert(error);
        }
    }
    failure.map_or(Ok(()), Err)
}

type Pending = Pin<Box<dyn Future<Output = Result<Position, AppendError>>>>;

/// Events handed to the log and not yet answered, the oldest first.
#[derive(Default)]
struct OnItsWay {
    pending: VecDeque<Pending>,
    answered: u64,
}

impl OnItsWay {
    fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    fn len(&self) -> usize {
        self.pending.len()
    }

    fn append(
        &mut self,
        log: &dyn Log,
        template: &Template,
        value: Option<Vec<u8>>,
    ) -> anyhow::Result<()> {
        let event = Event { value, ..template.event.clone() };
        let number = self.answered + self.pending.len() as u64 + 1;
        let receipt =
            log.append(event, template.partition).map_err(|error| unconfirmed(error, number))?;
        self.pending.push_back(Box::pin(receipt.wait()));
        Ok(())
    }

    /// The answer to the oldest one; waits for ever when there is none. May be cancelled.
    async fn next(&mut self) -> anyhow::Result<Position> {
        let Some(oldest) = self.pending.front_mut() else { return pending().await };
        let answer = oldest.as_mut().await;
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
    use std::time::Duration;

    use super::*;
    use crate::log::{Admin, Completer, ReadFrom, Reader, Receipt, Session, Subscription};

    /// A log that keeps its answers back until it is asked for them.
    #[derive(Default)]
    struct Corked(Mutex<Vec<(Event, Completer)>>);

    impl Corked {
        fn waiting(&self) -> usize {
            self.0.lock().map_or(0, |waiting| waiting.len())
        }

        /// Confirms all that wait, the newest first; those whose value is `bad` are refused.
        fn uncork(&self) {
            let Ok(mut waiting) = self.0.lock() else { return };
            for (offset, (event, completer)) in waiting.drain(..).enumerate().rev() {
                let at = Position { topic: event.topic, partition: 0, offset: offset as i64 };
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
            let mut waiting = self.0.lock().map_err(|_| AppendError::QueueFull)?;
            waiting.push((event, completer));
            Ok(receipt)
        }

        fn session(&self, _: &Subscription) -> anyhow::Result<Box<dyn Session>> {
            anyhow::bail!("not here")
        }

        fn reader(&self, _: &str, _: ReadFrom) -> anyhow::Result<Box<dyn Reader>> {
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

    /// Pumps these values through a corked log that answers whenever nothing else can happen.
    fn pumped(values: &[&str]) -> anyhow::Result<(Heard, usize, anyhow::Result<()>)> {
        let (log, mut heard, mut most) = (Corked::default(), Heard::default(), 0);
        let event = Event {
            topic: "t".into(),
            key: None,
            value: None,
            headers: vec![],
            timestamp_ms: None,
        };
        let template = Template { event, partition: None };
        let (tx, rx) = mpsc::channel(values.len().max(1));
        for value in values {
            tx.try_send(Ok(Some(value.as_bytes().to_vec())))?;
        }
        drop(tx);
        let result = tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
            let mut pump = std::pin::pin!(pump(&log, &template, rx, &mut heard));
            loop {
                tokio::select! {
                    biased;
                    result = &mut pump => return result,
                    () = tokio::task::yield_now() => {
                        most = most.max(log.waiting());
                        if log.waiting() >= values.len().min(IN_FLIGHT) {
                            log.uncork();
                        }
                    }
                }
            }
        });
        Ok((heard, most, result))
    }

    #[test]
    fn answers_keep_the_order_of_the_events() -> anyhow::Result<()> {
        let (heard, most, result) = pumped(&["a", "b", "c"])?;
        assert_eq!((heard.offsets, heard.flushed, most), (vec![0, 1, 2], 3, 3));
        result
    }

    #[test]
    fn no_more_than_the_bound_are_on_their_way() -> anyhow::Result<()> {
        let (heard, most, result) = pumped(&vec!["x"; 2 * IN_FLIGHT])?;
        assert_eq!((heard.offsets.len(), most), (2 * IN_FLIGHT, IN_FLIGHT));
        result
    }

    #[test]
    fn a_failure_names_its_event_and_what_was_on_its_way_is_answered() -> anyhow::Result<()> {
        let (heard, _, result) = pumped(&["a", "bad", "c"])?;
        assert_eq!((heard.offsets, heard.flushed), (vec![0, 2], 2));
        let message = result.map_err(|error| format!("{error:#}"));
        let expected = "event 2 was not confirmed: the log refuses the event: it is bad";
        assert_eq!(message, Err(expected.to_owned()));
        Ok(())
    }

    #[test]
    fn without_values_nothing_is_written() -> anyhow::Result<()> {
        let (tx, rx) = mpsc::channel(1);
        drop(tx);
        let (log, mut heard) = (Corked::default(), Heard::default());
        let event = Event {
            topic: "t".into(),
            key: None,
            value: None,
            headers: vec![],
            timestamp_ms: None,
        };
        let template = Template { event, partition: None };
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        runtime.block_on(pump(&log, &template, rx, &mut heard))?;
        assert_eq!((heard.offsets.len(), log.waiting()), (0, 0));
        Ok(())
    }
}
