//! Which partition an event goes to: the rule of Kafka's Java client, so that a key lies in the
//! same partition whoever wrote it. Pure.

use murmur2::{KAFKA_SEED, murmur2};

/// The partition of a key among `partitions`, at least 1.
pub(super) fn of_key(key: &[u8], partitions: u32) -> u32 {
    (murmur2(key, KAFKA_SEED) & 0x7fff_ffff) % partitions
}

/// Spreads events without a key evenly, one after the other.
#[derive(Debug)]
pub(super) struct RoundRobin(u32);

impl RoundRobin {
    /// Begins anywhere, so that many short runs spread too.
    pub(super) fn new() -> Self {
        Self(fastrand::u32(..))
    }

    /// The next partition among `partitions`, at least 1.
    pub(super) fn next(&mut self, partitions: u32) -> u32 {
        self.0 = self.0.wrapping_add(1) % partitions;
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From `UtilsTest.testMurmur2` of Kafka's Java client.
    #[test]
    fn keys_hash_as_in_kafkas_java_client() {
        for (key, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
        ] {
            assert_eq!(murmur2(key.as_bytes(), KAFKA_SEED).cast_signed(), hash, "{key:?}");
        }
        assert_eq!(murmur2(b"abc", KAFKA_SEED).cast_signed(), 479_470_107);
        assert_eq!(of_key(b"21", 7), (-973_932_308_i32 & 0x7fff_ffff) as u32 % 7);
    }

    #[test]
    fn events_without_a_key_are_spread_evenly() {
        let mut turn = RoundRobin::new();
        let mut counts = [0; 3];
        (0..300).for_each(|_| counts[turn.next(3) as usize] += 1);
        assert_eq!(counts, [100; 3]);
    }
}
