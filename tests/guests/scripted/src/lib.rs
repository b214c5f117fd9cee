//! Does what the event's value says: a JSON object with `do`, and what that needs. Everything
//! else, also an unknown `do`, is returned unchanged (*echo*). "Then" means: then echo.
//!
//! | do | what happens |
//! |---|---|
//! | `emit` | `n` (default 1) outputs with the input's key, to `topic` (default route), with `value` or else their number from 0 |
//! | `topic` | echo to `topic` |
//! | `spread` | echo to each of `topics` |
//! | `many` | `n` outputs without key and value |
//! | `huge` | one output of `n` bytes |
//! | `count` | one output `{"calls":c}`: c calls of this instance so far, this one included |
//! | `permanent`, `retryable` | that failure, with `message` |
//! | `retryable-until` | retryable before the time `until` (milliseconds since 1970), then |
//! | `sleep` | sleeps `ms` in the host, then |
//! | `spin` | burns the processor for `ms`, then |
//! | `print` | writes `n` lines `text` to standard output, then |
//! | `exit` | ends the "process" with `code` (default 0) |
//! | `trap`, `panic`, `loop`, `bomb`, `recurse` | `unreachable`, a Rust panic with `message`, an endless loop, all memory, all stack |
//! | `hoard-pollables`, `hoard-streams` | takes as many of these from the host as it gives |
//! | `flood-clock`, `flood-random`, `flood-sockets`, `flood-poll`, `flood-lines` | calls the host without end, `flood-poll` with `n` at once |
//! | `random` | asks the host for `n` random bytes in one call, then |
//! | `write` | hands the host `n` bytes of empty lines in one call, then |
//! | `deep-calls` | recurses without end and calls the host on each level |
//! | `long-message`, `long-topic`, `long-header` | a permanent failure, an output's topic, a header's name of `n` bytes |
//! | `many-headers` | one output with `n` headers without a name and a value |
//! | `bad-header` | an output with a NUL in a header's name |
//! | `negative-timestamp` | an output from before 1970 |

mod flood;
mod ruin;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bindings::exports::lockstep::handler::fallible_event_handler::{Event, Failure, Guest};
use bindings::lockstep::handler::types::Header;
use serde_json::{Value, json};

mod bindings {
    wit_bindgen::generate!({ path: "../../../wit", world: "fallible-handler" });
    use super::Scripted;
    export!(Scripted);
}

struct Scripted;

static CALLS: AtomicU64 = AtomicU64::new(0);

impl Guest for Scripted {
    fn handle(event: Event) -> Result<Vec<Event>, Failure> {
        CALLS.fetch_add(1, Relaxed);
        let script = event.value.as_deref().unwrap_or_default();
        let script = serde_json::from_slice(script).unwrap_or(Value::Null);
        let echo = Event { topic: None, ..event };
        match script["do"].as_str().unwrap_or_default() {
            "permanent" => Err(Failure::Permanent(text(&script, "message"))),
            "retryable" => Err(Failure::Retryable(text(&script, "message"))),
            "retryable-until" if now_ms() < number(&script, "until", 0) => {
                Err(Failure::Retryable(format!("too early: it is {}", now_ms())))
            }
            "sleep" | "spin" | "print" => {
                spend_time(&script);
                Ok(vec![echo])
            }
            "long-message" => Err(Failure::Permanent("x\n".repeat(size(&script) / 2))),
            other => {
                ruin::perform(other, &script);
                flood::perform(other, size(&script));
                Ok(outputs(other, &script, echo))
            }
        }
    }
}

/// What returns at once.
fn outputs(what: &str, script: &Value, echo: Event) -> Vec<Event> {
    let n = number(script, "n", 1);
    let topic = script["topic"].as_str().map(str::to_owned);
    let plain = Event { topic: None, key: None, value: None, headers: vec![], ..echo.clone() };
    match what {
        "emit" => (0..n)
            .map(|index| {
                let value = script["value"].as_str().map_or_else(|| index.to_string(), Into::into);
                let (topic, key) = (topic.clone(), echo.key.clone());
                Event { topic, key, value: Some(value.into_bytes()), ..plain.clone() }
            })
            .collect(),
        "topic" => vec![Event { topic, ..echo }],
        "spread" => script["topics"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|topic| Event { topic: topic.as_str().map(str::to_owned), ..echo.clone() })
            .collect(),
        "many" => (0..n).map(|_| plain.clone()).collect(),
        "huge" => vec![Event { value: Some((0..n).map(|_| b'x').collect()), ..plain }],
        "count" => {
            let value = json!({ "calls": CALLS.load(Relaxed) }).to_string();
            vec![Event { key: echo.key, value: Some(value.into_bytes()), ..plain }]
        }
        "bad-header" => vec![Event { headers: vec![header("bad\0name", b"x")], ..echo }],
        "long-header" => {
            vec![Event { headers: vec![header(&"x".repeat(size(script)), b"")], ..plain }]
        }
        "many-headers" => vec![Event { headers: vec![header("", b""); size(script)], ..plain }],
        "long-topic" => vec![Event { topic: Some("\u{1}".repeat(size(script))), ..plain }],
        "negative-timestamp" => vec![Event { timestamp_ms: Some(-1), ..echo }],
        _ => vec![echo],
    }
}

#[expect(clippy::print_stdout, reason = "to print is what the script asks for")]
fn spend_time(script: &Value) {
    let time = Duration::from_millis(number(script, "ms", 0));
    match script["do"].as_str() {
        Some("sleep") => thread::sleep(time),
        Some("spin") => {
            let start = Instant::now();
            while start.elapsed() < time {}
        }
        _ => {
            for _ in 0..number(script, "n", 1) {
                println!("{}", text(script, "text"));
            }
        }
    }
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

fn number(script: &Value, name: &str, default: u64) -> u64 {
    script[name].as_u64().unwrap_or(default)
}

/// The script's `n`.
fn size(script: &Value) -> usize {
    usize::try_from(number(script, "n", 1)).unwrap_or(usize::MAX)
}

fn header(name: &str, value: &[u8]) -> Header {
    Header { name: name.to_owned(), value: value.to_owned() }
}

/// The name itself stands in for a text that is not given.
fn text(script: &Value, name: &str) -> String {
    script[name].as_str().unwrap_or(name).to_owned()
}
