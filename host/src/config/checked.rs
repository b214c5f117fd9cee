//! Scalars that are checked while they are read: a [`Rule`] says what is allowed, with an
//! example, and [`Checked`] keeps to it.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, Expected, Unexpected, Visitor};

/// What a key takes. The reasons that the readers give may be empty when [`Rule::what`] says
/// enough; they must not repeat the value.
pub(crate) trait Rule {
    /// What it is read into.
    type Value;

    /// What is allowed, to follow "is not": `a duration from 1ms to 10m`.
    fn what() -> String;

    /// A value that is allowed, as TOML.
    fn example() -> String;

    /// Reads a string.
    fn text(_: &str) -> Result<Self::Value, String> {
        Err(String::new())
    }

    /// Reads an integer.
    fn integer(_: i64) -> Result<Self::Value, String> {
        Err(String::new())
    }

    /// Reads a number with a fraction.
    fn float(_: f64) -> Result<Self::Value, String> {
        Err(String::new())
    }

    /// Reads a boolean.
    fn boolean(_: bool) -> Result<Self::Value, String> {
        Err(String::new())
    }
}

/// A rule for keys that may be left out.
pub(crate) trait Fallback: Rule {
    /// The value of a key that is left out.
    fn fallback() -> Self::Value;
}

/// A value that keeps to its rule.
pub(crate) struct Checked<R: Rule>(pub(crate) R::Value);

impl<R: Fallback> Default for Checked<R> {
    fn default() -> Self {
        Self(R::fallback())
    }
}

impl<'de, R: Rule> Deserialize<'de> for Checked<R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader::<R>(PhantomData)).map(Self)
    }
}

struct Reader<R>(PhantomData<R>);

/// The expectation behind an error, with the reason why the value does not meet it.
struct Unmet<R>(String, PhantomData<R>);

impl<R: Rule> Expected for Unmet<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            write!(f, "for example {}", R::example())
        } else if self.0.is_empty() {
            f.write_str(&R::what())
        } else {
            write!(f, "{}: {}", R::what(), self.0)
        }
    }
}

fn refuse<R: Rule, E: Error>(given: Unexpected<'_>) -> impl FnOnce(String) -> E {
    move |reason| E::invalid_value(given, &Unmet::<R>(reason, PhantomData))
}

impl<R: Rule> Visitor<'_> for Reader<R> {
    type Value = R::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Expected::fmt(&Unmet::<R>(String::new(), PhantomData), f)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<R::Value, E> {
        R::text(text).map_err(refuse::<R, E>(Unexpected::Str(text)))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<R::Value, E> {
        R::integer(number).map_err(refuse::<R, E>(Unexpected::Signed(number)))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<R::Value, E> {
        R::float(number).map_err(refuse::<R, E>(Unexpected::Float(number)))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<R::Value, E> {
        R::boolean(value).map_err(refuse::<R, E>(Unexpected::Bool(value)))
    }
}
