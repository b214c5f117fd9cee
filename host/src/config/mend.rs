//! Goes on after a fault: puts something harmless where it is, so that the next one shows.
//!
//! What comes out is good for finding faults and for nothing else.

use std::collections::BTreeSet;

use serde_path_to_error::{Path, Segment};
use toml::{Table, Value};

use super::decode::Examples;
use super::fault::Fault;

/// A file whose faults are taken out one after the other.
pub(super) struct Mender {
    /// What is left of it.
    pub(super) rest: Value,
    examples: Examples,
    /// Where something was put or taken away; a fault there is of this module's making.
    touched: BTreeSet<Vec<Step>>,
}

/// A step from a value to one within it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Key(String),
    Index(usize),
}

impl Mender {
    /// Nothing is changed yet.
    pub(super) fn new(table: Table, examples: Examples) -> Self {
        Self { rest: Value::Table(table), examples, touched: BTreeSet::new() }
    }

    /// Whether the fault at this path is in the file itself.
    pub(super) fn is_of_the_file(&self, path: &Path, fault: &Fault) -> bool {
        place(path, fault).is_none_or(|place| {
            (0..=place.len()).all(|length| !self.touched.contains(&place[..length]))
        })
    }

    /// Takes the fault out; `false` when there is no way to.
    pub(super) fn mend(&mut self, path: &Path, fault: &Fault) -> bool {
        let Some(place) = place(path, fault) else { return false };
        let Some((last, parent)) = place.split_last() else { return false };
        let (key, harmless) = match (fault, last) {
            (Fault::Unknown { .. }, _) => (last, None),
            (_, Step::Key(key)) => (last, self.example(key)),
            // A list whose items cannot be replaced goes as a whole.
            (_, Step::Index(_)) => match parent.last() {
                Some(Step::Key(key)) => match self.example(key).as_ref().and_then(first_item) {
                    Some(item) => (last, Some(item)),
                    None => return self.remove(parent),
                },
                _ => return false,
            },
        };
        let Some(harmless) = harmless else { return self.remove(&place) };
        let done = match (self.get(parent), key) {
            (Some(Value::Table(table)), Step::Key(key)) => {
                table.insert(key.clone(), harmless);
                true
            }
            (Some(Value::Array(items)), Step::Index(index)) => match items.get_mut(*index) {
                Some(item) => {
                    *item = harmless;
                    true
                }
                None => false,
            },
            _ => false,
        };
        done && self.touched.insert(place)
    }

    fn remove(&mut self, place: &[Step]) -> bool {
        let Some((Step::Key(key), parent)) = place.split_last() else { return false };
        let removed = match self.get(parent) {
            Some(Value::Table(table)) => table.remove(key).is_some(),
            _ => false,
        };
        removed && self.touched.insert(place.to_vec())
    }

    fn get(&mut self, place: &[Step]) -> Option<&mut Value> {
        place.iter().try_fold(&mut self.rest, |value, step| match step {
            Step::Key(key) => value.get_mut(key.as_str()),
            Step::Index(index) => value.get_mut(*index),
        })
    }

    /// A value that the key takes, from the examples of the file.
    fn example(&self, key: &str) -> Option<Value> {
        let (_, text) = self.examples.iter().find(|(name, _)| *name == key)?;
        text.parse::<Table>().ok()?.remove(key)
    }
}

fn first_item(list: &Value) -> Option<Value> {
    list.as_array()?.first().cloned()
}

/// Where a fault is; a missing key is where it would be.
fn place(path: &Path, fault: &Fault) -> Option<Vec<Step>> {
    let step = |segment: &Segment| match segment {
        Segment::Seq { index } => Some(Step::Index(*index)),
        Segment::Map { key } => Some(Step::Key(key.clone())),
        Segment::Enum { .. } | Segment::Unknown => None,
    };
    let mut place: Vec<_> = path.iter().map(step).collect::<Option<_>>()?;
    if let Fault::Missing { key } = fault {
        place.push(Step::Key((*key).to_owned()));
    }
    Some(place)
}
