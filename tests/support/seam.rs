//! The log as the host's own code opens it, for what no command offers.

use lockstep::config::KafkaConfig;
use lockstep::log::Log;
use lockstep::log::embedded::EmbeddedLog;
use lockstep::log::kafka::{Identity, KafkaLog};

use crate::scenario::Scenario;

/// The log of a scenario, as its one host opens it: sessions can be opened.
pub fn open_as_host(world: &Scenario) -> Box<dyn Log> {
    if world.broker().is_some() {
        return open(world);
    }
    let log = EmbeddedLog::open_host(&world.data_dir(), "host-1");
    Box::new(log.unwrap_or_else(|e| panic!("failed to open the log: {e:#}")))
}

/// The log of a scenario, as a process of its own would open it beside the hosts.
pub fn open(world: &Scenario) -> Box<dyn Log> {
    let Some(address) = world.broker() else {
        let log = EmbeddedLog::open_client(&world.data_dir(), true);
        return Box::new(log.unwrap_or_else(|e| panic!("failed to open the log: {e:#}")));
    };
    let identity =
        Identity { cluster_id: world.cluster_id().to_owned(), host_id: "beside".to_owned() };
    let config = KafkaConfig::from_command_line(address, &[]).expect("an address is enough");
    let log = KafkaLog::connect(&config, &identity);
    Box::new(log.unwrap_or_else(|e| panic!("failed to open the log: {e:#}")))
}
