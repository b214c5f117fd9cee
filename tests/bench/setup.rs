//! A log with an input and an output topic of 6 partitions, and the handler between them.

use lockstep_tests::broker::Broker;
use lockstep_tests::log::LogKind;
use lockstep_tests::scenario::{Deployed, Manifest, Scenario};

const PARTITIONS: u32 = 6;

/// What is measured; the broker ends with it.
pub(crate) struct Setup {
    pub(crate) world: Scenario,
    pub(crate) input: String,
    pub(crate) output: String,
    pub(crate) handler: Deployed,
    _broker: Option<Broker>,
}

impl Setup {
    /// Topics and the configuration; no host runs yet.
    pub(crate) fn new(kind: LogKind) -> Self {
        let (mut world, broker) = scenario(kind);
        let (input, output) = (world.topic("in", PARTITIONS), world.topic("out", PARTITIONS));
        let handler = world.deploy(Manifest::guest("identity").from(&[&input]).to(&[&output]));
        Self { world, input, output, handler, _broker: broker }
    }
}

/// A log of its own; the broker ends with what is dropped.
pub(crate) fn scenario(kind: LogKind) -> (Scenario, Option<Broker>) {
    let broker = (kind == LogKind::Kafka).then(Broker::for_benchmarks);
    let world = match &broker {
        Some(broker) => Scenario::at_broker(&broker.address(), "bench"),
        None => Scenario::new(kind, "bench"),
    };
    (world, broker)
}
