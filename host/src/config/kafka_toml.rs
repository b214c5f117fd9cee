//! `[kafka]` as it is written: properties of any name, whose values are strings with variables,
//! numbers, booleans, or files.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use super::checked::Checked;
use super::decode::quoted_key;
use super::error::ConfigError;
use super::expand::{Env, ExpandError, expand};
use super::fault::Refusal;
use super::names::FilePath;
use super::secret::Value;

/// The longest file that is read for a value: a bundle of all authorities has a quarter of this.
const LONGEST_FILE: u64 = 1 << 20;

/// `[kafka]`, `[kafka.consumer]` and `[kafka.producer]`.
#[derive(Default)]
pub(crate) struct KafkaToml {
    pub(crate) common: BTreeMap<String, Given>,
    pub(crate) consumer: BTreeMap<String, Given>,
    pub(crate) producer: BTreeMap<String, Given>,
}

/// A value before it is looked up. No `Debug`: it may be a secret.
pub(crate) enum Given {
    /// A string, whose variables are to be replaced.
    Text(String),
    /// A number or boolean.
    Plain(String),
    /// The content of a file.
    File(PathBuf),
}

/// Where values come from.
pub(crate) struct Source<'a> {
    /// The configuration file; the paths of other files are relative to it.
    pub(crate) file: &'a Path,
    /// The environment.
    pub(crate) env: Env<'a>,
}

/// The key path of a property: `kafka."ssl.ca.pem"`.
pub(crate) fn key(section: &str, name: &str) -> String {
    format!("{section}.{}", quoted_key(name))
}

impl Source<'_> {
    /// Looks up the value of property `name`, which stands at `key`.
    pub(crate) fn resolve(
        &self,
        key: &str,
        name: &str,
        given: Given,
    ) -> Result<Value, ConfigError> {
        let (text, indirect) = match given {
            Given::Plain(text) => (text, false),
            Given::Text(text) => self.expand(key, &text)?,
            Given::File(path) => (self.content(key, &path)?, true),
        };
        // Environments and command lines often cannot hold newlines.
        let text = if name.ends_with(".pem") { text.replace("\\n", "\n") } else { text };
        Ok(Value::new(name, text, indirect))
    }

    fn expand(&self, key: &str, text: &str) -> Result<(String, bool), ConfigError> {
        let (problem, fix) = match expand(text, self.env) {
            Ok(expanded) => return Ok((expanded.text, expanded.from_environment)),
            Err(ExpandError::Unset(name)) => (
                format!("the environment variable {name} is not set to UTF-8 text"),
                format!("set it before the start, for example export {name}=…"),
            ),
            Err(ExpandError::Malformed) => (
                "has a ${ that is not followed by the name of a variable and a }".to_owned(),
                "write for example ${KAFKA_PASSWORD}, or $${ for a literal ${".to_owned(),
            ),
        };
        Err(ConfigError::new(self.file, key, problem, fix))
    }

    fn content(&self, key: &str, path: &Path) -> Result<String, ConfigError> {
        let path = self.file.parent().unwrap_or(Path::new("")).join(path);
        let wrong = |reason: &str| {
            let problem = format!("the file {:?} {reason}", path.display());
            let fix = "name a text file with the value, for example \
                       { file = \"/run/secrets/ca.pem\" }";
            ConfigError::new(self.file, key, problem, fix)
        };
        let mut bytes = Vec::new();
        File::open(&path)
            .and_then(|file| file.take(LONGEST_FILE + 1).read_to_end(&mut bytes))
            .map_err(|error| wrong(&format!("cannot be read: {error}")))?;
        if bytes.len() as u64 > LONGEST_FILE {
            return Err(wrong(&format!("is longer than {LONGEST_FILE} bytes")));
        }
        let mut text = String::from_utf8(bytes).map_err(|_| wrong("is not UTF-8 text"))?;
        text.truncate(text.trim_end_matches(['\r', '\n']).len());
        if text.is_empty() { Err(wrong("is empty")) } else { Ok(text) }
    }
}

impl<'de> Deserialize<'de> for KafkaToml {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(KafkaVisitor)
    }
}

struct KafkaVisitor;

impl<'de> Visitor<'de> for KafkaVisitor {
    type Value = KafkaToml;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of properties")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<KafkaToml, A::Error> {
        let mut toml = KafkaToml::default();
        while let Some(name) = map.next_key::<String>()? {
            match &*name {
                "consumer" => toml.consumer = map.next_value()?,
                "producer" => toml.producer = map.next_value()?,
                _ => {
                    toml.common.insert(name, map.next_value()?);
                }
            }
        }
        Ok(toml)
    }
}

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(GivenVisitor)
    }
}

struct GivenVisitor;

impl<'de> Visitor<'de> for GivenVisitor {
    type Value = Given;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if f.alternate() {
            "for example \"text\", \"${NAME}\", 10, true or { file = \"path\" }"
        } else {
            "the value of a property"
        })
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Given, E> {
        Ok(Given::Text(text.to_owned()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Given, E> {
        Ok(Given::Plain(number.to_string()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Given, E> {
        Ok(Given::Plain(number.to_string()))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Given, E> {
        Ok(Given::Plain(value.to_string()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Given, A::Error> {
        let mut path = None;
        while let Some(key) = map.next_key::<String>()? {
            if key != "file" {
                path = None;
                break;
            }
            path = Some(map.next_value::<Checked<FilePath>>()?.0);
        }
        // TOML reads an unquoted `ssl.ca.pem = …` as tables within tables.
        path.map(Given::File).ok_or_else(|| {
            A::Error::custom(Refusal {
                problem: "this table is not the value of a property",
                fix: "put a name with dots in quotes, for example \"ssl.ca.pem\" = …; \
                      { file = \"path\" } stands for the content of a file",
            })
        })
    }
}
