//! A handler as plain data, and the rules that need nothing else: where outputs go, what a
//! handler may return, what a dead letter looks like. No I/O, no component, no log.

mod dead_letter;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use self::dead_letter::revive;

use crate::event::{Consumed, Event, Header};
use crate::log::{BatchBounds, Start};
use crate::property::Property;
use crate::retry::RetryPolicy;
use crate::topic::TopicSpec;

/// Header of every output and dead letter: which handler and revision made it, `weather@7`.
pub const HANDLER_HEADER: &str = "lockstep-handler";
/// Header of every output and dead letter: the input it came from, `orders/3/1042`.
pub const SOURCE_HEADER: &str = "lockstep-source";
/// Header of outputs and dead letters at [`Provenance::Transaction`]: the transaction that wrote
/// them, `<host id>/<slot>/<nonce>-<number>`. The nonce is new with every session of a worker; the
/// number rises with every transaction that the session begins, also those that it gives up.
pub const TRANSACTION_HEADER: &str = "lockstep-transaction";
/// Header of outputs at [`Provenance::Transaction`]: `2/3`, the second of three of its input.
pub const OUTPUT_HEADER: &str = "lockstep-output";
/// Header of a dead letter: the kind of failure, a [`FailureKind`].
pub const FAILURE_HEADER: &str = "lockstep-failure";
/// Header of a dead letter: what went wrong, in words.
pub const FAILURE_MESSAGE_HEADER: &str = "lockstep-failure-message";
/// Header of a dead letter: how often the handler was called for this event.
pub const ATTEMPTS_HEADER: &str = "lockstep-attempts";

/// Longest failure message, in bytes: it is kept with a dead letter, logged and shown. A handler
/// chooses what it says, and may say megabytes.
const MAX_MESSAGE_BYTES: usize = 4096;
/// Longest name shown in such a message, in bytes.
const MAX_NAME_BYTES: usize = 256;

/// A handler: its subscription, its limits and its policies. Checked: see `deployment`.
#[derive(Clone, Debug, PartialEq)]
pub struct Handler {
    /// Its name, unique on a host.
    pub name: String,
    /// The revision of this definition, from 1.
    pub revision: u64,
    /// The component file.
    pub component: PathBuf,
    /// The source topics, at least one.
    pub from: Vec<Arc<str>>,
    /// The topics it may write to; the first is the default route.
    pub to: Vec<Arc<str>>,
    /// The consumer group.
    pub group: String,
    /// Where its dead letters go.
    pub dead_letter_topic: Arc<str>,
    /// Where a new group begins.
    pub start: Start,
    /// Worker threads on each host.
    pub workers: u32,
    /// How long an instance lives.
    pub instances: Instances,
    /// What happens to an event that cannot be handled.
    pub on_failure: OnFailure,
    /// Faults in a row, on one worker, after which the revision that it replaced is made the
    /// active one again; `None`: never.
    pub rollback_after: Option<u32>,
    /// What outputs say of where they came from.
    pub provenance: Provenance,
    /// When a retryable failure is tried again.
    pub retry: RetryPolicy,
    /// What the component may use.
    pub limits: Limits,
    /// How much one transaction may hold.
    pub batch: BatchBounds,
    /// After this a transaction is committed with what is done.
    pub interval: Duration,
    /// What the component calls topics of `from` and `to` that are called otherwise here.
    pub aliases: BTreeMap<String, Arc<str>>,
    /// What `wasi:config/store` answers.
    pub config: BTreeMap<String, String>,
    /// Topics to create when they are missing.
    pub topics: Vec<TopicSpec>,
    /// The properties that do not hold for it, and are not tested.
    pub test_skip: Vec<Property>,
    /// The command that builds the component; `None` is told by what lies in its folder.
    pub build_command: Option<String>,
    /// Files and folders whose changes make a new build; empty stands for the whole folder of the
    /// manifest.
    pub build_watch: Vec<PathBuf>,
}

/// What outputs say of where they came from. Dead letters say at least the handler and the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provenance {
    /// Nothing.
    None,
    /// [`HANDLER_HEADER`] and [`SOURCE_HEADER`].
    Source,
    /// [`TRANSACTION_HEADER`] and [`OUTPUT_HEADER`] too, so that readers can tell attempts apart.
    Transaction,
}

/// How long an instance lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instances {
    /// From event to event, until it faults.
    Reused,
    /// For one event.
    PerEvent,
}

/// What happens to an event that cannot be handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// It becomes a dead letter and its partition goes on.
    DeadLetter,
    /// Its partition waits at it for another revision or a restart.
    Stop,
}

/// What a component may use. Each is enforced; exceeding one is a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of one instance, in bytes.
    pub memory: usize,
    /// One call.
    pub time: Duration,
    /// The WebAssembly stack, in bytes.
    pub stack: usize,
    /// Elements of all tables of one instance.
    pub table_elements: usize,
    /// Core instances in one component.
    pub instances: usize,
    /// Outputs of one event.
    pub output_events: usize,
    /// Bytes of keys, values and headers of all outputs of one event.
    pub output_bytes: usize,
    /// Lines of stdout and stderr logged in one second; more are counted and dropped.
    pub log_lines_per_second: u32,
    /// Bytes of one line of stdout and stderr; the rest of the line is dropped.
    pub log_line_bytes: usize,
}

/// Why an event did not become outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The kind.
    pub kind: FailureKind,
    /// What went wrong, in words for the handler's author: one line, kept with the dead letter.
    pub message: String,
    /// More for the author, in lines for logs and reports of tests: which functions were running
    /// and how to go on. Empty when the message says it all; never part of a dead letter.
    pub details: String,
}

/// The kinds of failure. All but the first two are faults: the host's verdict, not the handler's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The handler said that the event is bad.
    Permanent,
    /// The handler said that a later attempt may succeed.
    Retryable,
    /// The handler trapped, or panicked.
    Trap,
    /// A call took longer than `limits.time`.
    Deadline,
    /// An instance asked for more than `limits.memory`.
    Memory,
    /// A call went deeper than `limits.stack`.
    Stack,
    /// Tables, instances or handles beyond their limits.
    Resources,
    /// An output names a topic that the manifest does not grant.
    ForbiddenTopic,
    /// The outputs exceed `limits.output_events` or `limits.output_bytes`.
    OversizedOutput,
    /// An output that the log cannot represent.
    InvalidOutput,
    /// The log refused the outputs.
    Rejected,
}

impl FailureKind {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Permanent,
        Self::Retryable,
        Self::Trap,
        Self::Deadline,
        Self::Memory,
        Self::Stack,
        Self::Resources,
        Self::ForbiddenTopic,
        Self::OversizedOutput,
        Self::InvalidOutput,
        Self::Rejected,
    ];

    /// The name used in headers, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Permanent => "permanent",
            Self::Retryable => "retryable",
            Self::Trap => "trap",
            Self::Deadline => "deadline",
            Self::Memory => "memory",
            Self::Stack => "stack",
            Self::Resources => "resources",
            Self::ForbiddenTopic => "forbidden-topic",
            Self::OversizedOutput => "oversized-output",
            Self::InvalidOutput => "invalid-output",
            Self::Rejected => "rejected",
        }
    }

    /// Whether the host, not the handler, gave the verdict. A faulted instance is dropped.
    pub fn is_fault(self) -> bool {
        !matches!(self, Self::Permanent | Self::Retryable)
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Failure {
    /// A failure of this kind. A long message is cut.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: truncated(message.into()), details: String::new() }
    }

    /// Kind, message and details, in as many lines as it takes.
    pub fn explained(&self) -> String {
        let gap = if self.details.is_empty() { "" } else { "\n" };
        format!("{}: {}{gap}{}", self.kind, self.message, self.details)
    }
}

/// What a handler returned for one event, not yet routed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The topic it named; `None` is the default route.
    pub topic: Option<String>,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The payload; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// The headers, in order.
    pub headers: Vec<Header>,
    /// Milliseconds since the Unix epoch; `None` takes the input's.
    pub timestamp_ms: Option<i64>,
}

impl Handler {
    /// `name@revision`, the value of [`HANDLER_HEADER`].
    pub fn label(&self) -> String {
        format!("{}@{}", self.name, self.revision)
    }

    /// Turns what the component returned for `input` into events for the log, or says which of
    /// the handler's limits it breaks. All or nothing: no output of a failed event is written.
    pub fn route(&self, input: &Consumed, outputs: Vec<Output>) -> Result<Vec<Event>, Failure> {
        let limits = &self.limits;
        if outputs.len() > limits.output_events {
            let message = format!(
                "{} outputs for one event; limits.output_events allows {}",
                outputs.len(),
                limits.output_events
            );
            return Err(Failure::new(FailureKind::OversizedOutput, message));
        }
        let mut bytes = 0_usize;
        let mut events = Vec::with_capacity(outputs.len());
        for output in outputs {
            let topic = self.destination(output.topic.as_deref())?;
            let event = Event {
                topic,
                key: output.key,
                value: output.value,
                headers: output.headers,
                timestamp_ms: output.timestamp_ms.or(input.event.timestamp_ms),
            };
            check_representable(&event)?;
            bytes = bytes.saturating_add(event.size());
            events.push(event);
        }
        if bytes > limits.output_bytes {
            let message = format!(
                "{bytes} bytes of outputs for one event; limits.output_bytes allows {}",
                limits.output_bytes
            );
            return Err(Failure::new(FailureKind::OversizedOutput, message));
        }
        self.sign(input, &mut events);
        Ok(events)
    }

    /// Adds the headers that say where these outputs of `input` came from, but for the
    /// transaction, which only the worker knows.
    fn sign(&self, input: &Consumed, events: &mut [Event]) {
        if self.provenance == Provenance::None {
            return;
        }
        let count = events.len();
        for (index, event) in events.iter_mut().enumerate() {
            event.headers.retain(|h| h.name != HANDLER_HEADER && h.name != SOURCE_HEADER);
            event.headers.push(Header::text(HANDLER_HEADER, self.label()));
            event.headers.push(Header::text(SOURCE_HEADER, input.position().to_string()));
            if self.provenance == Provenance::Transaction {
                event.headers.retain(|h| h.name != OUTPUT_HEADER && h.name != TRANSACTION_HEADER);
                event.headers.push(Header::text(OUTPUT_HEADER, format!("{}/{count}", index + 1)));
            }
        }
    }

    /// What the component calls a topic.
    pub fn called<'a>(&'a self, topic: &'a str) -> &'a str {
        let alias = self.aliases.iter().find(|(_, meant)| &***meant == topic);
        alias.map_or(topic, |(name, _)| name)
    }

    /// The topic that the component means.
    fn meant_by<'a>(&'a self, name: &'a str) -> &'a str {
        self.aliases.get(name).map_or(name, |topic| topic)
    }

    fn destination(&self, named: Option<&str>) -> Result<Arc<str>, Failure> {
        let forbidden = |message| Err(Failure::new(FailureKind::ForbiddenTopic, message));
        match named {
            None => match self.to.first() {
                Some(topic) => Ok(Arc::clone(topic)),
                None => forbidden(
                    "an output without a topic, and the manifest's `to` is empty".to_owned(),
                ),
            },
            Some(name) => match self.to.iter().find(|topic| &***topic == self.meant_by(name)) {
                Some(topic) => Ok(Arc::clone(topic)),
                None => forbidden(format!(
                    "an output to topic {:?}, which the manifest's `to` does not name",
                    shown(name)
                )),
            },
        }
    }
}

/// Kafka header names are C strings in librdkafka, and timestamps below zero mean "none".
fn check_representable(event: &Event) -> Result<(), Failure> {
    let invalid = |message| Err(Failure::new(FailureKind::InvalidOutput, message));
    if let Some(header) = event.headers.iter().find(|h| h.name.contains('\0')) {
        return invalid(format!("the name of header {:?} contains NUL", shown(&header.name)));
    }
    match event.timestamp_ms {
        Some(ms) if ms < 0 => invalid(format!("timestamp {ms} ms lies before 1970")),
        _ => Ok(()),
    }
}

/// As much of a name as a message needs; a handler may choose one of megabytes.
fn shown(name: &str) -> &str {
    &name[..name.floor_char_boundary(MAX_NAME_BYTES)]
}

fn truncated(message: String) -> String {
    if message.len() <= MAX_MESSAGE_BYTES {
        return message;
    }
    let end = message.floor_char_boundary(MAX_MESSAGE_BYTES - '…'.len_utf8());
    format!("{}…", &message[..end])
}
