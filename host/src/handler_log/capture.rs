//! The layer of `tracing` that hears what is said about handlers.

use std::fmt::Debug;
use std::sync::Arc;

use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{FilterFn, LevelFilter};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::entry::{Entry, Severity, shortened};
use super::queue::Queue;

/// The field by which an event names its handler: its name, or name and revision as in
/// `weather@7`.
const HANDLER: &str = "handler";
/// What the log itself says about its trouble with what is said here would never end.
const DEAF_TO: [&str; 2] = ["lockstep::log", "lockstep::server::shipper"];

/// Hears, and keeps in its queue.
#[derive(Default)]
pub struct Capture {
    queue: Arc<Queue>,
}

/// A layer that hears everything about handlers that is at least worth an INFO, whatever the
/// other layers let through. Its queue is closed.
pub fn layer<S>() -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let filter = FilterFn::new(is_about_a_handler as fn(&Metadata<'_>) -> bool);
    Capture::default().with_filter(filter.with_max_level_hint(LevelFilter::INFO))
}

/// The queue of the layer that this thread's `tracing` has.
pub fn installed() -> Option<Arc<Queue>> {
    tracing::dispatcher::get_default(|dispatch| {
        dispatch.downcast_ref::<Capture>().map(|capture| Arc::clone(&capture.queue))
    })
}

/// Says something about a handler here alone, for what is told to the process's own log in a form
/// that has no field.
pub fn tell(handler: &str, revision: u64, severity: Severity, body: &str) {
    if let Some(queue) = installed().filter(|queue| queue.is_open()) {
        queue.push(Entry::now(handler, Some(revision), severity, body));
    }
}

/// Decided once for each place in the code that says something.
fn is_about_a_handler(metadata: &Metadata<'_>) -> bool {
    metadata.is_event()
        && *metadata.level() <= Level::INFO
        && metadata.fields().field(HANDLER).is_some()
        && !DEAF_TO.iter().any(|target| metadata.target().starts_with(target))
}

impl<S: Subscriber> Layer<S> for Capture {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        if !self.queue.is_open() {
            return;
        }
        let severity = match *event.metadata().level() {
            Level::ERROR => Severity::Error,
            Level::WARN => Severity::Warn,
            _ => Severity::Info,
        };
        let mut fields = Fields(Entry::now("", None, severity, ""));
        event.record(&mut fields);
        if !fields.0.handler.is_empty() {
            self.queue.push(fields.0);
        }
    }
}

/// Makes an entry of an event's fields.
struct Fields(Entry);

impl Fields {
    fn text(&mut self, field: &Field, text: &str) {
        match field.name() {
            "message" => self.0.body = shortened(text),
            HANDLER => match label(text) {
                Some((name, revision)) => {
                    self.0.handler = name.to_owned();
                    self.0.revision = Some(revision);
                }
                None => self.0.handler = text.to_owned(),
            },
            _ => self.attribute(field, shortened(text).into()),
        }
    }

    fn number(&mut self, field: &Field, value: Value) {
        match (field.name(), value.as_u64()) {
            ("revision", Some(revision)) => self.0.revision = Some(revision),
            _ => self.attribute(field, value),
        }
    }

    fn attribute(&mut self, field: &Field, value: Value) {
        let name = match field.name() {
            // A name that OpenTelemetry has given.
            "stream" => "log.iostream".to_owned(),
            own => format!("lockstep.{own}"),
        };
        self.0.attributes.insert(name, value);
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.number(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.number(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.attribute(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.text(field, &format!("{value:?}"));
    }
}

/// Name and revision of `weather@7`.
fn label(text: &str) -> Option<(&str, u64)> {
    let (name, revision) = text.rsplit_once('@')?;
    Some((name, revision.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use tracing::{debug, error, info, warn};
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// What is heard of what is said.
    fn heard(say: impl FnOnce()) -> Vec<Entry> {
        let subscriber = tracing_subscriber::registry().with(layer());
        tracing::subscriber::with_default(subscriber, || {
            let queue = installed().unwrap();
            queue.open();
            say();
            queue.close();
            queue.take().map(|taken| taken.entries).unwrap_or_default()
        })
    }

    #[test]
    fn a_line_of_a_guest_is_heard_with_its_revision_and_its_stream() {
        let said = heard(|| {
            info!(target: "handler", handler = "weather@7", stream = "stdout", "{}", "handler=x");
        });
        let [entry] = &said[..] else { panic!("{said:?}") };
        assert_eq!((entry.handler.as_str(), entry.revision), ("weather", Some(7)));
        assert_eq!((entry.severity, entry.body.as_str()), (Severity::Info, "handler=x"));
        assert_eq!(entry.attributes["log.iostream"], "stdout");
        assert!(entry.time_unix_nano > 1_700_000_000_000_000_000);
    }

    #[test]
    fn what_the_host_says_about_a_handler_is_heard_with_its_fields() {
        let name = "weather".to_owned();
        let said = heard(|| {
            warn!(handler = %name, revision = 3_u64, dead_letters = 2_usize, "first dead letter");
            error!(handler = name, slot = 1, halted = true, "halted");
            tell(&name, 4, Severity::Warn, "more\nlines");
        });
        let [dead, halted, more] = &said[..] else { panic!("{said:?}") };
        assert_eq!((dead.severity, dead.revision), (Severity::Warn, Some(3)));
        assert_eq!(dead.attributes["lockstep.dead_letters"], 2);
        assert_eq!((halted.severity, halted.revision), (Severity::Error, None));
        assert_eq!(halted.attributes["lockstep.halted"], true);
        assert_eq!((more.revision, more.body.as_str()), (Some(4), "more\nlines"));
    }

    #[test]
    fn what_is_not_about_a_handler_or_is_about_the_log_itself_is_not_heard() {
        let said = heard(|| {
            info!("listening");
            debug!(handler = "weather", "details");
            warn!(target: "lockstep::log::kafka", handler = "weather", "not written");
            warn!(target: "lockstep::server::shipper", handler = "weather", "not shipped");
        });
        assert_eq!(said, []);
    }
}
