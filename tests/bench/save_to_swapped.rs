//! How long a developer waits after a save: from writing a source file until an event is answered
//! by the new revision, and where the time goes.
//!
//! The parts are the lines that `dev` logs: `notice` ends with `changed`, `build` with `built`,
//! `load` with `component loaded`, `cases` with `cases passed`, `swap` with the line that the new
//! revision runs. `answer` is the rest, until the output is read.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use lockstep::deployment;
use lockstep::handler::Handler;
use lockstep_tests::build;
use lockstep_tests::embedded::Embedded;
use lockstep_tests::event::{Has, event};
use lockstep_tests::host::Host;
use lockstep_tests::log::LogAccess;

use crate::report::{self, ms, quantile};

const PATIENCE: Duration = Duration::from_secs(600);
const PARTS: [(&str, &str); 5] = [
    ("notice", " changed "),
    ("build", " built "),
    ("load", " component loaded "),
    ("cases", " cases passed "),
    ("swap", " runs "),
];

pub(crate) fn run(folder: Option<PathBuf>, source: &Path, times: usize) {
    build::lockstep();
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let folder = folder.unwrap_or_else(|| weather(directory.path()));
    let folder = folder.canonicalize().expect("the folder exists");
    let handler = deployment::load(&folder.join("handler.toml")).expect("a manifest");
    let source = folder.join(source);
    let original = fs::read_to_string(&source).expect("the source can be read");
    let data = directory.path().join("data");
    let arguments = [folder.display().to_string(), data.display().to_string()];
    let host = Host::dev(directory.path(), &[&arguments[0], "--data-dir", &arguments[1]]);
    host.wait_until_ready();
    let log = Embedded::at(&data);
    let mut rounds = Vec::new();
    for round in 0..times.max(1) {
        rounds.push(measure(&host, &log, &handler, &source, &original, round));
    }
    fs::write(&source, &original).expect("the source can be written");
    tell(&handler.name, &rounds);
}

/// One round: all parts, then the whole.
fn measure(
    host: &Host,
    log: &Embedded,
    handler: &Handler,
    source: &Path,
    original: &str,
    round: usize,
) -> Vec<Duration> {
    let revision = round + 2;
    let saved = since_epoch();
    let begun = Instant::now();
    fs::write(source, edited(source, original, round)).expect("the source can be written");
    let line = host.logged_within(PATIENCE, &[&format!("{}@{revision} runs", handler.name)]);
    let output = host.output();
    let lines: Vec<_> = output.lines().collect();
    let at = |part: &str| {
        let is_it = |l: &&&str| l.contains(part) && time_of(l).is_some_and(|t| t >= saved);
        lines.iter().rfind(is_it).and_then(|l| time_of(l))
    };
    let mut times = Vec::new();
    let mut before = saved;
    for (_, part) in PARTS {
        let now = if part == " runs " { time_of(&line) } else { at(part) };
        let now = now.unwrap_or(before).max(before);
        times.push(now - before);
        before = now;
    }
    answer(log, handler, revision);
    let whole = begun.elapsed();
    times.push(whole.saturating_sub(times.iter().sum()));
    times.push(whole);
    times
}

/// Sends an event and waits until this revision has answered it, with outputs or a dead letter.
fn answer(log: &Embedded, handler: &Handler, revision: usize) {
    let sample = handler.component.ancestors().find_map(|f| fs::read(f.join("sample.json")).ok());
    let topics = [handler.to.first(), Some(&handler.dead_letter_topic)];
    let mut tails: Vec<_> = topics.into_iter().flatten().map(|topic| log.tail(topic)).collect();
    let input = event(&handler.from[0], sample.unwrap_or_else(|| b"{}".to_vec()));
    log.try_produce(&[(input, None)]).expect("the log takes an event");
    let label = format!("{}@{revision}", handler.name);
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        for tail in &mut tails {
            let events = tail.read(Duration::from_millis(2));
            if events.iter().any(|e| e.last_header("lockstep-handler").as_ref() == Some(&label)) {
                return;
            }
        }
    }
    panic!("{label} answered nothing");
}

/// The source with something in it that changes the component: a comment would not.
fn edited(source: &Path, original: &str, round: usize) -> String {
    let extension = source.extension().and_then(|extension| extension.to_str());
    let line = match extension {
        Some("rs") => format!(
            "#[unsafe(no_mangle)]\npub extern \"C\" fn round_{round}() -> u32 {{ {round} }}"
        ),
        Some("py") => format!("ROUND = {round}"),
        Some("js" | "ts" | "mjs") => format!("globalThis.round = {round};"),
        _ => format!("int round_{round} = {round};"),
    };
    format!("{original}\n{line}\n")
}

/// The example `weather` in a folder of its own.
fn weather(directory: &Path) -> PathBuf {
    let handlers = directory.join("handlers");
    let source = build::example_source("");
    copy(&source.join("../wit"), &directory.join("wit"));
    for name in ["weather", "wit", "Cargo.toml", "Cargo.lock"] {
        copy(&source.join(name), &handlers.join(name));
    }
    let manifest = fs::read_to_string(handlers.join("Cargo.toml")).expect("a workspace");
    let members = manifest.lines().map(|line| match line.starts_with("members") {
        true => "members = [\"weather\"]",
        false => line,
    });
    let manifest: Vec<_> = members.collect();
    fs::write(handlers.join("Cargo.toml"), manifest.join("\n")).expect("it can be written");
    handlers.join("weather")
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).expect("a folder can be made");
        for entry in fs::read_dir(from).expect("the folder can be read").flatten() {
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        fs::copy(from, to).expect("a file can be copied");
    }
}

fn tell(name: &str, rounds: &[Vec<Duration>]) {
    let median = |index: usize| {
        let mut all: Vec<_> = rounds.iter().map(|round| round[index]).collect();
        all.sort_unstable();
        quantile(&all, 0.5)
    };
    let names = PARTS.iter().map(|(name, _)| *name).chain(["answer"]);
    let parts: Vec<_> =
        names.enumerate().map(|(index, name)| format!("{name} {}", ms(median(index)))).collect();
    let mut whole: Vec<_> = rounds.iter().filter_map(|round| round.last().copied()).collect();
    whole.sort_unstable();
    report::line(&format!(
        "save-to-swapped {name}: median {}, longest {} of {}: {}",
        ms(quantile(&whole, 0.5)),
        ms(quantile(&whole, 1.0)),
        whole.len(),
        parts.join(", ")
    ));
}

/// The time at which a line was logged.
fn time_of(line: &str) -> Option<Duration> {
    let stamp = line.split_whitespace().next()?;
    let time = humantime::parse_rfc3339(stamp).ok()?;
    time.duration_since(SystemTime::UNIX_EPOCH).ok()
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
