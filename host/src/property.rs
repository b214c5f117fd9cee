//! The properties that hold for a good handler whatever it does: their names and what they say.
//! How they are put to the test is in `runner`.

use std::fmt;

/// Something that is tested without the author writing anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Property {
    /// The same event gives the same outputs.
    Deterministic,
    /// An event without a key is no fault.
    NullKey,
    /// An event without a value is no fault.
    Tombstone,
    /// A value of no bytes is no fault.
    EmptyValue,
    /// The largest event that the source topics take is no fault.
    MaximumSize,
    /// Values that make no sense are no fault.
    RandomBytes,
    /// Many events in a row, on one instance, stay within memory and time.
    StaysInLimits,
}

impl Property {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 7] = [
        Self::Deterministic,
        Self::NullKey,
        Self::Tombstone,
        Self::EmptyValue,
        Self::MaximumSize,
        Self::RandomBytes,
        Self::StaysInLimits,
    ];

    /// The name in manifests and reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deterministic => "deterministic",
            Self::NullKey => "null-key",
            Self::Tombstone => "tombstone",
            Self::EmptyValue => "empty-value",
            Self::MaximumSize => "maximum-size",
            Self::RandomBytes => "random-bytes",
            Self::StaysInLimits => "stays-in-limits",
        }
    }
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
