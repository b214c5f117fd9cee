//! `lockstep new`: a folder with a handler that builds, passes its cases and runs.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use super::arguments::own_topic_name;
use super::exit::{CliError, ExitCode};
use super::shell;
use super::stdout::Stdout;
use crate::scaffold::{self, Language, Scaffold};

/// Make a new handler.
///
/// Writes a folder with a handler that builds, passes its own cases and runs with `lockstep dev`:
/// code whose logic is apart from the component, tests, cases, the manifest and a copy of the
/// contract. The last part of PATH is the handler's name. Nothing is installed and nothing fetched;
/// the first build does that.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  lockstep new weather
  lockstep new weather --lang javascript
  lockstep new handlers/invoices --fallible --from orders --to invoices --to reminders")]
pub(super) struct NewArgs {
    /// Folder to make; its name becomes the handler's
    #[arg(value_name = "PATH")]
    path: PathBuf,

    /// What to write it in
    #[arg(long, value_enum, value_name = "LANGUAGE", default_value_t)]
    lang: Lang,

    /// For a handler that says what failed, and whether another attempt makes sense: the world
    /// `fallible-handler`
    #[arg(long)]
    fallible: bool,

    /// A topic to read from; may be repeated [default: NAME-in]
    #[arg(long, value_name = "TOPIC", value_parser = own_topic_name)]
    from: Vec<String>,

    /// A topic to write to; may be repeated, the first is the default [default: NAME-out]
    #[arg(long, value_name = "TOPIC", value_parser = own_topic_name)]
    to: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Lang {
    /// Rust, with plain cargo
    #[default]
    Rust,
    /// Rust, with `cargo component`
    RustComponent,
    /// JavaScript
    #[value(alias = "js")]
    Javascript,
    /// Python
    Python,
    /// C
    C,
}

impl From<Lang> for Language {
    fn from(lang: Lang) -> Self {
        match lang {
            Lang::Rust => Self::Rust,
            Lang::RustComponent => Self::RustComponent,
            Lang::Javascript => Self::JavaScript,
            Lang::Python => Self::Python,
            Lang::C => Self::C,
        }
    }
}

pub(super) fn new(args: &NewArgs) -> anyhow::Result<ExitCode> {
    let scaffold = scaffold(args).map_err(CliError::Usage)?;
    scaffold
        .write(&args.path)
        .with_context(|| format!("failed to make handler {:?}", scaffold.name))?;
    let mut out = Stdout::new();
    out.text(&next_steps(&args.path, &scaffold))?;
    out.flush()?;
    Ok(ExitCode::Success)
}

/// What is to be made, or why it cannot be.
fn scaffold(args: &NewArgs) -> Result<Scaffold, String> {
    let name = args.path.file_name().map(|name| name.to_string_lossy().into_owned());
    let name =
        name.ok_or_else(|| format!("{:?} does not end in the name of a handler", args.path))?;
    scaffold::check_name(&name)?;
    let or_default = |topics: &[String], end: &str| match topics {
        [] => vec![format!("{name}-{end}")],
        given => given.to_vec(),
    };
    let (from, to) = (or_default(&args.from, "in"), or_default(&args.to, "out"));
    for topics in [&from, &to] {
        let repeated = |(at, topic)| topics[..at].contains(topic);
        if let Some((_, topic)) = topics.iter().enumerate().find(|pair| repeated(*pair)) {
            return Err(format!("topic {topic:?} is named twice"));
        }
    }
    let dead_letters = format!("{name}.dead-letters");
    if let Some(topic) = from.iter().find(|topic| to.contains(topic) || **topic == dead_letters) {
        return Err(format!(
            "topic {topic:?} would be read and written: every output would come back as an input, \
             without end"
        ));
    }
    Ok(Scaffold { language: args.lang.into(), fallible: args.fallible, name, from, to })
}

fn next_steps(folder: &Path, scaffold: &Scaffold) -> String {
    let Scaffold { name, language, fallible, .. } = scaffold;
    let world = if *fallible { "fallible-handler" } else { "handler" };
    let program = shell::program();
    format!(
        "Made handler {name} in {} ({}, world {world}).\n\n\
         Next:\n  \
         cd {}\n  \
         {program} dev\n\n\
         README.md says where to begin; handler.toml says what it reads and writes.\n",
        folder.display(),
        language.name(),
        shell::word(&folder.to_string_lossy()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(path: &str, from: &[&str], to: &[&str]) -> NewArgs {
        let topics = |topics: &[&str]| topics.iter().map(|&topic| topic.to_owned()).collect();
        let (from, to) = (topics(from), topics(to));
        NewArgs { path: path.into(), lang: Lang::Rust, fallible: false, from, to }
    }

    #[test]
    fn the_last_part_of_the_path_is_the_name_and_names_the_topics() {
        let made = scaffold(&args("some/where/weather", &[], &[])).unwrap();
        assert_eq!(made.name, "weather");
        assert_eq!((made.from, made.to), (vec!["weather-in".into()], vec!["weather-out".into()]));
        let made = scaffold(&args("weather/", &["a"], &["b", "c"])).unwrap();
        assert_eq!(made.name, "weather");
        assert_eq!((made.from, made.to), (vec!["a".into()], vec!["b".into(), "c".into()]));
    }

    #[test]
    fn what_could_not_run_is_refused() {
        for (path, from, to, problem) in [
            ("..", &[][..], &[][..], "does not end in the name"),
            ("my handler", &[], &[], "try \"my-handler\""),
            ("h", &["a", "a"], &[], "named twice"),
            ("h", &["a"], &["b", "a"], "without end"),
            ("h", &["h.dead-letters"], &[], "without end"),
        ] {
            let refused = scaffold(&args(path, from, to)).unwrap_err();
            assert!(refused.contains(problem), "{path}: {refused}");
        }
    }
}
