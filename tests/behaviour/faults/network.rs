//! A network that delays, loses or holds what a transaction needs: Produce, TxnOffsetCommit and
//! EndTxn. What became of a request that was not answered is unknown, and must not matter.

use std::time::Duration;

use lockstep::audit::history::Phase;
use lockstep_tests::broker::{Broker, Extras};
use lockstep_tests::load::beside;
use lockstep_tests::proxy::{Api, Fault, Proxy};
use lockstep_tests::scenario::Scenario;
use lockstep_tests::trial::{Setup, Trial};

/// Longer than a transaction may stay open.
const OUTAGE: Duration = Duration::from_secs(10);
/// Requests in a row that are hit.
const TIMES: usize = 3;

/// Hosts work through a proxy that does this to requests of each kind, for so long.
fn disturbed(test: &str, seed: u64, fault: Fault, length: Duration) {
    let proxy = Proxy::start();
    let extras = Extras {
        listeners: &["PROXIED"],
        advertised: Some(("PROXIED", proxy.port())),
        ..Extras::default()
    };
    let broker = Broker::start_with_extras(&extras);
    proxy.lead_to(&broker.extra_address("PROXIED"));
    let mut world = Scenario::at_broker(&broker.address(), test);
    world.configure(&format!("[kafka]\n\"bootstrap.servers\" = {:?}", proxy.address()));
    let trial = Trial::new(world, &Setup { seed, ..Setup::default() });
    let hosts = vec![trial.host("host-1"), trial.host("host-2")];
    let load = |running| trial.flow(&running);
    let ((), ()) = beside(load, || {
        for api in [Api::Produce, Api::TxnOffsetCommit, Api::EndTxn] {
            trial.wait_for_progress();
            let (kind, target) = (format!("{fault:?}"), format!("{api:?}"));
            trial.note(&kind, &target, Phase::Begins);
            proxy.disturb(api, fault, TIMES);
            trial.wait_until("a request is hit", || proxy.hits() > 0);
            std::thread::sleep(length);
            proxy.heal();
            trial.note(&kind, &target, Phase::Ends);
            trial.wait_until_all_partitions_get_on();
        }
    });
    trial.assert_clean(hosts);
}

#[test]
fn on_kafka_requests_that_are_late_cost_time_and_nothing_else() {
    let delay = Fault::Delay(Duration::from_millis(1_500));
    disturbed("delayed", 701, delay, Duration::from_secs(3));
}

#[test]
fn on_kafka_requests_that_are_lost_with_their_connection_cost_time_and_nothing_else() {
    disturbed("dropped", 702, Fault::Drop, Duration::from_secs(1));
}

#[test]
fn on_kafka_answers_that_come_when_the_transaction_is_long_over_change_nothing() {
    disturbed("held", 703, Fault::HoldAnswer, OUTAGE);
}

#[test]
fn on_kafka_connections_that_are_dead_and_seem_alive_cost_time_and_nothing_else() {
    disturbed("half-open", 704, Fault::HalfOpen, OUTAGE);
}
