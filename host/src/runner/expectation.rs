//! What a case expects of a handler, and what differs from it. Pure.

use std::fmt;

use regex_lite::Regex;

use super::diff;
use super::notation::{Content, Headers, Noted};
use super::shown::{Shown, ShownBytes, ShownHeader, pretty};
use crate::event::{Event, Header};
use crate::handler::{Failure, FailureKind};

/// The kinds of failure that a case can expect. What only a log can refuse is not among them.
pub(super) const KINDS: [FailureKind; 10] = [
    FailureKind::Permanent,
    FailureKind::Retryable,
    FailureKind::Trap,
    FailureKind::Deadline,
    FailureKind::Memory,
    FailureKind::Stack,
    FailureKind::Resources,
    FailureKind::ForbiddenTopic,
    FailureKind::OversizedOutput,
    FailureKind::InvalidOutput,
];

/// The word for any fault.
pub(super) const FAULT: &str = "fault";

/// What a step is to end with.
#[derive(Debug)]
pub(super) enum Expectation {
    /// These events, in this order.
    Outputs(Vec<ExpectedEvent>),
    /// The failure of the last input.
    Failure(ExpectedFailure),
}

/// An output. What is `None` is not compared.
#[derive(Debug)]
pub(super) struct ExpectedEvent {
    pub(super) topic: String,
    /// Whether the author named the topic: the default route needs no name.
    pub(super) topic_named: bool,
    pub(super) key: Option<Option<Content>>,
    pub(super) value: Option<Content>,
    pub(super) headers: Option<Headers>,
    pub(super) timestamp_ms: Option<Option<i64>>,
}

/// A failure.
#[derive(Debug)]
pub(super) struct ExpectedFailure {
    /// `None` is any fault.
    pub(super) kind: Option<FailureKind>,
    /// A part of the message, or a regular expression that matches it.
    pub(super) message: Option<String>,
}

/// What a handler made of the inputs of a step.
#[derive(Debug)]
pub(super) enum Answer {
    /// All outputs, in order.
    Outputs(Vec<Output>),
    /// The input of this number, from 0, failed.
    Failure(usize, Failure),
}

/// An output, without the headers that say where it comes from.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Output {
    pub(super) event: Event,
    /// Whether its timestamp is another one than its input's.
    pub(super) own_timestamp: bool,
}

impl ExpectedEvent {
    /// An event that was written down. One without a topic takes the default route.
    pub(super) fn new(noted: Noted, value: Option<Content>, default_route: &str) -> Self {
        Self {
            topic_named: noted.topic.is_some(),
            topic: noted.topic.unwrap_or_else(|| default_route.to_owned()),
            key: noted.key,
            value,
            headers: noted.headers,
            timestamp_ms: noted.timestamp_ms,
        }
    }

    fn matches(&self, event: &Event) -> bool {
        *self.topic == *event.topic
            && self.key.as_ref().is_none_or(|key| same(key.as_ref(), event.key.as_deref()))
            && same(self.value.as_ref(), event.value.as_deref())
            && self.headers.as_ref().is_none_or(|headers| headers.match_all(&event.headers))
            && self.timestamp_ms.is_none_or(|timestamp| timestamp == event.timestamp_ms)
    }

    /// Both sides of a comparison, with the fields that were compared.
    fn beside(&self, event: &Event) -> (Shown, Shown) {
        let (value, actual_value) = ShownBytes::pair(self.value.as_ref(), event.value.as_deref());
        let keys =
            self.key.as_ref().map(|key| ShownBytes::pair(key.as_ref(), event.key.as_deref()));
        let (key, actual_key) = keys.unzip();
        let headers = self.headers.as_ref().map(|headers| headers.beside(&event.headers));
        let (headers, actual_headers) = headers.unzip();
        let named = self.topic_named || *self.topic != *event.topic;
        let expected = Shown {
            topic: named.then(|| self.topic.clone()),
            timestamp_ms: self.timestamp_ms,
            key,
            value: Some(value),
            headers,
            ..Shown::default()
        };
        let actual = Shown {
            topic: named.then(|| event.topic.to_string()),
            timestamp_ms: self.timestamp_ms.map(|_| event.timestamp_ms),
            key: actual_key,
            value: Some(actual_value),
            headers: actual_headers,
            ..Shown::default()
        };
        (expected, actual)
    }

    /// With nothing to compare it to.
    fn alone(&self) -> Shown {
        Shown {
            topic: self.topic_named.then(|| self.topic.clone()),
            timestamp_ms: self.timestamp_ms,
            key: self.key.as_ref().map(|key| ShownBytes::noted(key.as_ref())),
            value: Some(ShownBytes::noted(self.value.as_ref())),
            headers: self.headers.as_ref().map(Headers::shown),
            ..Shown::default()
        }
    }
}

fn same(expected: Option<&Content>, actual: Option<&[u8]>) -> bool {
    match (expected, actual) {
        (None, None) => true,
        (Some(Content::Bytes(expected)), Some(actual)) => expected == actual,
        (Some(Content::Json(expected)), Some(actual)) => {
            serde_json::from_slice::<serde_json::Value>(actual).is_ok_and(|json| json == *expected)
        }
        _ => false,
    }
}

impl Headers {
    /// In this order when they were written as a list; in any when as an object.
    fn match_all(&self, actual: &[Header]) -> bool {
        let matches = |(name, value): &(String, Option<Content>), header: &Header| {
            // A handler cannot return a header without a value: null is empty to it.
            let empty = Content::Bytes(Vec::new());
            *name == header.name
                && same(Some(value.as_ref().unwrap_or(&empty)), header.value.as_deref())
        };
        let mut sorted: Vec<&Header> = actual.iter().collect();
        let mut expected: Vec<_> = self.list.iter().collect();
        if !self.ordered {
            sorted.sort_by(|a, b| a.name.cmp(&b.name));
            expected.sort_by(|a, b| a.0.cmp(&b.0));
        }
        sorted.len() == expected.len()
            && expected.into_iter().zip(sorted).all(|(expected, actual)| matches(expected, actual))
    }

    fn shown(&self) -> Vec<ShownHeader> {
        let shown = |(name, value): &(String, Option<Content>)| ShownHeader {
            name: name.clone(),
            value: ShownBytes::noted(value.as_ref()),
        };
        self.list.iter().map(shown).collect()
    }

    fn beside(&self, actual: &[Header]) -> (Vec<ShownHeader>, Vec<ShownHeader>) {
        let mut expected = self.shown();
        let written = |name: &str| self.list.iter().find(|(other, _)| other == name);
        let shown = |header: &Header| {
            let noted = written(&header.name).and_then(|(_, value)| value.as_ref());
            let value = match noted {
                Some(noted) => ShownBytes::pair(Some(noted), header.value.as_deref()).1,
                None => ShownBytes::of(header.value.as_deref()),
            };
            ShownHeader { name: header.name.clone(), value }
        };
        let mut actual: Vec<_> = actual.iter().map(shown).collect();
        if !self.ordered {
            expected.sort_by(|a, b| a.name.cmp(&b.name));
            actual.sort_by(|a, b| a.name.cmp(&b.name));
        }
        (expected, actual)
    }
}

impl ExpectedFailure {
    fn matches(&self, failure: &Failure) -> bool {
        self.kind.map_or(failure.kind.is_fault(), |kind| kind == failure.kind)
            && self.message.as_ref().is_none_or(|message| {
                failure.message.contains(message.as_str())
                    || Regex::new(message).is_ok_and(|regex| regex.is_match(&failure.message))
            })
    }
}

impl fmt::Display for ExpectedFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.map_or(FAULT, FailureKind::as_str))?;
        match &self.message {
            Some(message) => write!(f, ", with a message like {message:?}"),
            None => Ok(()),
        }
    }
}

/// What is wrong with an answer, in words; `None` when it is as expected. `inputs` is how many
/// there were.
pub(super) fn check(expected: &Expectation, answer: &Answer, inputs: usize) -> Option<String> {
    match (expected, answer) {
        (Expectation::Outputs(expected), Answer::Outputs(outputs)) => compare(expected, outputs),
        (Expectation::Failure(expected), Answer::Failure(index, failure)) => {
            if index + 1 < inputs {
                let text = failed(*index, inputs, failure);
                return Some(format!("{text}\nexpected was that only the last one fails"));
            }
            let text = format!("expected  {expected}\nbut got   {}", failure.explained());
            (!expected.matches(failure)).then_some(text)
        }
        (Expectation::Outputs(expected), Answer::Failure(index, failure)) => {
            let text = failed(*index, inputs, failure);
            Some(format!("{text}\nexpected was no failure, but {}", events(expected.len())))
        }
        (Expectation::Failure(expected), Answer::Outputs(outputs)) => Some(format!(
            "expected was a failure, {expected},\nbut the handler returned {}",
            returned(outputs)
        )),
    }
}

fn compare(expected: &[ExpectedEvent], outputs: &[Output]) -> Option<String> {
    let fits = expected.len() == outputs.len()
        && expected.iter().zip(outputs).all(|(expected, output)| expected.matches(&output.event));
    if fits {
        return None;
    }
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for (expected, output) in expected.iter().zip(outputs) {
        let (expected, actual) = expected.beside(&output.event);
        left.push(expected);
        right.push(actual);
    }
    left.extend(expected.iter().skip(outputs.len()).map(ExpectedEvent::alone));
    right.extend(outputs.iter().skip(expected.len()).map(Output::shown));
    let mut text = String::from("the outputs differ: - expected, + returned");
    if expected.len() != outputs.len() {
        text +=
            &format!("; expected {}, returned {}", events(expected.len()), events(outputs.len()));
    }
    Some(format!("{text}\n\n{}", diff::lines(&pretty(&left), &pretty(&right))))
}

impl Output {
    /// Complete, as `out.json` would hold it when there are several topics to write to.
    pub(super) fn shown(&self) -> Shown {
        let event = &self.event;
        Shown {
            topic: Some(event.topic.to_string()),
            timestamp_ms: self.own_timestamp.then_some(event.timestamp_ms),
            key: Some(ShownBytes::of(event.key.as_deref())),
            value: Some(ShownBytes::of(event.value.as_deref())),
            headers: Some(ShownHeader::list(&event.headers)),
            ..Shown::default()
        }
    }
}

/// What a handler returned, in full.
pub(super) fn returned(outputs: &[Output]) -> String {
    if outputs.is_empty() {
        return "no event".to_owned();
    }
    let shown: Vec<_> = outputs.iter().map(Output::shown).collect();
    format!("{}:\n\n{}", events(outputs.len()), diff::readable(&pretty(&shown)))
}

/// That an input failed, and how.
pub(super) fn failed(index: usize, inputs: usize, failure: &Failure) -> String {
    match inputs {
        1 => format!("the handler failed: {}", failure.explained()),
        _ => {
            let place = format!("at input {} of {inputs}", index + 1);
            format!("the handler failed {place}: {}", failure.explained())
        }
    }
}

fn events(count: usize) -> String {
    match count {
        0 => "no event".to_owned(),
        1 => "1 event".to_owned(),
        count => format!("{count} events"),
    }
}
