//! `lockstep deploy`: makes a new revision of a handler the active one, on all hosts of a fleet.

mod source;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use bytesize::ByteSize;
use clap::Args;

use super::arguments::{key_value, own_topic_name};
use super::exit::ExitCode;
use super::progress::Progress;
use super::registry::{RegistrySelection, refused};
use super::registry_options::RegistryOptions;
use super::sandbox;
use super::stdout::{OutputFormat, Stdout};
use super::waiting::Waiting;
use crate::fleet::Shipment;

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

pub(super) fn deploy(args: &DeployArgs) -> anyhow::Result<ExitCode> {
    let parcel = source::read(args)?;
    let handler = parcel.handler()?;
    {
        let _progress = Progress::start(format!("checking {}", handler.name));
        parcel.check(&*sandbox::of_author()?)?;
    }
    let fleet = args.registry.open()?;
    fleet.check_topics(&handler, args.create_topics).map_err(refused)?;
    let mut shipment = {
        let _progress = Progress::start(format!("deploying {}", handler.name));
        fleet.deploy(&handler.name, &parcel, None).map_err(refused)?
    };
    if shipment.changed && !args.no_wait {
        let waiting = Waiting::start(&handler.name);
        fleet.roll_out(&mut shipment, &waiting.patience(args.timeout)).map_err(refused)?;
    }
    unless_late(args, &shipment)?;
    show(args, &shipment)
}

fn unless_late(args: &DeployArgs, shipment: &Shipment) -> anyhow::Result<()> {
    let Shipment { name, revision, late, .. } = shipment;
    if late.is_empty() {
        return Ok(());
    }
    bail!(
        "revision {revision} of handler {name:?} is deployed, but after {} it does not run on {}; \
         `lockstep handler status {name}` says how it goes on",
        humantime::format_duration(args.timeout),
        late.join(", "),
    )
}

fn show(args: &DeployArgs, shipment: &Shipment) -> anyhow::Result<ExitCode> {
    let mut out = Stdout::new();
    match args.output {
        OutputFormat::Json => out.json(shipment)?,
        OutputFormat::Text => out.text(&text(args, shipment))?,
    }
    out.flush()?;
    Ok(ExitCode::Success)
}

fn text(args: &DeployArgs, shipment: &Shipment) -> String {
    let Shipment { name, revision, .. } = shipment;
    if !shipment.changed {
        return format!(
            "nothing to deploy: revision {revision} of {name} is the same, and active\n"
        );
    }
    let mut text = format!("{name}: revision {revision} is active\n");
    text += &format!("  component  {}, {}\n", shipment.digest, ByteSize(shipment.bytes));
    shipment.changes.iter().for_each(|change| text += &format!("  changed    {change}\n"));
    shipment.hosts.iter().for_each(|host| text += &format!("  runs on    {host}\n"));
    if shipment.hosts.is_empty() && !args.no_wait {
        text += "  no host is there; the first one that starts runs it\n";
    }
    text
}
