//! The manifest of a handler, `handler.toml`: parsed and checked before anything starts.
//!
//! Becomes a [`Handler`] that can be relied upon, or an error that names the file, the key, the
//! problem and the fix. Does not ask whether the component exists: it may be built later.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

use super::aliases::{self, AliasesToml};
use crate::config::checked::{Checked, Fallback, Rule};
use crate::config::decode::{self, Examples};
use crate::config::names::{Command, FilePath, GroupName, HandlerName, Text};
use crate::config::scalars::{Choices, Count, Millis, OneOf, Size, Tenths, duration_text};
use crate::config::topics::{self, Name, TopicToml};
use crate::config::{ConfigError, MANIFEST};
use crate::handler::{Handler, Instances, Limits, OnFailure, Provenance};
use crate::log::{BatchBounds, Start};
use crate::property::Property;
use crate::retry::RetryPolicy;

const EXAMPLES: Examples = &[
    ("name", "name = \"weather\""),
    ("component", "component = \"target/wasm32-wasip2/release/weather.wasm\""),
    ("from", "from = [\"orders\"]"),
    ("to", "to = [\"invoices\"]"),
    ("skip", "skip = [\"deterministic\"]"),
    ("topics", "[[topics]] with the line name = \"orders\" below it"),
];

/// A pause of more than a day is a mistake.
const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// Faults in a row that lead to a rollback, where the manifest does not say how many.
const ROLLBACK_AFTER: u32 = 5;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ManifestToml {
    name: Checked<HandlerName>,
    component: Checked<FilePath>,
    from: Vec<Name>,
    #[serde(default)]
    to: Vec<Name>,
    group: Option<Checked<GroupName>>,
    dead_letter_topic: Option<Name>,
    #[serde(default)]
    start: OneOf<Start>,
    #[serde(default)]
    workers: Count<1, 64, 1>,
    #[serde(default)]
    instances: OneOf<Instances>,
    #[serde(default)]
    on_failure: OneOf<OnFailure>,
    on_fault: Option<OneOf<OnFault>>,
    #[serde(default)]
    provenance: Checked<ProvenanceRule>,
    #[serde(default)]
    retry: RetryToml,
    rollback: Option<RollbackToml>,
    #[serde(default)]
    limits: LimitsToml,
    #[serde(default)]
    batch: BatchToml,
    #[serde(default)]
    aliases: AliasesToml,
    #[serde(default)]
    config: BTreeMap<String, Checked<Text>>,
    #[serde(default)]
    build: BuildToml,
    #[serde(default)]
    test: TestToml,
    #[serde(default)]
    topics: Vec<TopicToml>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct RetryToml {
    attempts: Count<1, 1_000, 5>,
    initial: Millis<1, DAY_MS, 100>,
    max: Millis<1, DAY_MS, 30_000>,
    multiplier: Tenths<10, 100, 20>,
    jitter: Tenths<0, 10, 5>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct RollbackToml {
    faults: Option<Count<1, 1_000, ROLLBACK_AFTER>>,
}

/// What a row of faults leads to, beside what becomes of their events.
#[derive(Clone, Copy)]
enum OnFault {
    Rollback,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct LimitsToml {
    memory: Size<{ 64 << 10 }, { 4 << 30 }, { 64 << 20 }>,
    time: Millis<1, 600_000, 1_000>,
    stack: Size<{ 64 << 10 }, { 8 << 20 }, { 512 << 10 }>,
    table_elements: Count<1, 10_000_000, 100_000>,
    instances: Count<1, 10_000, 64>,
    output_events: Count<1, 1_000_000, 1_000>,
    output_bytes: Size<1, { 1 << 30 }, { 4 << 20 }>,
    log_lines_per_second: Count<0, 1_000_000, 100>,
    log_line_bytes: Size<1, { 1 << 20 }, { 4 << 10 }>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct BatchToml {
    events: Count<1, 1_000_000, 10_000>,
    bytes: Size<1, { 1 << 30 }, { 8 << 20 }>,
    interval: Millis<1, 10_000, 100>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct BuildToml {
    command: Option<Checked<Command>>,
    watch: Vec<Checked<FilePath>>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct TestToml {
    skip: Vec<OneOf<Property>>,
}

impl Choices for Property {
    const WORDS: &'static [(&'static str, Self)] = &words();
    /// Never used: in a list nothing is left out.
    const DEFAULT: Self = Self::Deterministic;
}

/// The names of the properties, as the words of a [`OneOf`].
const fn words() -> [(&'static str, Property); Property::ALL.len()] {
    let mut words = [("", Property::Deterministic); Property::ALL.len()];
    let mut index = 0;
    while index < words.len() {
        words[index] = (Property::ALL[index].as_str(), Property::ALL[index]);
        index += 1;
    }
    words
}

/// What outputs say of where they came from: a switch, or a word for more.
enum ProvenanceRule {}

impl Rule for ProvenanceRule {
    type Value = Provenance;

    fn what() -> String {
        "true, false or \"transaction\"".to_owned()
    }

    fn example() -> String {
        "true".to_owned()
    }

    fn boolean(value: bool) -> Result<Provenance, String> {
        Ok(if value { Provenance::Source } else { Provenance::None })
    }

    fn text(text: &str) -> Result<Provenance, String> {
        if text == "transaction" { Ok(Provenance::Transaction) } else { Err(String::new()) }
    }
}

impl Fallback for ProvenanceRule {
    fn fallback() -> Provenance {
        Provenance::Source
    }
}

impl Choices for Start {
    const WORDS: &'static [(&'static str, Self)] =
        &[("earliest", Self::Earliest), ("latest", Self::Latest)];
    const DEFAULT: Self = Self::Earliest;
}

impl Choices for Instances {
    const WORDS: &'static [(&'static str, Self)] =
        &[("reused", Self::Reused), ("per-event", Self::PerEvent)];
    const DEFAULT: Self = Self::Reused;
}

impl Choices for OnFailure {
    const WORDS: &'static [(&'static str, Self)] =
        &[("dead-letter", Self::DeadLetter), ("stop", Self::Stop)];
    const DEFAULT: Self = Self::DeadLetter;
}

impl Choices for OnFault {
    const WORDS: &'static [(&'static str, Self)] = &[("rollback", Self::Rollback)];
    /// Never used: a key that is left out is none of the words.
    const DEFAULT: Self = Self::Rollback;
}

/// Reads and checks a manifest, or that in a folder. The handler's revision is 1.
pub fn load(path: &Path) -> Result<Handler, ConfigError> {
    let file = if path.is_dir() { path.join(MANIFEST) } else { path.to_owned() };
    if !file.exists() {
        return Err(ConfigError::new(
            &file,
            "",
            "there is no such file",
            "a handler is a folder with a handler.toml; make one with the lines name = \
             \"weather\", component = \"weather.wasm\", from = [\"orders\"] and to = [\"invoices\"]",
        ));
    }
    let toml: ManifestToml = decode::read(&file, EXAMPLES)?;
    handler(&file, toml)
}

/// Checks the text of a manifest that was deployed; `origin` names it in errors. The handler's
/// revision is 1.
pub fn parse(origin: &Path, text: &str) -> Result<Handler, ConfigError> {
    handler(origin, decode::decode(origin, text, EXAMPLES)?)
}

fn handler(file: &Path, toml: ManifestToml) -> Result<Handler, ConfigError> {
    let from = names(file, "from", toml.from)?;
    let to = names(file, "to", toml.to)?;
    let name = toml.name.0;
    let dead_letter_topic = match toml.dead_letter_topic {
        Some(topic) => topic.0,
        None => format!("{name}.dead-letters").into(),
    };
    check_routes(file, &from, &to, &dead_letter_topic)?;
    let aliases = aliases::check(file, toml.aliases, &from, &to)?;
    let folder = file.parent().unwrap_or(Path::new(""));
    Ok(Handler {
        revision: 1,
        component: folder.join(toml.component.0),
        from,
        to,
        group: toml.group.map_or_else(|| format!("lockstep-{name}"), |group| group.0),
        dead_letter_topic,
        start: toml.start.0,
        workers: toml.workers.0,
        instances: toml.instances.0,
        on_failure: toml.on_failure.0,
        rollback_after: rollback_after(file, toml.on_fault, toml.rollback, toml.on_failure.0)?,
        provenance: toml.provenance.0,
        retry: retry(file, &toml.retry)?,
        limits: limits(&toml.limits),
        batch: BatchBounds { events: toml.batch.events.0 as usize, bytes: toml.batch.bytes.0 },
        interval: toml.batch.interval.0,
        aliases,
        config: toml.config.into_iter().map(|(key, value)| (key, value.0)).collect(),
        topics: topics::specs(file, toml.topics)?,
        test_skip: toml.test.skip.into_iter().map(|property| property.0).collect(),
        build_command: toml.build.command.map(|command| command.0),
        build_watch: toml.build.watch.into_iter().map(|path| folder.join(path.0)).collect(),
        name,
    })
}

fn names(file: &Path, key: &str, names: Vec<Name>) -> Result<Vec<Arc<str>>, ConfigError> {
    let names: Vec<_> = names.into_iter().map(|name| name.0).collect();
    match topics::repeated(&names) {
        Some((index, name)) => {
            let problem = format!("topic {name:?} is named twice");
            Err(ConfigError::new(file, format!("{key}[{index}]"), problem, "name each topic once"))
        }
        None => Ok(names),
    }
}

fn check_routes(
    file: &Path,
    from: &[Arc<str>],
    to: &[Arc<str>],
    dead_letter_topic: &Arc<str>,
) -> Result<(), ConfigError> {
    if from.is_empty() {
        let fix = "name at least one source topic, for example from = [\"orders\"]";
        return Err(ConfigError::new(file, "from", "the list is empty", fix));
    }
    if let Some(index) = to.iter().position(|topic| from.contains(topic)) {
        let problem = format!(
            "topic {:?} is in `from` too: every output would come back as an input, without end",
            to[index]
        );
        let fix = "write the outputs to another topic, for example to = [\"invoices\"]";
        return Err(ConfigError::new(file, format!("to[{index}]"), problem, fix));
    }
    if from.contains(dead_letter_topic) {
        let problem = format!(
            "topic {dead_letter_topic:?} is in `from` too: every dead letter would come back as \
             an input, without end"
        );
        let fix = "use another topic, for example dead_letter_topic = \"weather.dead-letters\"";
        return Err(ConfigError::new(file, "dead_letter_topic", problem, fix));
    }
    Ok(())
}

fn retry(file: &Path, toml: &RetryToml) -> Result<RetryPolicy, ConfigError> {
    let (initial, max) = (toml.initial.0, toml.max.0);
    if initial > max {
        return Err(ConfigError::new(
            file,
            "retry.initial",
            format!("{:?} is longer than retry.max", duration_text(initial)),
            format!("lower it to {:?} or less, or raise retry.max", duration_text(max)),
        ));
    }
    Ok(RetryPolicy {
        attempts: toml.attempts.0,
        initial,
        max,
        multiplier: toml.multiplier.0,
        jitter: toml.jitter.0,
    })
}

fn rollback_after(
    file: &Path,
    on_fault: Option<OneOf<OnFault>>,
    rollback: Option<RollbackToml>,
    on_failure: OnFailure,
) -> Result<Option<u32>, ConfigError> {
    let Some(Checked(OnFault::Rollback)) = on_fault else {
        return match rollback {
            None => Ok(None),
            Some(_) => Err(ConfigError::new(
                file,
                "on_fault",
                "is missing, and without it the table [rollback] says nothing",
                "write on_fault = \"rollback\", or leave the table [rollback] out",
            )),
        };
    };
    match (rollback.and_then(|toml| toml.faults).map(|faults| faults.0), on_failure) {
        (Some(faults), OnFailure::Stop) if faults > 1 => Err(ConfigError::new(
            file,
            "rollback.faults",
            format!(
                "{faults} faults in a row may never come: on_failure = \"stop\" halts a partition \
                 at its first one"
            ),
            "lower it to 1, or write on_failure = \"dead-letter\"",
        )),
        (None, OnFailure::Stop) => Ok(Some(1)),
        (faults, _) => Ok(Some(faults.unwrap_or(ROLLBACK_AFTER))),
    }
}

fn limits(toml: &LimitsToml) -> Limits {
    Limits {
        memory: toml.memory.0,
        time: toml.time.0,
        stack: toml.stack.0,
        table_elements: toml.table_elements.0 as usize,
        instances: toml.instances.0 as usize,
        output_events: toml.output_events.0 as usize,
        output_bytes: toml.output_bytes.0,
        log_lines_per_second: toml.log_lines_per_second.0,
        log_line_bytes: toml.log_line_bytes.0,
    }
}
