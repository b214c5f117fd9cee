//! Who has which partition of a handler, as the hosts of a fleet say.

use std::collections::{BTreeMap, VecDeque};

use super::assignment::{Assignment, Remark};
use super::hosts::HostReport;
use crate::event::TopicPartition;
use crate::status::PartitionState;

/// The worker that has a partition.
#[derive(Clone, Debug, PartialEq)]
pub struct Owner {
    /// Its host.
    pub host: String,
    /// The worker's number within its handler on that host, from 0.
    pub worker: u32,
    /// The revision that the worker runs.
    pub revision: u64,
    /// Whether the partition goes on.
    pub state: PartitionState,
    /// Its events that became outputs or dead letters since the worker got it.
    pub events: u64,
    /// The events per second over the last reports.
    pub rate: f64,
    /// The last failure of one of its events, possibly cut.
    pub error: Option<String>,
}

/// The owners of the partitions of a handler. The reports of each host are in the order of time. A
/// partition that two hosts name, because it moved or one of them died, is that of the host whose
/// word is newer.
pub(super) fn owners<'a>(
    hosts: impl Iterator<Item = &'a VecDeque<HostReport>>,
    handler: &str,
) -> BTreeMap<TopicPartition, Owner> {
    let mut owners: BTreeMap<TopicPartition, (i64, Owner)> = BTreeMap::new();
    for reports in hosts {
        let Some(last) = reports.back() else { continue };
        for assignment in assignments(last, handler) {
            for (partition, events) in &assignment.partitions {
                let at = TopicPartition {
                    topic: assignment.topic.as_str().into(),
                    partition: *partition,
                };
                if owners.get(&at).is_none_or(|(said, _)| *said < last.at) {
                    let rate = rate(reports, handler, assignment, *partition);
                    let owner = owner(&last.host, assignment, (*partition, *events), rate);
                    owners.insert(at, (last.at, owner));
                }
            }
        }
    }
    owners.into_iter().map(|(at, (_, owner))| (at, owner)).collect()
}

fn owner(host: &str, assignment: &Assignment, partition: (i32, u64), rate: f64) -> Owner {
    let (number, events) = partition;
    let remark: Option<&Remark> =
        assignment.remarks.iter().find(|remark| remark.partition == number);
    Owner {
        host: host.to_owned(),
        worker: assignment.worker,
        revision: assignment.revision,
        state: remark.map_or(PartitionState::Running, |remark| remark.state),
        events,
        rate,
        error: remark.and_then(|remark| remark.error.clone()),
    }
}

/// The rate since the first of the reports from which on the worker has had the partition.
fn rate(
    reports: &VecDeque<HostReport>,
    handler: &str,
    assignment: &Assignment,
    partition: i32,
) -> f64 {
    let count = |report: &HostReport| {
        let same = |other: &&Assignment| {
            other.worker == assignment.worker && other.topic == assignment.topic
        };
        let other = assignments(report, handler).find(same)?;
        let found = other.partitions.iter().find(|(number, _)| *number == partition);
        found.map(|(_, events)| (report.at, *events))
    };
    let mut counts = reports.iter().rev().map_while(count);
    let Some(last) = counts.next() else { return 0.0 };
    // Whoever loses a partition and gets it back counts anew.
    let mut first = last;
    for before in counts {
        if before.1 > first.1 {
            break;
        }
        first = before;
    }
    per_second(first, last)
}

/// Events per second between two counts, each with its time in milliseconds.
pub(super) fn per_second(first: (i64, u64), last: (i64, u64)) -> f64 {
    let seconds = last.0.saturating_sub(first.0) as f64 / 1000.0;
    if seconds > 0.0 { last.1.saturating_sub(first.1) as f64 / seconds } else { 0.0 }
}

fn assignments<'a>(
    report: &'a HostReport,
    handler: &str,
) -> impl Iterator<Item = &'a Assignment> + use<'a> {
    report.handler(handler).into_iter().flat_map(|handler| &handler.assignments)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deployment::hosts::{HandlerReport, HandlerState};

    fn report(host: &str, at: i64, partitions: &[(i32, u64)]) -> HostReport {
        let assignment = Assignment {
            worker: 0,
            revision: 7,
            topic: "orders".to_owned(),
            partitions: partitions.to_vec(),
            remarks: vec![Remark {
                partition: 3,
                state: PartitionState::Halted { offset: 9 },
                error: Some("no".to_owned()),
            }],
        };
        let handler = HandlerReport {
            name: "weather".to_owned(),
            state: HandlerState::Running,
            revision: 7,
            wanted: 7,
            seen: 0,
            workers: 1,
            events: 0,
            dead_letters: 0,
            error: None,
            assignments: vec![assignment],
        };
        HostReport {
            host: host.to_owned(),
            version: String::new(),
            started_at: 0,
            at,
            handlers: vec![handler],
        }
    }

    fn found(hosts: &[VecDeque<HostReport>]) -> BTreeMap<i32, Owner> {
        let owners = owners(hosts.iter(), "weather");
        owners.into_iter().map(|(at, owner)| (at.partition, owner)).collect()
    }

    #[test]
    fn a_partition_that_two_hosts_name_is_that_of_the_newer_word() {
        let old = VecDeque::from([report("a", 1_000, &[(0, 5), (3, 5)])]);
        let new = VecDeque::from([report("b", 2_000, &[(0, 1), (1, 1)])]);
        for hosts in [[old.clone(), new.clone()], [new, old]] {
            let found = found(&hosts);
            let names: Vec<_> = found.iter().map(|(at, owner)| (*at, &*owner.host)).collect();
            assert_eq!(names, [(0, "b"), (1, "b"), (3, "a")]);
            assert_eq!(found[&3].state, PartitionState::Halted { offset: 9 });
            assert_eq!(found[&3].error.as_deref(), Some("no"));
        }
    }

    #[test]
    fn the_rate_is_that_since_the_worker_got_the_partition() {
        let reports = VecDeque::from([
            report("a", 1_000, &[(0, 900), (1, 10)]),
            report("a", 2_000, &[(1, 10)]),
            report("a", 3_000, &[(0, 10), (1, 30), (2, 500)]),
            report("a", 5_000, &[(0, 50), (1, 50)]),
        ]);
        let rates: Vec<_> = found(&[reports]).values().map(|owner| owner.rate).collect();
        assert_eq!(rates, [20.0, 10.0]);
    }

    #[test]
    fn a_partition_that_came_back_between_two_reports_counts_anew() {
        let reports = VecDeque::from([
            report("a", 1_000, &[(0, 900)]),
            report("a", 2_000, &[(0, 10)]),
            report("a", 3_000, &[(0, 950)]),
        ]);
        let rates: Vec<_> = found(&[reports]).values().map(|owner| owner.rate).collect();
        assert_eq!(rates, [940.0]);
    }
}
