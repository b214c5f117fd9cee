//! `lockstep deploy`: makes a new revision of a handler the active one, on all hosts of a fleet.

mod difference;
mod source;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytesize::ByteSize;
use clap::Args;
use serde::Serialize;

use super::arguments::{key_value, own_topic_name};
use super::exit::ExitCode;
use super::progress::Progress;
use super::registry::{RegistrySelection, operator, refused};
use super::registry_options::RegistryOptions;
use super::rollout::{self, Outcome};
use super::sandbox;
use super::stdout::{OutputFormat, Stdout};
use crate::deployment::operation::Operation;
use crate::deployment::record::{DeploymentRecord, RevisionRecord};
use crate::deployment::registry::{Deployed, Registry};
use crate::deployment::store::Store;
use crate::digest::Digest;
use crate::handler::Handler;
use crate::log::topics;
use crate::revision::Revision;
use crate::topic::TopicSpec;
use source::Source;

/// Ship a handler to all hosts of a fleet.
///
/// Builds the handler in FOLDER, or takes a component from a file or an OCI registry, checks it as a
/// host does, and writes it to the registry, which lives in the log. Every host of the fleet takes the new revision up between
/// two transactions: no event is lost or repeated, and no rebalance happens unless the
/// subscription changes. Waits until all hosts run it. If one of them cannot, the old revision is
/// made the active one again, and the reason is told.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  lockstep deploy handlers/weather --config lockstep.toml
  lockstep deploy handlers/weather --brokers broker:9092 --set minimum=error
  lockstep deploy weather.wasm --name weather --from orders --to invoices
  lockstep deploy oci://ghcr.io/acme/weather:1.2 --name weather --from orders --to invoices")]
pub(super) struct DeployArgs {
    /// A handler's folder, a component, or a reference such as oci://ghcr.io/acme/weather:1.2
    #[arg(value_name = "FOLDER|WASM|OCI", default_value = ".")]
    target: PathBuf,

    /// The handler's name, instead of the manifest's
    #[arg(long)]
    name: Option<String>,

    /// A source topic, instead of the manifest's; may be repeated
    #[arg(long, value_name = "TOPIC", value_parser = own_topic_name)]
    from: Vec<String>,

    /// A topic that it may write to, instead of the manifest's; may be repeated
    #[arg(long, value_name = "TOPIC", value_parser = own_topic_name)]
    to: Vec<String>,

    /// A setting of [config]; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    settings: Vec<(String, String)>,

    /// A limit of [limits], such as memory=128MiB; may be repeated
    #[arg(long = "limit", value_name = "KEY=VALUE", value_parser = key_value)]
    limits: Vec<(String, String)>,

    /// Sign the component with this private key; without it, a signature beside the component is
    /// taken along
    #[arg(long, value_name = "FILE", env = "LOCKSTEP_KEY")]
    key: Option<PathBuf>,

    /// Take the component as it is, without building it
    #[arg(long)]
    no_build: bool,

    /// Make the topics that are missing, with the usual number of partitions
    #[arg(long)]
    create_topics: bool,

    /// Do not wait for the hosts
    #[arg(long)]
    no_wait: bool,

    /// How long to wait for the hosts
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = humantime::parse_duration)]
    timeout: Duration,

    /// Form of the result
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    output: OutputFormat,

    #[command(flatten)]
    oci: RegistryOptions,

    #[command(flatten)]
    registry: RegistrySelection,
}

/// What was deployed.
#[derive(Debug, Serialize)]
struct Done<'a> {
    name: &'a str,
    revision: u64,
    digest: String,
    bytes: u64,
    /// `false` when what is active is the same already.
    changed: bool,
    changes: Vec<String>,
    hosts: Vec<String>,
}

pub(super) fn deploy(args: &DeployArgs) -> anyhow::Result<ExitCode> {
    let source = Source::read(args)?;
    let handler = check(&source)?;
    let handler_name = handler.name.as_str();
    let store = args.registry.open()?;
    check_topics(args, &store, &handler)?;
    let registry = store.registry()?;
    let nothing = Deployed::default();
    let before = registry.handler(&handler.name).unwrap_or(&nothing);
    let digest = Digest::of(&source.component);
    let bytes = source.component.len() as u64;
    let mut done = Done {
        name: handler_name,
        revision: before.newest() + 1,
        digest: digest.to_string(),
        bytes,
        changed: true,
        changes: changes(before, &source, digest),
        hosts: Vec::new(),
    };
    if let Some(number) = is_active(before, &source, digest) {
        (done.revision, done.changed) = (number, false);
        return show(args, &done);
    }
    let who = operator();
    let revision = RevisionRecord {
        component: digest,
        bytes,
        manifest: source.manifest.clone(),
        deployed_at: who.now,
        deployed_by: who.by.clone(),
        signature: source.signature.as_ref().map(ToString::to_string),
    };
    let operation = Operation::Deploy { revision, base: before.newest() };
    let plan = {
        let _progress = Progress::start(format!("deploying {}", handler.name));
        store.perform(&handler.name, &operation, &who, Some(&source.component)).map_err(refused)?
    };
    if let Some(wanted) = plan.deployment {
        done.revision = wanted.revision;
        if !args.no_wait {
            done.hosts = roll_out(args, &store, &registry, handler_name, &wanted)?;
        }
    }
    show(args, &done)
}

/// Checks the component on the engine of this program.
fn check(source: &Source) -> anyhow::Result<Arc<Handler>> {
    let handler = source.handler()?;
    let _progress = Progress::start(format!("checking {}", handler.name));
    let revision = Revision::of(&*sandbox::of_author()?, handler, &source.component)?;
    Ok(revision.handler)
}

/// Every topic must be there, or be declared, so that it is made.
fn check_topics(args: &DeployArgs, store: &Store, handler: &Handler) -> anyhow::Result<()> {
    let declared = |name: &Arc<str>| handler.topics.iter().any(|spec| spec.name == *name);
    let admin = store.log().admin();
    let mut missing = Vec::new();
    for name in handler.from.iter().chain(&handler.to).filter(|name| !declared(name)) {
        if args.create_topics {
            topics::ensure_exists(admin, &TopicSpec::named(name))?;
        } else if admin.topic(name)?.is_none() {
            missing.push(format!("{name:?}"));
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    bail!(
        "handler {:?} names topics that do not exist in {}: {}; make them with `lockstep topic \
         create` or --create-topics, or describe them under [[topics]] in its manifest, \
         then hosts make them",
        handler.name,
        store.log().describe(),
        missing.join(", ")
    )
}

/// The active revision, when it is just this.
fn is_active(before: &Deployed, source: &Source, digest: Digest) -> Option<u64> {
    let (number, active) = before.active()?;
    let runs = before.deployment.as_ref().is_some_and(|deployment| !deployment.paused);
    (runs && active.component == digest && active.manifest == source.manifest).then_some(number)
}

/// What is different from the active revision, a line each.
fn changes(before: &Deployed, source: &Source, digest: Digest) -> Vec<String> {
    let Some((_, active)) = before.active() else { return Vec::new() };
    let mut changes = Vec::new();
    if active.component != digest {
        let (old, new) = (ByteSize(active.bytes), ByteSize(source.component.len() as u64));
        changes.push(format!("component: {old} → {new}"));
    }
    changes.extend(difference::of(&active.manifest, &source.manifest));
    changes
}

/// Waits for the hosts; goes back to what ran before when one of them cannot.
fn roll_out(
    args: &DeployArgs,
    store: &Store,
    before: &Registry,
    name: &str,
    wanted: &DeploymentRecord,
) -> anyhow::Result<Vec<String>> {
    let revision = wanted.revision;
    let reasons = match rollout::wait(store, name, Some(wanted), args.timeout)? {
        Outcome::Arrived(hosts) => return Ok(hosts),
        Outcome::Late(hosts) => bail!(
            "revision {revision} of handler {name:?} is deployed, but after {} it does not run on \
             {}; `lockstep handler status {name}` says how it goes on",
            humantime::format_duration(args.timeout),
            hosts.join(", "),
        ),
        Outcome::Refused(reasons) => reasons,
    };
    let before = before.handler(name).and_then(|deployed| deployed.deployment.clone());
    let what = match &before {
        Some(before) => format!("revision {} is active again", before.revision),
        None => "there is no earlier one, so it was taken back".to_owned(),
    };
    let operation = Operation::TakeBack { revision, before };
    let back = store.perform(name, &operation, &operator(), None).map_err(refused);
    back.with_context(|| format!("failed to take back revision {revision}"))?;
    bail!(
        "revision {revision} of handler {name:?} cannot run everywhere; {what}\n{}",
        reasons.join("\n")
    )
}

fn show(args: &DeployArgs, done: &Done<'_>) -> anyhow::Result<ExitCode> {
    let mut out = Stdout::new();
    match args.output {
        OutputFormat::Json => out.json(done)?,
        OutputFormat::Text => out.text(&text(args, done))?,
    }
    out.flush()?;
    Ok(ExitCode::Success)
}

fn text(args: &DeployArgs, done: &Done<'_>) -> String {
    let Done { name, revision, .. } = done;
    if !done.changed {
        return format!(
            "nothing to deploy: revision {revision} of {name} is the same, and active\n"
        );
    }
    let mut text = format!("{name}: revision {revision} is active\n");
    text += &format!("  component  {}, {}\n", done.digest, ByteSize(done.bytes));
    done.changes.iter().for_each(|change| text += &format!("  changed    {change}\n"));
    done.hosts.iter().for_each(|host| text += &format!("  runs on    {host}\n"));
    if done.hosts.is_empty() && !args.no_wait {
        text += "  no host is there; the first one that starts runs it\n";
    }
    text
}
