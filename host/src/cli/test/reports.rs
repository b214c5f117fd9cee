//! Test results for programs: JSON, and JUnit's XML, which continuous integration reads.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};
use serde::Serialize;

use super::Tested;
use super::text::Counts;
use crate::runner::{CaseResult, Kind, Outcome};

/// A report that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ReportFile {
    format: Format,
    file: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Junit,
    Json,
}

/// `junit=FILE` or `json=FILE`.
pub(super) fn report_file(text: &str) -> Result<ReportFile, String> {
    let expected = || "expected junit=FILE or json=FILE".to_owned();
    let (format, file) = text.split_once('=').ok_or_else(expected)?;
    let format = match format {
        "junit" => Format::Junit,
        "json" => Format::Json,
        _ => return Err(expected()),
    };
    if file.is_empty() {
        return Err(expected());
    }
    Ok(ReportFile { format, file: file.into() })
}

impl ReportFile {
    /// Writes the report, and the folders above it that are missing.
    pub(super) fn write(&self, tested: &[Tested], took: Duration) -> anyhow::Result<()> {
        let text = match self.format {
            Format::Junit => junit(tested, took)?,
            Format::Json => {
                let report = JsonReport::new(tested, took);
                serde_json::to_string_pretty(&report).context("failed to write JSON")? + "\n"
            }
        };
        let folder = self.file.parent().unwrap_or(Path::new(""));
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&self.file, text))
            .with_context(|| format!("failed to write the report {:?}", self.file))
    }
}

fn junit(tested: &[Tested], took: Duration) -> anyhow::Result<String> {
    let mut report = quick_junit::Report::new("lockstep");
    report.set_time(took);
    for Tested { report: handler, .. } in tested {
        let mut suite = TestSuite::new(handler.handler.as_str());
        suite.set_time(handler.results.iter().map(|result| result.time).sum());
        suite.add_test_cases(
            handler.results.iter().map(|result| test_case(result, &handler.handler)),
        );
        report.add_test_suite(suite);
    }
    report.to_string().context("failed to write JUnit's XML")
}

fn test_case(result: &CaseResult, handler: &str) -> TestCase {
    let mut status = match &result.outcome {
        Outcome::Passed | Outcome::Blessed => TestCaseStatus::success(),
        Outcome::Failed(_) => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Outcome::Skipped(_) => TestCaseStatus::skipped(),
    };
    if let Outcome::Failed(reason) | Outcome::Skipped(reason) = &result.outcome {
        status.set_message(reason.lines().next().unwrap_or_default());
        if reason.lines().count() > 1 {
            status.set_description(reason.as_str());
        }
    }
    let mut case = TestCase::new(result.name.as_str(), status);
    case.set_classname(format!("{handler}.{}", kind(result.kind)));
    case.set_time(result.time);
    if result.memory > 0 {
        case.add_property(("memory_bytes", result.memory.to_string().as_str()));
    }
    case
}

/// All results, as one JSON value whose form is kept.
#[derive(Debug, Serialize)]
pub(super) struct JsonReport<'a> {
    ok: bool,
    passed: usize,
    failed: usize,
    skipped: usize,
    blessed: usize,
    time_ms: f64,
    handlers: Vec<JsonHandler<'a>>,
}

#[derive(Debug, Serialize)]
struct JsonHandler<'a> {
    handler: &'a str,
    folder: String,
    ok: bool,
    results: Vec<JsonResult<'a>>,
}

#[derive(Debug, Serialize)]
struct JsonResult<'a> {
    name: &'a str,
    kind: &'static str,
    outcome: &'static str,
    /// Why it failed or was skipped.
    message: Option<&'a str>,
    time_ms: f64,
    memory_bytes: usize,
}

impl<'a> JsonReport<'a> {
    pub(super) fn new(tested: &'a [Tested], took: Duration) -> Self {
        let Counts { passed, failed, skipped, blessed } = Counts::of(tested);
        let handler = |Tested { folder, report }: &'a Tested| JsonHandler {
            handler: &report.handler,
            folder: folder.display().to_string(),
            ok: report.passed(),
            results: report.results.iter().map(JsonResult::new).collect(),
        };
        let handlers = tested.iter().map(handler).collect();
        Self { ok: failed == 0, passed, failed, skipped, blessed, time_ms: ms(took), handlers }
    }
}

impl<'a> JsonResult<'a> {
    fn new(result: &'a CaseResult) -> Self {
        let (outcome, message) = match &result.outcome {
            Outcome::Passed => ("passed", None),
            Outcome::Blessed => ("blessed", None),
            Outcome::Failed(reason) => ("failed", Some(reason.as_str())),
            Outcome::Skipped(reason) => ("skipped", Some(reason.as_str())),
        };
        Self {
            name: &result.name,
            kind: kind(result.kind),
            outcome,
            message,
            time_ms: ms(result.time),
            memory_bytes: result.memory,
        }
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Case => "case",
        Kind::Property => "property",
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_a_form_and_a_file() {
        let junit = ReportFile { format: Format::Junit, file: "a=b.xml".into() };
        assert_eq!(report_file("junit=a=b.xml"), Ok(junit));
        for text in ["junit", "junit=", "xml=a", "=a", ""] {
            assert!(report_file(text).is_err_and(|error| error.contains("junit=FILE")), "{text}");
        }
    }
}
