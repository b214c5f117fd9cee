//! Three brokers that hold every topic three times, each also a controller: any one of them may
//! be away.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::broker::{Broker, Ports};

/// Three brokers. There is one cluster at a time: two are too much for a small machine.
pub struct Cluster {
    /// The brokers.
    pub nodes: Vec<Broker>,
    _alone: MutexGuard<'static, ()>,
}

static ALONE: Mutex<()> = Mutex::new(());

/// Every topic has a copy on each node, and what is acknowledged is on two.
const COPIES: &str = "\
    offsets.topic.replication.factor=3\n\
    transaction.state.log.replication.factor=3\n\
    transaction.state.log.min.isr=2\n\
    share.coordinator.state.topic.replication.factor=3\n\
    default.replication.factor=3\n\
    min.insync.replicas=2\n\
    controller.quorum.election.timeout.ms=500\n\
    controller.quorum.fetch.timeout.ms=1000\n\
    replica.lag.time.max.ms=3000\n";

impl Cluster {
    /// Starts them.
    pub fn start() -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let ports = [(); 3].map(|()| Ports::free(0).0);
        let number = |index: usize| index + 1;
        let voter = |(index, ports): (usize, &Ports)| {
            format!("{}@127.0.0.1:{}", number(index), ports.controller)
        };
        let voters: Vec<_> = ports.iter().enumerate().map(voter).collect();
        let nodes = ports.iter().enumerate().map(|(index, ports)| {
            let voters = voters.join(",");
            let id = number(index);
            let own = format!("node.id={id}\ncontroller.quorum.voters={voters}\n{COPIES}");
            Broker::node(*ports, own)
        });
        let nodes: Vec<_> = nodes.collect();
        // None answers before two of them are there.
        thread::scope(|scope| {
            for node in &nodes {
                scope.spawn(|| node.restart());
            }
        });
        Self { nodes, _alone: alone }
    }

    /// The addresses of all of them.
    pub fn addresses(&self) -> String {
        self.nodes.iter().map(Broker::address).collect::<Vec<_>>().join(",")
    }
}
