//! The inputs of a trial and what the handler makes of them: a model of the guest `scripted` in
//! plain Rust, which shares nothing with the sandbox.

use fastrand::Rng;
use lockstep::audit::history::{Content, Outcome};
use lockstep::audit::observer::{ID_HEADER, content_digest};
use lockstep::event::{Event, Header};
use serde_json::{Value, json};

/// How many of a hundred inputs end in which way; the others are returned unchanged.
#[derive(Clone, Copy, Debug)]
pub struct Mix {
    /// The handler says that they are bad.
    pub permanent: u32,
    /// The handler traps.
    pub trap: u32,
    /// They become one output on each output topic.
    pub spread: u32,
    /// They become three outputs.
    pub emit: u32,
    /// They become nothing.
    pub filtered: u32,
    /// They become an output that no topic takes.
    pub huge: u32,
    /// The handler loops, takes all memory or all stack, or returns too many outputs.
    pub ruin: u32,
}

impl Default for Mix {
    fn default() -> Self {
        Self { permanent: 8, trap: 2, spread: 15, emit: 10, filtered: 5, huge: 0, ruin: 0 }
    }
}

/// Bytes of an output that is within the limits of a handler and beyond those of a topic.
const HUGE: usize = 1_100_000;

/// What a handler does not survive, and the kind of failure that it is.
const RUIN: &[(&str, &str)] =
    &[("loop", "deadline"), ("bomb", "memory"), ("recurse", "stack"), ("many", "oversized-output")];

/// One input.
pub struct Input {
    /// Its id.
    pub id: String,
    /// The event.
    pub event: Event,
    /// The partition that it goes to.
    pub partition: i32,
    /// What becomes of it.
    pub outcome: Outcome,
}

/// Makes inputs, the same ones from the same seed.
pub struct Inputs {
    random: Rng,
    mix: Mix,
    topic: String,
    partitions: i32,
    outputs: Vec<String>,
    number: usize,
}

impl Inputs {
    /// Inputs for a topic with so many partitions, of a handler with these output topics.
    pub fn new(seed: u64, mix: Mix, topic: &str, partitions: i32, outputs: &[String]) -> Self {
        let random = Rng::with_seed(seed);
        let (topic, outputs) = (topic.to_owned(), outputs.to_vec());
        Self { random, mix, topic, partitions, outputs, number: 0 }
    }

    /// How many it has made.
    pub fn number(&self) -> usize {
        self.number
    }

    fn script(&mut self) -> Value {
        let Mix { permanent, trap, spread, emit, filtered, huge, ruin } = self.mix;
        let mut dice = self.random.u32(..100);
        let mut falls = |share: u32| {
            let falls = dice < share;
            dice = dice.wrapping_sub(share);
            falls
        };
        if falls(permanent) {
            json!({ "do": "permanent", "message": "as the script says" })
        } else if falls(trap) {
            json!({ "do": "trap" })
        } else if falls(spread) {
            json!({ "do": "spread", "topics": self.outputs })
        } else if falls(emit) {
            json!({ "do": "emit", "n": 3 })
        } else if falls(filtered) {
            json!({ "do": "emit", "n": 0 })
        } else if falls(ruin) {
            let (what, _) = RUIN[self.random.usize(..RUIN.len())];
            json!({ "do": what, "n": 5_000 })
        } else if falls(huge) {
            json!({ "do": "huge", "n": HUGE })
        } else {
            json!({ "echo": self.random.u64(..) })
        }
    }

    fn outcome(&self, script: &Value, event: &Event) -> Outcome {
        let default = &self.outputs[0];
        let to = |topic: &String, event: Event| {
            let event = Event { topic: topic.as_str().into(), ..event };
            Content { topic: topic.as_str().into(), digest: content_digest(&event) }
        };
        let what = script["do"].as_str();
        if let Some((_, kind)) = RUIN.iter().find(|(ruin, _)| what == Some(*ruin)) {
            return Outcome::DeadLetter((*kind).to_owned());
        }
        match what {
            Some(kind @ ("permanent" | "trap")) => Outcome::DeadLetter(kind.to_owned()),
            Some("huge") => Outcome::DeadLetter("rejected".to_owned()),
            Some("spread") => Outcome::Outputs(
                self.outputs.iter().map(|topic| to(topic, event.clone())).collect(),
            ),
            Some("emit") => {
                let output = |index: u64| {
                    let (value, headers) = (Some(index.to_string().into_bytes()), Vec::new());
                    to(default, Event { value, headers, ..event.clone() })
                };
                Outcome::Outputs((0..script["n"].as_u64().unwrap_or(0)).map(output).collect())
            }
            _ => Outcome::Outputs(vec![to(default, event.clone())]),
        }
    }
}

impl Iterator for Inputs {
    type Item = Input;

    fn next(&mut self) -> Option<Input> {
        let number = self.number;
        self.number += 1;
        let partition = i32::try_from(number).unwrap_or(0).rem_euclid(self.partitions);
        let script = self.script();
        let id = format!("{partition}:{number:07}");
        let event = Event {
            topic: self.topic.as_str().into(),
            // Few keys, each always in one partition, so that there is an order to keep.
            key: Some(format!("{partition}-{}", self.random.u8(..3)).into_bytes()),
            value: Some(script.to_string().into_bytes()),
            headers: vec![Header::text(ID_HEADER, id.clone())],
            timestamp_ms: None,
        };
        let outcome = self.outcome(&script, &event);
        Some(Input { id, event, partition, outcome })
    }
}
