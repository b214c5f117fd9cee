//! The course of an audit: tries the component, deploys it to hosts of its own, drives load and makes
//! faults, waits until everything is handled, stops the hosts, looks at everything once more, asks the
//! component what it should be, and judges. Leaves nothing behind, unless it is told to or something
//! is wrong.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tracing::{info, warn};

use super::faults::{Faults, host_id};
use super::history::{Record, Run, VERSION};
use super::hosts::Hosts;
use super::inputs::Inputs;
use super::load::{Load, Source};
use super::model::{self, Model, Opinion};
use super::observer::{Observer, Sight};
use super::plan::{Plan, Scene};
use super::recorder::Recorder;
use super::report::{Left, Report};
use super::site::Site;
use super::subject::Subject;
use crate::event::Event;
use crate::fleet::Fleet;
use crate::handler::{Handler, Instances, OnFailure};
use crate::stop::Stop;
use crate::topic::TopicSpec;
use crate::wasm::{Program, Runtime};

/// Events that the component is tried with before the run.
const TRIAL: usize = 200;
/// How long hosts may take to join their group: each compiles the component first.
const JOIN: Duration = Duration::from_secs(180);
/// How long the rest may take when the load is over, beside what the sessions take.
const DRAIN: Duration = Duration::from_secs(120);
/// How long the last look may take, beside a transaction that is left open.
const LAST_LOOK: Duration = Duration::from_secs(120);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(200);

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Order {
    /// How long load and faults last.
    pub length: Duration,
    /// How many hosts there are, where hosts can share; on an embedded log there is one.
    pub hosts: usize,
    /// What inputs and faults are drawn from.
    pub seed: u64,
    /// Events in a second.
    pub rate: u32,
    /// Events to be copied, in the topics of the handler; without any they are made up.
    pub given: Vec<Event>,
    /// Whether everything is left where it is.
    pub keep: bool,
    /// Where the history goes, also when every promise was kept.
    pub history: Option<PathBuf>,
}

/// Whoever started an audit.
pub struct Onlooker<'a> {
    /// Ends it early, without a verdict.
    pub stop: &'a Stop,
    /// Is told again and again what is being done.
    pub say: &'a dyn Fn(&str),
}

/// What an audit goes by.
struct Course<'a> {
    subject: &'a Subject,
    site: &'a Site,
    order: &'a Order,
    stop: &'a Stop,
    /// As the run has it.
    handler: &'a Handler,
    program: &'a Program,
    /// The events to be copied, in the topics of the run.
    given: Vec<Event>,
    say: &'a dyn Fn(&str),
}

/// Audits a component. `Err`: nothing can be said of the promises.
pub fn audit(
    subject: &Subject,
    mut site: Site,
    sandbox: &Runtime,
    order: &Order,
    Onlooker { stop, say }: &Onlooker<'_>,
) -> anyhow::Result<Report> {
    say("trying the component");
    let parcel = subject.parcel(site.names(), 0)?;
    let handler = parcel.handler()?;
    let program = load(sandbox, &handler, subject)?;
    let specs = subject.specs(site.names(), order.hosts)?;
    let history = order.history.clone();
    let history = history.unwrap_or_else(|| site.dir().join("history.ndjson"));
    let judged = site.prepare(&specs).and_then(|()| {
        let given = order.given.iter().map(|event| {
            let topic = subject.source(site.names(), &event.topic)?;
            Ok(Event { topic, ..event.clone() })
        });
        let given = given.collect::<anyhow::Result<_>>()?;
        let (site, handler, program) = (&site, &handler, &program);
        Course { subject, site, order, stop, handler, program, given, say }.run(&specs, &history)
    });
    match judged {
        Ok(report) if order.keep || !report.kept => Ok(left(report, site, history, order)),
        judged => {
            say("removing what the audit made");
            let made = site.topics().join(", ");
            // It takes nothing from the verdict.
            if let Err(error) = site.remove() {
                warn!("{error:#}; remove by hand what is left of {made}");
            }
            judged
        }
    }
}

/// The report of a run whose topics stay.
fn left(mut report: Report, site: Site, history: PathBuf, order: &Order) -> Report {
    let history = match &order.history {
        Some(_) => history,
        None => {
            let name = format!("{}.ndjson", site.names().prefix());
            let places = [PathBuf::from(&name), std::env::temp_dir().join(&name)];
            let kept = places.into_iter().find(|place| fs::copy(&history, place).is_ok());
            kept.unwrap_or_else(|| {
                warn!("the history cannot be kept: {name:?} cannot be written here");
                history
            })
        }
    };
    report.left = Some(Left { history, site: site.keep() });
    report
}

/// Makes the component ready to be asked. Where each event gets its own instance, there is room for
/// two at once.
fn load(sandbox: &Runtime, handler: &Handler, subject: &Subject) -> anyhow::Result<Program> {
    let mut handler = handler.clone();
    if handler.instances == Instances::PerEvent {
        handler.workers = handler.workers.max(2);
    }
    let name = handler.name.clone();
    let program = sandbox.load(&Arc::new(handler), subject.component());
    program.with_context(|| format!("handler {name:?}: {:?}", subject.handler().component))
}

impl Course<'_> {
    fn run(&self, specs: &[TopicSpec], history: &Path) -> anyhow::Result<Report> {
        if self.site.is_shared() {
            info!("made topics {}, and will remove them", self.site.topics().join(", "));
        }
        let model = Model::new(self.program, self.trial_events(), self.stop)?;
        self.check_trial(&model)?;
        let recorder = Recorder::create(history, &self.described())?;
        let rebalances = self.observed(specs, &recorder)?;
        (self.say)("asking the component what it should be");
        let none = self.expect(&model, &recorder)?;
        (self.say)("judging");
        let mut report = Report::of(&recorder.finish()?);
        report.rebalances = Some(rebalances);
        report.model.none = none.or(report.model.none);
        Ok(report)
    }

    /// What the history says that it is about.
    fn described(&self) -> Run {
        let Handler { name, group, from, to, dead_letter_topic, .. } = self.handler;
        let timeout = self.site.transaction_timeout().as_millis();
        Run {
            version: VERSION,
            seed: self.order.seed,
            log: if self.site.is_shared() { "kafka" } else { "embedded" }.to_owned(),
            handler: name.clone(),
            group: group.clone(),
            from: from.clone(),
            to: to.clone(),
            dead_letters: Arc::clone(dead_letter_topic),
            transaction_timeout_ms: u64::try_from(timeout).unwrap_or(u64::MAX),
            bounds: None,
        }
    }

    fn inputs(&self) -> Inputs {
        Inputs::new(self.order.seed, self.given.clone(), self.handler.from.clone())
    }

    fn trial_events(&self) -> Vec<Event> {
        let mut inputs = self.inputs();
        (0..TRIAL).map(|_| inputs.next().1).collect()
    }

    /// Refuses what could only come to a halt, and warns of what proves little.
    fn check_trial(&self, model: &Model<'_>) -> anyhow::Result<()> {
        let trial = model.trial();
        let Some(first) = &trial.first else { return Ok(()) };
        let advice = "give it events that it handles: --inputs FILE, one a line, or test cases";
        if self.handler.on_failure == OnFailure::Stop {
            bail!(
                "handler {:?} fails at {} of {} events that it was tried with, and its manifest says \
                 on_failure = \"stop\": a partition would halt without end ({first}); {advice}",
                self.handler.name,
                trial.failed,
                trial.events
            );
        }
        if trial.failed == trial.events {
            warn!("every event becomes a dead letter ({first}); {advice}");
        }
        Ok(())
    }

    /// Everything from the first host to the last look. Gives how often partitions moved.
    fn observed(&self, specs: &[TopicSpec], recorder: &Recorder) -> anyhow::Result<usize> {
        let fleet = Fleet::new(self.site.store(), "lockstep audit", self.stop.clone());
        let parcel = self.subject.parcel(self.site.names(), 0)?;
        let deployed = fleet.deploy(&self.handler.name, &parcel, None);
        deployed.with_context(|| format!("failed to deploy handler {:?}", self.handler.name))?;
        let sight = self.site.sight()?;
        let observer = Observer::start(Arc::clone(&sight), recorder.clone(), &self.described())?;
        let mut hosts = Hosts::new(recorder.clone(), self.stop.clone())?;
        self.start(&mut hosts)?;
        let load = Load::start(self.source(specs, &sight), recorder.clone())?;
        let length = humantime::format_duration(self.order.length);
        (self.say)(&format!("driving load and making faults for {length}"));
        let mut faults = Faults {
            hosts: &mut hosts,
            site: self.site,
            subject: self.subject,
            fleet: &fleet,
            recorder,
            stop: self.stop,
            deployed: 1,
        };
        faults.follow(Plan::new(self.order.seed, self.scene()), self.order.length)?;
        let (written, refused) = load.finish();
        if written == 0 {
            let why = refused.unwrap_or_else(|| "it did not answer".to_owned());
            bail!("{} took none of the events: {why}", self.site.log().describe());
        }
        if let Some(why) = refused {
            warn!("the log refused some of the events: {why}");
        }
        self.drain(&mut hosts, &*sight, written)?;
        (self.say)("stopping the hosts");
        hosts.terminate_all()?;
        (self.say)("reading everything once more");
        observer.finish(LAST_LOOK + self.site.transaction_timeout())?;
        Ok(hosts.ear().rebalances())
    }

    fn hosts(&self) -> usize {
        if self.site.is_shared() { self.order.hosts } else { 1 }
    }

    fn scene(&self) -> Scene {
        let (hosts, length) = (self.hosts(), self.order.length);
        Scene { hosts, length, session: self.site.session() }
    }

    fn source(&self, specs: &[TopicSpec], sight: &Arc<dyn Sight>) -> Source {
        let sources = specs.iter().filter(|spec| self.handler.from.contains(&spec.name));
        let (sight, group) = (Arc::clone(sight), self.handler.group.clone());
        let from = self.handler.from.clone();
        Source {
            log: Arc::clone(self.site.log()),
            inputs: self.inputs(),
            partitions: sources.map(|spec| spec.partitions).min().unwrap_or(1),
            rate: self.order.rate,
            seed: self.order.seed,
            handled: Box::new(move || handled(&*sight, &group, &from).ok()),
        }
    }

    /// Starts the hosts, and waits until they are at work.
    fn start(&self, hosts: &mut Hosts) -> anyhow::Result<()> {
        (self.say)("starting the hosts");
        let ids: Vec<_> = (0..self.hosts()).map(host_id).collect();
        for id in &ids {
            hosts.start(id, self.site.host_config(id)?)?;
        }
        ids.iter().try_for_each(|id| hosts.await_ready(id))?;
        let begun = Instant::now();
        let admin = self.site.log().admin();
        while admin.members(&self.handler.group).unwrap_or_default() == 0 {
            hosts.check()?;
            if begun.elapsed() > JOIN {
                let said = hosts.last_words();
                bail!(
                    "no host has joined group {:?} after {JOIN:?}{said}\nif the brokers refuse its \
                     session, say for example -X session.timeout.ms=10000",
                    self.handler.group
                );
            }
            if self.stop.sleep(LOOK) {
                bail!("stopped before the hosts were at work");
            }
        }
        Ok(())
    }

    /// Waits until everything is handled. What is not by the end of its patience is for the oracle to
    /// tell.
    fn drain(&self, hosts: &mut Hosts, sight: &dyn Sight, written: u64) -> anyhow::Result<()> {
        let sessions = self.site.session().unwrap_or_default() + self.site.transaction_timeout();
        let patience = DRAIN + sessions + self.order.length;
        let begun = Instant::now();
        let Handler { group, from, .. } = self.handler;
        while begun.elapsed() < patience {
            let done = handled(sight, group, from);
            match (&done, ends(sight, from)) {
                (Ok(done), Ok(ends)) if *done >= ends => return Ok(()),
                (Ok(done), Ok(_)) => {
                    let left = written.saturating_sub(*done);
                    (self.say)(&format!("waiting for the rest: {left} events"));
                }
                // Not known at this moment.
                _ => {}
            }
            hosts.check()?;
            if self.stop.sleep(LOOK) {
                bail!("stopped before everything was handled");
            }
        }
        let said = hosts.last_words();
        warn!("not everything was handled {patience:?} after the last fault{said}");
        Ok(())
    }

    /// Records what the model expects, or says why it expects nothing.
    fn expect(&self, model: &Model<'_>, recorder: &Recorder) -> anyhow::Result<Option<String>> {
        let inputs = model::inputs(&**self.site.log(), &self.handler.from)?;
        match model.opinion(&inputs, &recorder.entries())? {
            Opinion::Expects(expected) => {
                expected.into_iter().for_each(|one| recorder.record(Record::Expected(one)));
                Ok(None)
            }
            Opinion::None(reason) => Ok(Some(reason)),
        }
    }
}

/// How many events the group is done with. The events of a run begin at offset 0, and no transaction
/// of theirs takes offsets up.
fn handled(sight: &dyn Sight, group: &str, from: &[Arc<str>]) -> anyhow::Result<u64> {
    let mut sum = 0;
    for topic in from {
        sum += sight.committed(group, topic)?.into_values().sum::<i64>();
    }
    Ok(sum.unsigned_abs())
}

/// How many events there are.
fn ends(sight: &dyn Sight, from: &[Arc<str>]) -> anyhow::Result<u64> {
    let mut sum = 0;
    for topic in from {
        sum += sight.ends(topic)?.into_iter().map(|(_, _, end)| end).sum::<i64>();
    }
    Ok(sum.unsigned_abs())
}
