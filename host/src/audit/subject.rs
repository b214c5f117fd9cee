//! What is audited: a component and its manifest, as their owner wrote them, and what becomes of the
//! manifest in a run. Limits and policies stay; topics, group and provenance are the run's.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use toml::{Table, Value};

use crate::config::ConfigError;
use crate::fleet::Parcel;
use crate::handler::Handler;
use crate::revision::Revision;
use crate::topic::{self, TopicSpec};
use crate::wasm::Runtime;

/// What a manifest of a run does not say: topics, which are made beforehand, and rollbacks, for all
/// revisions of a run have the same component.
const LEFT_OUT: [&str; 3] = ["topics", "on_fault", "rollback"];
/// The key that tells one revision of a run from the next: no handler notices.
const TOGGLED: &str = "log_lines_per_second";
/// The setting of a topic that a run needs as its owner has it.
const SIZE_SETTING: &str = "max.message.bytes";
/// Partitions of a topic that its owner does not describe, at least.
const PARTITIONS: u32 = 6;

/// A component and its manifest.
pub struct Subject {
    /// Where the manifest is from, for errors.
    origin: PathBuf,
    table: Table,
    component: Vec<u8>,
    /// As its owner has it.
    handler: Handler,
}

/// What a run calls the topics of a handler.
pub struct Names {
    prefix: String,
    /// Whether the topics keep their names: nobody else has a log of one's own.
    keep: bool,
}

impl Names {
    /// Those of a run with this prefix, on a log that others use too or on one of its own.
    pub fn new(prefix: &str, own_log: bool) -> Self {
        Self { prefix: prefix.to_owned(), keep: own_log }
    }

    /// The prefix: also the name of the fleet, and of the group.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    fn of(&self, topic: &str) -> String {
        if self.keep { topic.to_owned() } else { format!("{}.{topic}", self.prefix) }
    }
}

impl Subject {
    /// Checks the manifest. `origin` names it in errors, and `file` the component.
    pub fn new(
        origin: &Path,
        table: Table,
        file: &Path,
        component: Vec<u8>,
    ) -> Result<Self, ConfigError> {
        let origin = origin.to_owned();
        let mut handler = Parcel::new(origin.clone(), table.clone(), Vec::new(), None).handler()?;
        handler.component = file.to_owned();
        Ok(Self { origin, table, component, handler })
    }

    /// The handler as its owner has it.
    pub fn handler(&self) -> &Handler {
        &self.handler
    }

    /// The component.
    pub fn component(&self) -> &[u8] {
        &self.component
    }

    /// Checks that the component runs as the manifest says. The error names the component.
    pub fn check(&self, sandbox: &Runtime) -> anyhow::Result<()> {
        let handler = self.handler.clone();
        Revision::of(sandbox, handler, &self.component).map(drop)
    }

    /// What is deployed in a run. Two numbers of which one is odd give two revisions.
    pub fn parcel(&self, names: &Names, number: u64) -> anyhow::Result<Parcel> {
        let mut table = self.table.clone();
        for key in LEFT_OUT {
            table.remove(key);
        }
        let mut set = |key: &str, value: Value| drop(table.insert(key.to_owned(), value));
        let list = |topics: &[Arc<str>]| {
            Value::Array(topics.iter().map(|topic| names.of(topic).into()).collect())
        };
        set("name", self.handler.name.as_str().into());
        set("from", list(&self.handler.from));
        set("to", list(&self.handler.to));
        set("dead_letter_topic", names.of(&self.handler.dead_letter_topic).into());
        set("group", names.prefix().into());
        set("start", "earliest".into());
        set("provenance", "transaction".into());
        set("aliases", self.aliases(names).into());
        self.follow(&mut table, names);
        self.number(&mut table, number);
        let component = self.component.clone();
        Ok(Parcel::new(self.origin.clone(), table, component, None))
    }

    /// What the component calls its topics stays what it calls them.
    fn aliases(&self, names: &Names) -> Table {
        let topics = self.handler.from.iter().chain(&self.handler.to);
        let renamed = topics.map(|topic| (self.handler.called(topic), names.of(topic)));
        let aliases = renamed.filter(|(called, name)| called != name);
        aliases.map(|(called, name)| (called.to_owned(), name.into())).collect()
    }

    /// Settings that name a topic of the handler name that of the run.
    fn follow(&self, table: &mut Table, names: &Names) {
        let Some(Value::Table(settings)) = table.get_mut("config") else { return };
        for (_, value) in settings.iter_mut() {
            let topic = value.as_str().filter(|text| self.topics().any(|topic| &**topic == *text));
            if let Some(topic) = topic {
                *value = names.of(topic).into();
            }
        }
    }

    fn number(&self, table: &mut Table, number: u64) {
        let lines = i64::from(self.handler.limits.log_lines_per_second);
        let lines = if number.is_multiple_of(2) { lines } else { (lines - 1).abs() };
        let limits = table.entry("limits").or_insert_with(|| Table::new().into());
        if let Value::Table(limits) = limits {
            limits.insert(TOGGLED.to_owned(), lines.into());
        }
    }

    fn topics(&self) -> impl Iterator<Item = &Arc<str>> {
        let Handler { from, to, dead_letter_topic, .. } = &self.handler;
        from.iter().chain(to).chain([dead_letter_topic])
    }

    /// The topics of a run, each once: as large as their owner describes them, without retention or
    /// compaction, which would take away what is to be looked at. One that is not described has some
    /// partitions for each host.
    pub fn specs(&self, names: &Names, hosts: usize) -> anyhow::Result<Vec<TopicSpec>> {
        let partitions = u32::try_from(hosts).unwrap_or(1).saturating_mul(2).max(PARTITIONS);
        let declared: BTreeMap<_, _> =
            self.handler.topics.iter().map(|spec| (&*spec.name, spec)).collect();
        let mut specs = BTreeMap::new();
        for topic in self.topics() {
            let name = names.of(topic);
            if let Err(problem) = topic::check_name(&name) {
                bail!("topic {topic:?} cannot be called {name:?} in the audit: {problem}");
            }
            let spec = declared.get(&**topic);
            let size = spec.and_then(|spec| spec.settings.get(SIZE_SETTING));
            let settings = size.map(|size| (SIZE_SETTING.to_owned(), size.clone()));
            let mut of_run = TopicSpec::named(&name);
            of_run.partitions = spec.map_or(partitions, |spec| spec.partitions);
            of_run.replication_factor = spec.and_then(|spec| spec.replication_factor);
            of_run.settings = settings.into_iter().collect();
            specs.insert(name, of_run);
        }
        Ok(specs.into_values().collect())
    }

    /// The source topic of a run that takes the events of a topic of the handler; those of others go
    /// to the first one.
    pub fn source(&self, names: &Names, topic: &str) -> anyhow::Result<Arc<str>> {
        let from = &self.handler.from;
        let source = from.iter().find(|source| &***source == topic).or(from.first());
        Ok(names.of(source.context("the handler has no source topic")?).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(more: &str) -> Subject {
        let text = format!(
            "name = \"h\"\ncomponent = \"h.wasm\"\nfrom = [\"orders\"]\nto = [\"invoices\"]\n{more}"
        );
        let (origin, file) = (Path::new("handler.toml"), Path::new("h.wasm"));
        Subject::new(origin, text.parse().unwrap(), file, b"wasm".to_vec()).unwrap()
    }

    fn run(subject: &Subject, names: &Names) -> Handler {
        subject.parcel(names, 0).unwrap().handler().unwrap()
    }

    #[test]
    fn on_a_log_of_others_every_name_has_the_prefix() {
        let names = Names::new("audit-1", false);
        let subject = subject("group = \"theirs\"\n[config]\nto = \"invoices\"\nother = \"x\"");
        let handler = run(&subject, &names);
        assert_eq!(&*handler.from[0], "audit-1.orders");
        assert_eq!(&*handler.to[0], "audit-1.invoices");
        assert_eq!(&*handler.dead_letter_topic, "audit-1.h.dead-letters");
        assert_eq!(handler.group, "audit-1");
        assert_eq!(handler.called("audit-1.orders"), "orders");
        assert_eq!(handler.config["to"], "audit-1.invoices");
        assert_eq!(handler.config["other"], "x");
        let specs = subject.specs(&names, 5).unwrap();
        assert!(specs.iter().all(|spec| spec.name.starts_with("audit-1.")), "{specs:?}");
        assert!(specs.iter().all(|spec| spec.partitions == 10), "{specs:?}");
        assert_eq!(&*subject.source(&names, "orders").unwrap(), "audit-1.orders");
        assert_eq!(&*subject.source(&names, "elsewhere").unwrap(), "audit-1.orders");
    }

    #[test]
    fn on_a_log_of_its_own_topics_keep_their_names_and_limits_stay() {
        let names = Names::new("audit-1", true);
        let subject = subject("on_fault = \"rollback\"\nworkers = 3\n[limits]\ntime = \"7s\"");
        let handler = run(&subject, &names);
        assert_eq!((&*handler.from[0], &*handler.to[0]), ("orders", "invoices"));
        assert_eq!((handler.workers, handler.rollback_after), (3, None));
        assert!(handler.aliases.is_empty(), "{:?}", handler.aliases);
        assert_eq!(handler.limits.time.as_secs(), 7);
        assert_eq!(handler.provenance, crate::handler::Provenance::Transaction);
    }

    #[test]
    fn a_swap_changes_the_manifest_and_nothing_that_a_handler_notices() {
        let names = Names::new("audit-1", false);
        for more in
            ["", "[limits]\nlog_lines_per_second = 0", "[limits]\nlog_lines_per_second = 1000000"]
        {
            let subject = subject(more);
            let of = |number| subject.parcel(&names, number).unwrap();
            assert_ne!(of(0).manifest(), of(1).manifest(), "{more}");
            assert_eq!(of(0).manifest(), of(2).manifest());
            let (one, other) = (of(0).handler().unwrap(), of(1).handler().unwrap());
            assert_eq!(one.config, other.config);
        }
    }

    #[test]
    fn topics_are_as_large_as_they_are_described_and_nothing_takes_events_away() {
        let more = "[[topics]]\nname = \"invoices\"\npartitions = 9\n\
                    settings = { \"retention.ms\" = 1, \"max.message.bytes\" = 77 }";
        let specs = subject(more).specs(&Names::new("a", true), 1).unwrap();
        let spec = specs.iter().find(|spec| &*spec.name == "invoices").unwrap();
        assert_eq!(spec.partitions, 9);
        assert_eq!(spec.settings.keys().collect::<Vec<_>>(), ["max.message.bytes"]);
    }
}
