//! When a retryable failure is tried again: exponential back-off with jitter. Pure: the random
//! number comes from the caller.

use std::time::Duration;

/// Exponential back-off with jitter.
#[derive(Clone, Debug, PartialEq)]
pub struct RetryPolicy {
    /// Calls in all, the first included; at least 1.
    pub attempts: u32,
    /// The first pause.
    pub initial: Duration,
    /// The longest pause.
    pub max: Duration,
    /// What each pause is multiplied by to give the next, at least 1.
    pub multiplier: f64,
    /// The share of each pause that is random, 0 to 1. Keeps many failing events from coming
    /// back at the same moment.
    pub jitter: f64,
}

impl RetryPolicy {
    /// The pause after `failed` failed calls; `None` when the attempts are used up. `random` is
    /// uniform in `0.0..1.0`.
    pub fn pause(&self, failed: u32, random: f64) -> Option<Duration> {
        (failed < self.attempts).then(|| self.backoff(failed, random))
    }

    /// The pause after `failed` failed calls, however many were made.
    pub fn backoff(&self, failed: u32, random: f64) -> Duration {
        let exponent = i32::try_from(failed.saturating_sub(1)).unwrap_or(i32::MAX);
        let full = self.initial.as_secs_f64() * self.multiplier.powi(exponent);
        let full = full.min(self.max.as_secs_f64());
        Duration::from_secs_f64(full * (1.0 - self.jitter * random))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RetryPolicy = RetryPolicy {
        attempts: 4,
        initial: Duration::from_millis(100),
        max: Duration::from_millis(350),
        multiplier: 2.0,
        jitter: 0.5,
    };

    #[test]
    fn pauses_double_up_to_the_longest_and_end_with_the_attempts() {
        let pauses: Vec<_> = (1..=4).map(|n| POLICY.pause(n, 0.0).map(|p| p.as_millis())).collect();
        assert_eq!(pauses, [Some(100), Some(200), Some(350), None]);
    }

    #[test]
    fn jitter_only_shortens_and_by_no_more_than_its_share() {
        let pause = POLICY.pause(1, 0.999_999).map(|p| p.as_micros());
        assert_eq!(pause, Some(50_000));
    }

    #[test]
    fn a_huge_number_of_failures_stays_at_the_longest_pause() {
        assert_eq!(POLICY.backoff(u32::MAX, 0.0), POLICY.max);
    }
}
