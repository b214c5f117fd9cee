//! Where a partition begins and ends, as its leader says.

use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::client::Client;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};

/// How long to wait for an answer, and for a leader.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Before a broker that does not know the leader yet is asked again.
const GLANCE: Duration = Duration::from_millis(20);

/// The offset of the oldest event of a partition, and the one after the newest. Waits for the
/// leader of a partition that has none, or another one: so it is in topics that were just made, and
/// when a broker goes.
pub(super) fn watermarks<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    partition: i32,
) -> KafkaResult<(i64, i64)> {
    let begun = Instant::now();
    loop {
        let asked = client.fetch_watermarks(topic, partition, TIMEOUT);
        let leaderless = asked.as_ref().err().is_some_and(is_leaderless);
        if !leaderless || begun.elapsed() > TIMEOUT {
            return asked;
        }
        std::thread::sleep(GLANCE);
    }
}

/// Whether the broker that was asked does not lead the partition, or nobody does.
fn is_leaderless(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::NotLeaderForPartition | RDKafkaErrorCode::LeaderNotAvailable)
    )
}
