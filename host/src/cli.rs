//! The command line: what a person or a script asks of Lockstep, and how it answers.
//!
//! Results go to stdout, logs and errors to stderr, and the exit code says what kind of failure
//! it was ([`ExitCode`]). Commands only parse, ask and print: what they promise about events is
//! kept behind the seams they call.

mod arguments;
mod audit;
mod build;
mod building;
mod check;
mod completions;
mod confirm;
mod consume;
mod deploy;
mod dev;
mod exit;
mod folders;
mod group;
mod handler;
mod invitation;
mod key;
mod logging;
mod lookup;
mod new;
mod pipeline;
mod problem;
mod produce;
mod progress;
mod push;
mod registry;
mod registry_options;
mod render;
mod run;
mod sandbox;
mod selection;
mod shell;
mod sign;
mod sources;
mod stdout;
mod table;
mod terminal;
mod test;
mod token;
mod topic;
mod waiting;

use clap::{CommandFactory, Parser, Subcommand};

pub use exit::ExitCode;

/// A serverless-style host for WebAssembly event handlers on Kafka, with exactly-once.
///
/// A handler is a WebAssembly component with one function: an event in, a list of events out.
/// Lockstep reads the handler's source topics, calls it for each event, and commits the outputs,
/// the dead letters and the consumed offsets in one transaction. Without brokers it keeps the
/// events in an embedded log in a directory; with brokers it runs on Kafka.
#[derive(Debug, Parser)]
#[command(name = "lockstep", version, max_term_width = 100, after_help = EXAMPLES)]
#[command(after_long_help = LONG_EXAMPLES)]
struct Cli {
    #[command(flatten)]
    logging: logging::LoggingArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

const EXAMPLES: &str = "\
Examples:
  lockstep new weather                             Make a handler
  lockstep dev                                     Build and run the handlers found here
  lockstep run --config lockstep.toml              Run a host
  lockstep consume destination-topic --follow      Watch a topic
  lockstep help dev                                Everything about one command";

const LONG_EXAMPLES: &str = "\
Examples:
  lockstep new weather                             Make a handler
  lockstep dev                                     Build and run the handlers found here
  lockstep run --config lockstep.toml              Run a host
  lockstep consume destination-topic --follow      Watch a topic
  lockstep help dev                                Everything about one command

Exit codes:
  0    success
  1    failure at run time
  2    wrong usage or bad configuration
  3    a topic, group or token that was named does not exist
  4    the log cannot be reached
  130  ended at once by a second Ctrl-C";

#[derive(Debug, Subcommand)]
enum Command {
    New(new::NewArgs),
    Build(build::BuildArgs),
    Run(run::RunArgs),
    Check(check::CheckArgs),
    Dev(dev::DevArgs),
    Test(test::TestArgs),
    Audit(Box<audit::AuditArgs>),
    Deploy(Box<deploy::DeployArgs>),
    #[command(subcommand)]
    Handler(handler::HandlerCommand),
    #[command(subcommand)]
    Topic(topic::TopicCommand),
    Produce(produce::ProduceArgs),
    Consume(consume::ConsumeArgs),
    #[command(subcommand)]
    Group(group::GroupCommand),
    #[command(subcommand)]
    Token(token::TokenCommand),
    #[command(subcommand)]
    Key(key::KeyCommand),
    Sign(sign::SignArgs),
    Push(push::PushArgs),
    Completions(completions::CompletionsArgs),
}

/// Runs the command line of this process and says how it ended.
pub fn main() -> std::process::ExitCode {
    let cli = Cli::parse();
    logging::init(&cli.logging);
    let code = match dispatch(cli.command) {
        Ok(code) => code,
        Err(error) => exit::report(&error),
    };
    code.into()
}

fn dispatch(command: Option<Command>) -> anyhow::Result<ExitCode> {
    match command {
        None => {
            let mut out = stdout::Stdout::new();
            out.text(&Cli::command().render_help().to_string())?;
            out.flush()?;
            Ok(ExitCode::Success)
        }
        Some(Command::New(args)) => new::new(&args),
        Some(Command::Build(args)) => build::build(&args),
        Some(Command::Run(args)) => run::run(&args),
        Some(Command::Check(args)) => check::check(&args),
        Some(Command::Dev(args)) => dev::dev(&args),
        Some(Command::Test(args)) => test::test(&args),
        Some(Command::Audit(args)) => audit::audit(&args),
        Some(Command::Deploy(args)) => deploy::deploy(&args),
        Some(Command::Handler(command)) => handler::run(&command),
        Some(Command::Topic(command)) => topic::run(&command),
        Some(Command::Produce(args)) => produce::produce(args),
        Some(Command::Consume(args)) => consume::consume(&args),
        Some(Command::Group(command)) => group::run(&command),
        Some(Command::Token(command)) => token::run(&command),
        Some(Command::Key(command)) => key::run(&command),
        Some(Command::Sign(args)) => sign::sign(&args),
        Some(Command::Push(args)) => push::push(&args),
        Some(Command::Completions(args)) => completions::completions(&args, Cli::command()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_explains_itself_with_examples() {
        fn visit(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            assert!(command.get_about().is_some(), "{path} has no summary");
            assert!(command.get_long_about().is_some(), "{path} has no paragraph");
            let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(examples.starts_with("Examples:\n"), "{path} has no examples");
            command.get_subcommands().for_each(|inner| visit(inner, &path));
        }
        visit(&Cli::command(), "");
    }

    #[test]
    fn one_log_is_selected_at_a_time() {
        for line in [
            "lockstep topic list --config a.toml --brokers b:1",
            "lockstep topic list --config a.toml --data-dir d",
            "lockstep consume t --brokers b:1 --data-dir d",
            "lockstep produce t -X a=b",
            "lockstep dev --brokers b:1 --data-dir d",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
        for line in [
            "lockstep topic list",
            "lockstep topic list --config a.toml",
            "lockstep topic list --data-dir d",
            "lockstep consume t --brokers b:1,c:2 -X security.protocol=ssl -X a=b=c",
            "lockstep dev --brokers b:1 -X a=b",
        ] {
            assert!(parse(line).is_ok(), "{line}");
        }
    }

    #[test]
    fn what_is_produced_comes_from_one_place() {
        for line in [
            "lockstep produce t --value v --file f",
            "lockstep produce t --value v --tombstone",
            "lockstep produce t --file f --tombstone",
            "lockstep produce t --partition -1",
            "lockstep produce a/b --value v",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
        assert!(parse("lockstep produce t --key k --header a=b --header c=d --value -1").is_ok());
    }

    #[test]
    fn wrong_usage_exits_with_two() {
        for line in
            ["lockstep dance", "lockstep run", "lockstep topic", "lockstep consume t --from x"]
        {
            assert_eq!(parse(line).err().map(|e| e.exit_code()), Some(2), "{line}");
        }
    }

    #[test]
    fn nothing_asked_is_no_error() {
        assert!(parse("lockstep").is_ok_and(|cli| cli.command.is_none()));
    }
}
