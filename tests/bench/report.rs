//! The one place that prints a result.

use std::time::Duration;

/// Prints one line of result.
#[expect(clippy::print_stdout, reason = "the result of a measurement is what it prints")]
pub(crate) fn line(text: &str) {
    println!("{text}");
}

/// The value below which this share of the sorted ones lies.
pub(crate) fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let last = sorted.len().saturating_sub(1);
    let index = (last as f64 * share).round() as usize;
    sorted.get(index).copied().unwrap_or_default()
}

/// Milliseconds with two decimals.
pub(crate) fn ms(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1_000.0)
}
