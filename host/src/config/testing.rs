//! Breaks every key of a valid configuration file in turn. The keys come from the file, so that
//! none can be forgotten: a key without a case fails the test.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::ConfigError;

/// A configuration file with every key, and what is known about them.
pub(crate) struct KeyTable {
    /// Where the file lies; the test writes it.
    pub(crate) file: PathBuf,
    /// Its valid content.
    pub(crate) valid: &'static str,
    /// Reads it.
    pub(crate) load: fn(&Path) -> Result<(), ConfigError>,
    /// For each scalar: its path, a part of the fix, and values that are wrong (TOML, by `|`).
    pub(crate) cases: &'static [(&'static str, &'static str, &'static str)],
    /// Keys that must be there, with a part of the fix.
    pub(crate) required: &'static [(&'static str, &'static str)],
    /// Tables whose keys are the user's to choose.
    pub(crate) free: &'static [&'static str],
}

#[derive(Clone)]
enum Step {
    Key(String),
    Index(usize),
}

type At = Vec<Step>;

impl KeyTable {
    /// Runs all the cases.
    pub(crate) fn check(&self) {
        let valid: Table = self.valid.parse().unwrap();
        let valid = Value::Table(valid);
        self.load(&valid).expect("the valid file loads");
        let mut nodes = Vec::new();
        collect(&valid, &mut Vec::new(), &mut nodes);
        self.every_scalar_has_a_case(&valid, &nodes);
        for at in &nodes {
            self.wrong_types_are_refused(&valid, at);
            self.removal(&valid, at);
            self.unknown_keys_are_refused(&valid, at);
        }
        self.unknown_keys_are_refused(&valid, &Vec::new());
        for (path, fix, wrong) in self.cases {
            let at = nodes.iter().find(|at| render(at) == *path).unwrap();
            for value in wrong.split('|').map(str::trim).filter(|value| !value.is_empty()) {
                let table: Table = format!("v = {value}").parse().unwrap();
                let error = self.broken(&valid, at, table["v"].clone(), value);
                assert!(error.fix.contains(fix), "{path} = {value}: {error}");
            }
        }
    }

    fn every_scalar_has_a_case(&self, valid: &Value, nodes: &[At]) {
        let is_scalar = |at: &&At| !get(valid, at).is_table() && !get(valid, at).is_array();
        let keys: BTreeSet<_> = nodes.iter().filter(is_scalar).map(|at| render(at)).collect();
        let cases: BTreeSet<_> = self.cases.iter().map(|(path, ..)| (*path).to_owned()).collect();
        assert_eq!(keys, cases, "each key of the valid file has exactly one case");
    }

    fn wrong_types_are_refused(&self, valid: &Value, at: &At) {
        let date: Table = "v = 1979-05-27".parse().unwrap();
        let error = self.broken(valid, at, date["v"].clone(), "a date");
        let scalar = self.cases.iter().find(|(path, ..)| *path == render(at));
        if let Some((path, fix, _)) = scalar {
            assert!(error.fix.contains(fix), "{path} = a date: {error}");
            let error = self.broken(valid, at, Value::Array(vec![]), "a list");
            assert!(error.fix.contains(fix), "{path} = []: {error}");
            self.broken(valid, at, Value::Table(Table::new()), "a table");
        }
    }

    fn removal(&self, valid: &Value, at: &At) {
        let Some((Step::Key(key), parent)) = at.split_last() else { return };
        let mut broken = valid.clone();
        get_mut(&mut broken, parent).as_table_mut().unwrap().remove(key);
        let path = render(at);
        let required = self.required.iter().find(|(required, _)| *required == path);
        if required.is_none() && self.free.contains(&&*render(parent)) {
            return;
        }
        match (self.load(&broken), required) {
            (Err(error), Some((_, fix))) => {
                self.names_file_and_key(&error, &path);
                assert!(error.problem.contains("missing"), "{error}");
                assert!(error.fix.contains(fix), "{error}");
            }
            (Ok(()), None) => {}
            (Ok(()), Some(_)) => panic!("{path} may be left out"),
            (Err(error), None) => panic!("{path} has no default: {error}"),
        }
    }

    fn unknown_keys_are_refused(&self, valid: &Value, at: &At) {
        let path = render(at);
        let Some(table) = get(valid, at).as_table() else { return };
        if self.free.contains(&&*path) {
            return;
        }
        let mut broken = valid.clone();
        get_mut(&mut broken, at)
            .as_table_mut()
            .unwrap()
            .insert("zzz".to_owned(), Value::Boolean(true));
        let error = self.load(&broken).expect_err(&path);
        let mut zzz = at.clone();
        zzz.push(Step::Key("zzz".to_owned()));
        self.names_file_and_key(&error, &render(&zzz));
        assert!(error.problem.contains("unknown key \"zzz\""), "{error}");
        for key in table.keys() {
            assert!(error.fix.contains(key), "{key} is not among the keys: {error}");
        }
    }

    fn broken(&self, valid: &Value, at: &At, value: Value, what: &str) -> ConfigError {
        let mut broken = valid.clone();
        *get_mut(&mut broken, at) = value;
        let path = render(at);
        match self.load(&broken) {
            Ok(()) => panic!("{path} = {what} is accepted"),
            Err(error) => {
                self.names_file_and_key(&error, &path);
                error
            }
        }
    }

    fn names_file_and_key(&self, error: &ConfigError, path: &str) {
        assert_eq!(error.key, path, "{error}");
        let start = format!("{}: {path}: ", self.file.display());
        assert!(error.to_string().starts_with(&start), "{error}");
        assert!(!error.problem.is_empty() && !error.fix.is_empty(), "{error}");
    }

    fn load(&self, content: &Value) -> Result<(), ConfigError> {
        std::fs::write(&self.file, toml::to_string(content).unwrap()).unwrap();
        (self.load)(&self.file)
    }
}

fn collect(value: &Value, at: &mut At, nodes: &mut Vec<At>) {
    let steps: Vec<_> = match value {
        Value::Table(table) => table.keys().cloned().map(Step::Key).collect(),
        Value::Array(items) => (0..items.len()).map(Step::Index).collect(),
        _ => Vec::new(),
    };
    for step in steps {
        at.push(step);
        nodes.push(at.clone());
        collect(get_step(value, &at[at.len() - 1]), at, nodes);
        at.pop();
    }
}

fn get_step<'a>(value: &'a Value, step: &Step) -> &'a Value {
    match step {
        Step::Key(key) => &value[key],
        Step::Index(index) => &value[*index],
    }
}

fn get<'a>(value: &'a Value, at: &[Step]) -> &'a Value {
    at.iter().fold(value, get_step)
}

fn get_mut<'a>(value: &'a mut Value, at: &[Step]) -> &'a mut Value {
    at.iter().fold(value, |value, step| match step {
        Step::Key(key) => &mut value[key],
        Step::Index(index) => &mut value[*index],
    })
}

fn render(at: &[Step]) -> String {
    let mut path = String::new();
    for step in at {
        match step {
            Step::Index(index) => path.push_str(&format!("[{index}]")),
            Step::Key(key) => {
                let dot = if path.is_empty() { "" } else { "." };
                let quote = if key.contains('.') { "\"" } else { "" };
                path.push_str(&format!("{dot}{quote}{key}{quote}"));
            }
        }
    }
    path
}
