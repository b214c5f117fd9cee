//! Sizes, durations, counts, shares, switches and choices, each with its range and its default
//! as parameters: the structs that use them list range and default of every key in one line.

use std::marker::PhantomData;
use std::time::Duration;

use bytesize::ByteSize;

use super::checked::{Checked, Fallback, Rule};

/// Bytes, from `MIN` to `MAX`.
pub(crate) type Size<const MIN: usize, const MAX: usize, const DEFAULT: usize> =
    Checked<SizeRule<MIN, MAX, DEFAULT>>;
/// A duration, from `MIN` to `MAX` milliseconds.
pub(crate) type Millis<const MIN: u64, const MAX: u64, const DEFAULT: u64> =
    Checked<MillisRule<MIN, MAX, DEFAULT>>;
/// A whole number, from `MIN` to `MAX`.
pub(crate) type Count<const MIN: u32, const MAX: u32, const DEFAULT: u32> =
    Checked<CountRule<MIN, MAX, DEFAULT>>;
/// A number, from `MIN` to `MAX` tenths.
pub(crate) type Tenths<const MIN: u32, const MAX: u32, const DEFAULT: u32> =
    Checked<TenthsRule<MIN, MAX, DEFAULT>>;
/// A boolean.
pub(crate) type Switch<const DEFAULT: bool> = Checked<SwitchRule<DEFAULT>>;
/// One of a few words.
pub(crate) type OneOf<T> = Checked<OneOfRule<T>>;

pub(crate) struct SizeRule<const MIN: usize, const MAX: usize, const DEFAULT: usize>;
pub(crate) struct MillisRule<const MIN: u64, const MAX: u64, const DEFAULT: u64>;
pub(crate) struct CountRule<const MIN: u32, const MAX: u32, const DEFAULT: u32>;
pub(crate) struct TenthsRule<const MIN: u32, const MAX: u32, const DEFAULT: u32>;
pub(crate) struct SwitchRule<const DEFAULT: bool>;
pub(crate) struct OneOfRule<T>(PhantomData<T>);

/// The words of a [`OneOf`].
pub(crate) trait Choices: Copy + 'static {
    /// Each word and what it means.
    const WORDS: &'static [(&'static str, Self)];
    /// The meaning of a key that is left out.
    const DEFAULT: Self;
}

/// A size as a configuration would have it: in the largest unit that leaves no fraction.
pub(crate) fn size_text(bytes: usize) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let unit = units.iter().find(|(shift, _)| bytes > 0 && bytes.is_multiple_of(1 << shift));
    match unit {
        Some((shift, unit)) => format!("{}{unit}", bytes >> shift),
        None => format!("{bytes}B"),
    }
}

/// A duration as a configuration would have it.
pub(crate) fn duration_text(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

fn millis_text(millis: u64) -> String {
    duration_text(Duration::from_millis(millis))
}

fn within<T: PartialOrd>(value: T, min: T, max: T) -> Result<T, String> {
    if min <= value && value <= max { Ok(value) } else { Err(String::new()) }
}

impl<const MIN: usize, const MAX: usize, const DEFAULT: usize> Rule
    for SizeRule<MIN, MAX, DEFAULT>
{
    type Value = usize;

    fn what() -> String {
        format!("a size from {} to {}", size_text(MIN), size_text(MAX))
    }

    fn example() -> String {
        format!("{:?}", size_text(DEFAULT))
    }

    fn text(text: &str) -> Result<usize, String> {
        let size: ByteSize = text.trim().parse().map_err(|_| String::new())?;
        within(usize::try_from(size.as_u64()).unwrap_or(usize::MAX), MIN, MAX)
    }

    fn integer(bytes: i64) -> Result<usize, String> {
        within(usize::try_from(bytes).map_err(|_| String::new())?, MIN, MAX)
    }
}

impl<const MIN: usize, const MAX: usize, const DEFAULT: usize> Fallback
    for SizeRule<MIN, MAX, DEFAULT>
{
    fn fallback() -> usize {
        DEFAULT
    }
}

impl<const MIN: u64, const MAX: u64, const DEFAULT: u64> Rule for MillisRule<MIN, MAX, DEFAULT> {
    type Value = Duration;

    fn what() -> String {
        format!("a duration from {} to {}", millis_text(MIN), millis_text(MAX))
    }

    fn example() -> String {
        format!("{:?}", millis_text(DEFAULT))
    }

    fn text(text: &str) -> Result<Duration, String> {
        let duration = humantime::parse_duration(text).map_err(|_| String::new())?;
        within(duration, Duration::from_millis(MIN), Duration::from_millis(MAX))
    }
}

impl<const MIN: u64, const MAX: u64, const DEFAULT: u64> Fallback
    for MillisRule<MIN, MAX, DEFAULT>
{
    fn fallback() -> Duration {
        Duration::from_millis(DEFAULT)
    }
}

impl<const MIN: u32, const MAX: u32, const DEFAULT: u32> Rule for CountRule<MIN, MAX, DEFAULT> {
    type Value = u32;

    fn what() -> String {
        format!("a whole number from {MIN} to {MAX}")
    }

    fn example() -> String {
        DEFAULT.to_string()
    }

    fn integer(number: i64) -> Result<u32, String> {
        within(u32::try_from(number).map_err(|_| String::new())?, MIN, MAX)
    }
}

impl<const MIN: u32, const MAX: u32, const DEFAULT: u32> Fallback for CountRule<MIN, MAX, DEFAULT> {
    fn fallback() -> u32 {
        DEFAULT
    }
}

impl<const MIN: u32, const MAX: u32, const DEFAULT: u32> Rule for TenthsRule<MIN, MAX, DEFAULT> {
    type Value = f64;

    fn what() -> String {
        format!("a number from {:?} to {:?}", f64::from(MIN) / 10.0, f64::from(MAX) / 10.0)
    }

    fn example() -> String {
        format!("{:?}", f64::from(DEFAULT) / 10.0)
    }

    fn integer(number: i64) -> Result<f64, String> {
        Self::float(f64::from(i32::try_from(number).map_err(|_| String::new())?))
    }

    /// Neither NaN nor an infinity lies within any range.
    fn float(number: f64) -> Result<f64, String> {
        within(number, f64::from(MIN) / 10.0, f64::from(MAX) / 10.0)
    }
}

impl<const MIN: u32, const MAX: u32, const DEFAULT: u32> Fallback
    for TenthsRule<MIN, MAX, DEFAULT>
{
    fn fallback() -> f64 {
        f64::from(DEFAULT) / 10.0
    }
}

impl<const DEFAULT: bool> Rule for SwitchRule<DEFAULT> {
    type Value = bool;

    fn what() -> String {
        "true or false".to_owned()
    }

    fn example() -> String {
        DEFAULT.to_string()
    }

    fn boolean(value: bool) -> Result<bool, String> {
        Ok(value)
    }
}

impl<const DEFAULT: bool> Fallback for SwitchRule<DEFAULT> {
    fn fallback() -> bool {
        DEFAULT
    }
}

impl<T: Choices> Rule for OneOfRule<T> {
    type Value = T;

    fn what() -> String {
        let words: Vec<_> = T::WORDS.iter().map(|(word, _)| format!("{word:?}")).collect();
        words.join(" or ")
    }

    fn example() -> String {
        T::WORDS.first().map_or_else(String::new, |(word, _)| format!("{word:?}"))
    }

    fn text(text: &str) -> Result<T, String> {
        let found = T::WORDS.iter().find(|(word, _)| *word == text);
        found.map(|(_, meaning)| *meaning).ok_or_else(String::new)
    }
}

impl<T: Choices> Fallback for OneOfRule<T> {
    fn fallback() -> T {
        T::DEFAULT
    }
}
