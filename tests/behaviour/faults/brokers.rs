//! Brokers that die, restart and hang. On three of them each is killed in turn, so that among
//! others the leader of every partition, the group's coordinator and the transactions' are hit.

use std::time::Duration;

use lockstep::audit::history::Phase;
use lockstep_tests::broker::Broker;
use lockstep_tests::cluster::Cluster;
use lockstep_tests::load::beside;
use lockstep_tests::scenario::Scenario;
use lockstep_tests::trial::{Setup, Trial};

/// Kills or restarts each broker in turn while two hosts work, and waits until all is well again.
fn in_turn(test: &str, seed: u64, kind: &str, away: impl Fn(&Broker)) {
    let cluster = Cluster::start();
    let world = Scenario::at_broker(&cluster.addresses(), test);
    let trial = Trial::new(world, &Setup { seed, ..Setup::default() });
    let hosts = vec![trial.host("host-1"), trial.host("host-2")];
    let load = |running| trial.flow(&running);
    let ((), ()) = beside(load, || {
        for (number, node) in cluster.nodes.iter().enumerate() {
            let target = format!("broker {}", number + 1);
            trial.wait_for_progress();
            trial.note(kind, &target, Phase::Begins);
            away(node);
            trial.wait_until_all_partitions_get_on();
            node.restart();
            trial.note(kind, &target, Phase::Ends);
            trial.wait_until_all_partitions_get_on();
        }
    });
    trial.assert_clean(hosts);
}

#[test]
fn on_kafka_each_of_three_brokers_may_be_killed() {
    in_turn("brokers-killed", 801, "kill -9", Broker::kill9);
}

#[test]
fn on_kafka_each_of_three_brokers_may_restart() {
    in_turn("brokers-restart", 802, "restart", Broker::stop);
}

/// The only broker is killed, then hangs for longer than a request may take: a commit that is on
/// its way is late, and must not end a later transaction.
#[test]
fn on_kafka_a_lone_broker_that_dies_and_hangs_costs_time_and_nothing_else() {
    let broker = Broker::start();
    let world = Scenario::at_broker(&broker.address(), "broker-alone");
    let trial = Trial::new(world, &Setup { seed: 803, ..Setup::default() });
    let hosts = vec![trial.host("host-1"), trial.host("host-2")];
    let load = |running| trial.flow(&running);
    let ((), ()) = beside(load, || {
        trial.wait_for_progress();
        trial.note("kill -9", "broker", Phase::Begins);
        broker.kill9();
        broker.restart();
        trial.note("kill -9", "broker", Phase::Ends);
        trial.wait_until_all_partitions_get_on();
        trial.note("SIGSTOP", "broker", Phase::Begins);
        broker.freeze();
        std::thread::sleep(Duration::from_secs(12));
        broker.thaw();
        trial.note("SIGSTOP", "broker", Phase::Ends);
        trial.wait_until_all_partitions_get_on();
    });
    trial.assert_clean(hosts);
}
