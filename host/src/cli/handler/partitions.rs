//! The table of the partitions that a handler reads, and below it what keeps them.

use crate::cli::table::table;
use crate::fleet::Partition;

/// A table of them, and below it what keeps them.
pub(super) fn text(partitions: &[Partition]) -> String {
    fn or<T: ToString>(value: Option<T>, nothing: &str) -> String {
        value.map_or_else(|| nothing.to_owned(), |value| value.to_string())
    }
    let rows = partitions.iter().map(|partition| {
        vec![
            partition.topic.clone(),
            partition.partition.to_string(),
            or(partition.host.as_ref(), "nobody"),
            or(partition.worker, "-"),
            or(partition.revision, "-"),
            or(partition.state, "-"),
            or(partition.committed, "-"),
            partition.end.to_string(),
            or(partition.lag, "-"),
            or(partition.rate.map(|rate| format!("{rate:.1}/s")), "-"),
        ]
    });
    let header = [
        "TOPIC",
        "PARTITION",
        "HOST",
        "WORKER",
        "REVISION",
        "STATE",
        "COMMITTED",
        "END",
        "LAG",
        "RATE",
    ];
    let mut text = table(&header, &[1, 3, 4, 6, 7, 8, 9], rows) + "\n";
    for remark in partitions.iter().filter_map(remark) {
        text += &format!("{remark}\n");
    }
    text
}

/// What keeps it, or went wrong last, in one line.
fn remark(partition: &Partition) -> Option<String> {
    let Partition { topic, partition: number, waits_at, waits_until, host, error, .. } = partition;
    let (host, error) = (host.as_deref()?, error.as_deref());
    let reason = error.map_or(String::new(), |error| format!(": {error}"));
    Some(match (waits_at, waits_until) {
        (Some(offset), Some(until)) => {
            format!("{topic}/{number} on {host} tries {offset} again at {until}{reason}")
        }
        (Some(offset), None) => {
            format!("{topic}/{number} on {host} is halted at {offset}{reason}")
        }
        (None, _) => format!("last error in {topic}/{number} on {host}: {}", error?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deployment::ownership::Owner;
    use crate::event::TopicPartition;
    use crate::status::PartitionState;

    fn partition(state: Option<PartitionState>, error: Option<&str>) -> Partition {
        let owner = state.map(|state| Owner {
            host: "host-1".to_owned(),
            worker: 2,
            revision: 7,
            state,
            events: 12,
            rate: 3.5,
            error: error.map(str::to_owned),
        });
        Partition::of(&TopicPartition { topic: "orders".into(), partition: 3 }, owner)
    }

    #[test]
    fn each_partition_says_who_has_it_and_what_keeps_it() {
        let until = 1_795_000_000_000;
        let retrying = PartitionState::Retrying { offset: 5, until };
        let all = [
            partition(None, None),
            partition(Some(PartitionState::Running), Some("orders/3/4: fault: a trap")),
            partition(Some(retrying), Some("orders/3/5: retryable: busy")),
            partition(Some(PartitionState::Halted { offset: 9 }), None),
        ];
        let text = text(&all);
        let lines: Vec<_> = text.lines().collect();
        for (line, words) in lines.iter().zip([
            "TOPIC PARTITION HOST WORKER REVISION STATE COMMITTED END LAG RATE",
            "orders 3 nobody - - - - 0 - -",
            "orders 3 host-1 2 7 running - 0 - 3.5/s",
            "orders 3 host-1 2 7 retrying - 0 - 3.5/s",
            "orders 3 host-1 2 7 halted - 0 - 3.5/s",
        ]) {
            assert_eq!(line.split_whitespace().collect::<Vec<_>>().join(" "), words);
        }
        assert_eq!(
            lines[5..],
            [
                "last error in orders/3 on host-1: orders/3/4: fault: a trap",
                "orders/3 on host-1 tries 5 again at 2026-11-18T11:06:40Z: orders/3/5: retryable: busy",
                "orders/3 on host-1 is halted at 9",
            ]
        );
    }
}
