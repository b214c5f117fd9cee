//! How long a host takes from its start until all that was deployed runs there, when it has
//! compiled the components before.

use std::time::Instant;

use lockstep_tests::fleet::Fleet;
use lockstep_tests::host::Host;
use lockstep_tests::log::LogKind;
use lockstep_tests::wait::eventually;

use crate::report::{self, ms, quantile};
use crate::setup::scenario;

/// Guests that differ, so that there is more than one component.
const GUESTS: [&str; 4] = ["identity", "scripted", "stamp", "many-outputs"];

pub(crate) fn run(kind: LogKind, handlers: usize, times: usize) {
    let (world, _broker) = scenario(kind);
    let fleet = Fleet::new(world, 1);
    let names: Vec<_> = (1..=handlers).map(|number| format!("{}-{number}", fleet.name)).collect();
    for (name, guest) in names.iter().zip(GUESTS.iter().cycle()) {
        fleet.deploy(guest, &["--name", name, "--no-wait"]).ok();
    }
    let all_run = |host: &Host| names.iter().all(|name| runs(host, name));
    let start = || {
        let begun = Instant::now();
        let mut host = Host::start(&fleet.world.config("host-1"));
        eventually("all handlers run", || all_run(&host));
        let took = begun.elapsed();
        host.terminate();
        took
    };
    // The first one compiles the components.
    start();
    let mut starts: Vec<_> = (0..times.max(1)).map(|_| start()).collect();
    starts.sort_unstable();
    report::line(&format!(
        "host-start {kind:?}: {handlers} deployed handlers, all running after median {}, longest \
         {} of {}",
        ms(quantile(&starts, 0.5)),
        ms(quantile(&starts, 1.0)),
        starts.len()
    ));
}

fn runs(host: &Host, name: &str) -> bool {
    let handler = host.handler(name);
    let workers = handler["workers"].as_array();
    workers.is_some_and(|workers| {
        let works = |worker: &serde_json::Value| worker["state"] == "running";
        !workers.is_empty() && workers.iter().all(works)
    })
}
