//! `lockstep check`: everything that can be known about a configuration without a log. Starts
//! nothing, creates nothing, and goes on after a problem: every handler and component is looked
//! at, and of each file everything that is wrong with its keys and values is told.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytesize::ByteSize;
use clap::Args;
use serde::Serialize;

use super::exit::ExitCode;
use super::problem::Problem;
use super::progress::Progress;
use super::stdout::{OutputFormat, Stdout};
use super::{sandbox, shell};
use crate::config::{self, HostConfig};
use crate::deployment::{self, trigger};
use crate::handler::Handler;
use crate::log::kafka;
use crate::server;
use crate::wasm::Runtime;

/// Check a configuration, its handlers and their components.
///
/// Reads the configuration and every manifest, compiles every component, checks what it imports
/// and exports, and reports what is wrong in each of the files, with the fix. The log is not
/// asked: this works without brokers, as a step before a deployment. Exits with 0 when a host can
/// start, with 2 when it cannot.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  lockstep check --config lockstep.toml
  lockstep check --config lockstep.toml --output json | jq .problems")]
pub(super) struct CheckArgs {
    /// The host's configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,

    /// Form of the report
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    output: OutputFormat,
}

/// What was found.
#[derive(Debug, Serialize)]
struct Report {
    ok: bool,
    config: String,
    handlers: Vec<HandlerReport>,
    problems: Vec<Problem>,
    /// What works, and perhaps not as it was meant.
    warnings: Vec<String>,
}

/// A handler whose manifest could be read.
#[derive(Debug, Serialize)]
struct HandlerReport {
    name: String,
    manifest: String,
    from: Vec<String>,
    to: Vec<String>,
    component: String,
    /// `None` when there is no component to look into; the problems say why.
    program: Option<ProgramReport>,
}

/// A component, whether or not a host can run it.
#[derive(Debug, Serialize)]
struct ProgramReport {
    bytes: u64,
    /// `None` when it implements none; the problems say what is expected.
    world: Option<String>,
    imports: Vec<String>,
    /// The imports that the host does not provide.
    missing: Vec<String>,
    exports: Vec<String>,
}

pub(super) fn check(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let report = inspect(&args.config)?;
    let mut out = Stdout::new();
    match args.output {
        OutputFormat::Json => out.json(&report)?,
        OutputFormat::Text => out.text(&text(&report))?,
    }
    out.flush()?;
    Ok(if report.ok { ExitCode::Success } else { ExitCode::Usage })
}

fn inspect(file: &Path) -> anyhow::Result<Report> {
    let (mut reports, mut problems, mut warnings) = (Vec::new(), Vec::new(), Vec::new());
    match HostConfig::load(file) {
        Err(error) => problems.extend(Problem::all(error)),
        Ok(mut config) => {
            let properties = config.kafka.as_ref().map_or(Ok(()), kafka::check_properties);
            problems.extend(properties.err().map(Problem::from));
            problems.extend(server::check_access(&config).err().into_iter().flat_map(Problem::all));
            let runtime = sandbox::of_author()?;
            let (mut manifests, mut handlers) = (Vec::new(), Vec::new());
            for manifest in config.handlers {
                match deployment::load(&manifest) {
                    Err(error) => problems.extend(Problem::all(error)),
                    Ok(handler) => {
                        reports.push(inspect_handler(&runtime, &manifest, &handler, &mut problems));
                        warnings.extend(trigger::in_vain(&handler));
                        manifests.push(manifest);
                        handlers.push(handler);
                    }
                }
            }
            // What could be read is compared, whatever else is wrong.
            config.handlers = manifests;
            if let Err(error) = config::cross_check(&config, &handlers) {
                problems.push(error.into());
            }
        }
    }
    let (ok, config) = (problems.is_empty(), file.display().to_string());
    Ok(Report { ok, config, handlers: reports, problems, warnings })
}

fn inspect_handler(
    runtime: &Runtime,
    manifest: &Path,
    handler: &Handler,
    problems: &mut Vec<Problem>,
) -> HandlerReport {
    let program = inspect_component(runtime, manifest, handler, problems);
    let names = |topics: &[Arc<str>]| topics.iter().map(ToString::to_string).collect();
    HandlerReport {
        name: handler.name.clone(),
        manifest: manifest.display().to_string(),
        from: names(&handler.from),
        to: names(&handler.to),
        component: handler.component.display().to_string(),
        program,
    }
}

fn inspect_component(
    runtime: &Runtime,
    manifest: &Path,
    handler: &Handler,
    problems: &mut Vec<Problem>,
) -> Option<ProgramReport> {
    let path = &handler.component;
    let read = fs::read(path).map_err(|error| {
        let folder = manifest.parent().unwrap_or(manifest);
        let fix = format!(
            "build it with `lockstep build {}`, or correct `component` in {manifest:?}",
            shell::word(&folder.to_string_lossy())
        );
        Problem::new(path, format!("the component cannot be read: {error}"), Some(fix))
    });
    let bytes = read.map_err(|problem| problems.push(problem)).ok()?;
    let _progress = Progress::start(format!("compiling {}", handler.name));
    let inspection = match runtime.load(&Arc::new(handler.clone()), &bytes) {
        Ok(program) => program.inspection().clone(),
        Err(error) => {
            // The message names the fix.
            problems.push(Problem::new(path, format!("{error:#}"), None));
            // What is no component at all fails for the same reason again.
            runtime.inspect(&bytes).ok()?
        }
    };
    Some(ProgramReport {
        bytes: bytes.len() as u64,
        world: inspection.world().ok().map(|world| world.to_string()),
        imports: inspection.imports,
        missing: inspection.missing,
        exports: inspection.exports,
    })
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    for handler in &report.handlers {
        text += &handler_text(handler);
        text.push('\n');
    }
    for warning in &report.warnings {
        text += &format!("warning: {warning}\n");
    }
    for problem in &report.problems {
        text += &format!("problem: {problem}\n");
    }
    match report.problems.len() {
        0 => text += &format!("{}: ok\n", report.config),
        1 => text += &format!("{}: 1 problem\n", report.config),
        n => text += &format!("{}: {n} problems\n", report.config),
    }
    text
}

fn handler_text(handler: &HandlerReport) -> String {
    let mut text = format!("handler {}\n", handler.name);
    let mut line = |name: &str, value: &str| text += &format!("  {name:<9}  {value}\n");
    let list = |names: &[String]| match names {
        [] => "(none)".to_owned(),
        names => names.join(", "),
    };
    line("manifest", &handler.manifest);
    line("from", &list(&handler.from));
    line("to", &list(&handler.to));
    line("component", &handler.component);
    match &handler.program {
        None => line("", "(unusable, see below)"),
        Some(program) => {
            line("size", &ByteSize(program.bytes).to_string());
            line("world", program.world.as_deref().unwrap_or("(none)"));
            let ProgramReport { imports, missing, exports, .. } = program;
            for (name, list) in [("imports", imports), ("missing", missing), ("exports", exports)] {
                let entries = list.iter().map(String::as_str);
                let names = std::iter::once(name).chain(std::iter::repeat(""));
                entries.zip(names).for_each(|(entry, name)| line(name, entry));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(problems: Vec<Problem>) -> Report {
        let program = ProgramReport {
            bytes: 2048,
            world: Some("handler".to_owned()),
            imports: vec!["a".to_owned(), "b".to_owned()],
            missing: vec![],
            exports: vec![],
        };
        let handler = HandlerReport {
            name: "weather".to_owned(),
            manifest: "weather/handler.toml".to_owned(),
            from: vec!["in".to_owned()],
            to: vec![],
            component: "weather.wasm".to_owned(),
            program: Some(program),
        };
        let ok = problems.is_empty();
        let config = "lockstep.toml".to_owned();
        Report { ok, config, handlers: vec![handler], problems, warnings: Vec::new() }
    }

    #[test]
    fn a_sound_configuration_is_shown_with_what_its_components_use() {
        assert_eq!(
            text(&report(vec![])),
            "handler weather\n  manifest   weather/handler.toml\n  from       in\n  \
             to         (none)\n  component  weather.wasm\n  size       2.0 KiB\n  \
             world      handler\n  imports    a\n             b\n\nlockstep.toml: ok\n"
        );
    }

    #[test]
    fn a_component_that_cannot_run_is_listed_with_what_is_missing() {
        let dir = tempfile::TempDir::new().unwrap();
        let write = |name: &str, content: &[u8]| fs::write(dir.path().join(name), content).unwrap();
        let component = r#"(component
            (import "acme:db/query@1.0.0" (instance (export "run" (func))))
            (instance $nothing)
            (export "acme:other/extra@1.0.0" (instance $nothing)))"#;
        write("lockstep.toml", b"handlers = [\"handler.toml\"]");
        let manifest = b"name = \"h\"\ncomponent = \"h.wasm\"\nfrom = [\"in\"]\nto = [\"out\"]";
        write("handler.toml", manifest);
        write("h.wasm", &wat::parse_str(component).unwrap());
        let report = inspect(&dir.path().join("lockstep.toml")).unwrap();
        assert_eq!((report.ok, report.problems.len()), (false, 1), "{report:?}");
        let text = text(&report);
        for line in [
            "  world      (none)\n",
            "  imports    acme:db/query@1.0.0\n",
            "  missing    acme:db/query@1.0.0\n",
            "  exports    acme:other/extra@1.0.0\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
        write("h.wasm", b"no component");
        let report = inspect(&dir.path().join("lockstep.toml")).unwrap();
        assert!(report.handlers[0].program.is_none() && !report.ok, "{report:?}");
    }

    #[test]
    fn every_problem_is_shown_with_file_and_fix() {
        let problem = |file: &str| {
            Problem::new(Path::new(file), "it is wrong", Some("put it right".to_owned()))
        };
        let text = text(&report(vec![problem("a.toml"), problem("b.toml")]));
        assert!(
            text.ends_with(
                "problem: a.toml: it is wrong; put it right\n\
                 problem: b.toml: it is wrong; put it right\nlockstep.toml: 2 problems\n"
            ),
            "{text}"
        );
    }
}
