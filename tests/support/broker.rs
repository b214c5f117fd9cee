//! A real Apache Kafka for tests: one node, one directory, ports of its own.
//!
//! The jars come from Maven Central once and stay in the user's cache. [`Broker::shared`] is one
//! broker for the whole run, started by the first test that needs it; a test that stops its
//! broker starts one of its own.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rustix::process::Signal;

use crate::paths;
use crate::process::Process;
use crate::{guardian, kafka};

/// Not 4.3.0 or 4.3.1: they forget the markers of a transaction when the last leader of a
/// partition goes away (KAFKA-20734), as it does with a lone broker that is restarted.
const VERSION: &str = "4.2.1";
/// The compiler that starts fast: a test run is over before the other one pays.
const SMALL_AND_QUICK: &[&str] = &["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];
const START_DEADLINE: Duration = Duration::from_secs(90);
/// The user of the SASL listener.
pub const SASL_USER: &str = "lockstep";
/// The password that the SASL listener takes.
pub const SASL_PASSWORD: &str = "the-right-password";

/// A broker that is killed when dropped.
pub struct Broker {
    directory: tempfile::TempDir,
    ports: Ports,
    extras: Vec<(&'static str, u16)>,
    jvm: &'static [&'static str],
    process: Mutex<Option<Process>>,
}

/// What a broker has besides the usual.
#[derive(Default)]
pub struct Extras {
    /// Listeners, by names that `server.properties` maps to their protocols.
    pub listeners: &'static [&'static str],
    /// A listener whose clients are told another port, that of a proxy.
    pub advertised: Option<(&'static str, u16)>,
    /// More lines of `server.properties`.
    pub properties: String,
    /// More arguments of the command that formats the directory.
    pub format: Vec<String>,
}

/// Where a broker listens.
#[derive(Clone, Copy)]
pub struct Ports {
    plain: u16,
    sasl: u16,
    /// Where the controllers talk to each other.
    pub controller: u16,
}

impl Broker {
    /// The broker of this test run.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Broker> = OnceLock::new();
        // Nobody restarts this one, so it need not be given up soon: a busy machine may keep it from
        // talking to its controller for seconds.
        let patient = "broker.session.timeout.ms=18000\n";
        let extras = || Extras { properties: patient.to_owned(), ..Extras::default() };
        SHARED.get_or_init(|| Self::start_with_extras(&extras()))
    }

    /// A broker for measurements: it may warm up, and use more memory.
    pub fn for_benchmarks() -> Self {
        Self::start_with(&["-Xmx1g", "-XX:+UseSerialGC"], &Extras::default())
    }

    /// A broker of one's own, running.
    pub fn start() -> Self {
        Self::start_with(SMALL_AND_QUICK, &Extras::default())
    }

    /// A broker of one's own with more than the usual, running.
    pub fn start_with_extras(extras: &Extras) -> Self {
        Self::start_with(SMALL_AND_QUICK, extras)
    }

    /// A broker of one's own that has its ports and its directory, but does not run yet.
    pub fn stopped() -> Self {
        Self::formatted(SMALL_AND_QUICK, &Extras::default())
    }

    /// One of several brokers, with lines of `server.properties` that make it one; it does not
    /// run yet.
    pub fn node(ports: Ports, properties: String) -> Self {
        let extras = Extras { properties, ..Extras::default() };
        Self::formatted_at((ports, Vec::new()), SMALL_AND_QUICK, &extras)
    }

    fn start_with(jvm: &'static [&'static str], extras: &Extras) -> Self {
        let mut failures = Vec::new();
        // Someone else may take a free port between our looking and the broker's binding.
        for _ in 0..3 {
            let broker = Self::formatted(jvm, extras);
            match broker.try_start() {
                Ok(()) => return broker,
                Err(output) => failures.push(output),
            }
        }
        panic!("the broker did not start\n{}", failures.join("\n"));
    }

    fn formatted(jvm: &'static [&'static str], extras: &Extras) -> Self {
        Self::formatted_at(Ports::free(extras.listeners.len()), jvm, extras)
    }

    fn formatted_at(
        (ports, more): (Ports, Vec<u16>),
        jvm: &'static [&'static str],
        extras: &Extras,
    ) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("lockstep-kafka-")
            .tempdir()
            .expect("a temporary directory can be made");
        guardian::remove_at_end(directory.path());
        let listeners = extras.listeners.iter().copied().zip(more).collect();
        let process = Mutex::new(None);
        let broker = Self { directory, ports, extras: listeners, jvm, process };
        broker.format(extras);
        broker
    }

    /// `host:port` of the listener without authentication.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.plain)
    }

    /// `host:port` of the listener that asks for user and password (SASL PLAIN).
    pub fn sasl_address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.sasl)
    }

    /// `host:port` of one of the extra listeners.
    pub fn extra_address(&self, listener: &str) -> String {
        let port = self.extras.iter().find(|(name, _)| *name == listener).map(|(_, port)| port);
        format!("127.0.0.1:{}", port.expect("the broker was started with this listener"))
    }

    /// A broker of one's own that can forbid things, running.
    pub fn start_with_acls() -> Self {
        let properties = "\
            authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
            allow.everyone.if.no.acl.found=true\n";
        let properties = properties.to_owned();
        Self::start_with(SMALL_AND_QUICK, &Extras { properties, ..Extras::default() })
    }

    /// Forbids everybody to write to a topic; they may do everything else with it.
    pub fn forbid_writes(&self, topic: &str) {
        let rules = [["--allow-principal", "All"], ["--deny-principal", "Write"]];
        for [rule, operation] in rules {
            let mut command = java(SMALL_AND_QUICK);
            command.args(["org.apache.kafka.tools.AclCommand", "--add", rule, "User:*"]);
            command.args(["--bootstrap-server", &self.address()]);
            command.args(["--operation", operation, "--topic", topic]);
            let output = command.output().expect("java was found before");
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "failed to forbid writes to {topic:?}: {text}");
        }
    }

    /// Starts a stopped broker on the ports it had.
    pub fn restart(&self) {
        if let Err(output) = self.try_start() {
            panic!("the broker did not start\n{output}");
        }
    }

    /// Stops the broker in an orderly way; its data stay.
    pub fn stop(&self) {
        if let Some(mut process) = self.process().take() {
            process.signal(Signal::TERM);
            process.wait(Duration::from_secs(60));
        }
    }

    /// Kills the broker as `kill -9` does; its data stay.
    pub fn kill9(&self) {
        drop(self.process().take());
    }

    /// Freezes the broker: its connections stay, and nothing is answered.
    pub fn freeze(&self) {
        if let Some(process) = self.process().as_ref() {
            process.signal(Signal::STOP);
        }
    }

    /// Lets a frozen broker go on.
    pub fn thaw(&self) {
        if let Some(process) = self.process().as_ref() {
            process.signal(Signal::CONT);
        }
    }

    fn try_start(&self) -> Result<(), String> {
        let process = Process::start(
            "the broker",
            java(self.jvm).arg("kafka.Kafka").arg(self.directory.path().join("server.properties")),
        );
        *self.process() = Some(process);
        let begun = Instant::now();
        while begun.elapsed() < START_DEADLINE {
            if self.probe().is_ok() {
                return Ok(());
            }
            let mut process = self.process();
            if let Some(process) = process.as_mut()
                && process.try_wait().is_some()
            {
                return Err(process.output());
            }
        }
        Err(self.process().as_ref().map(Process::output).unwrap_or_default())
    }

    /// An open port is not enough: a transaction must go through.
    fn probe(&self) -> Result<(), Box<dyn std::error::Error>> {
        let timeout = Duration::from_secs(5);
        let address = self.address();
        // Without a listener a client would wait for its own back-off: look first.
        if std::net::TcpStream::connect(&address).is_err() {
            std::thread::sleep(Duration::from_millis(50));
            return Err("no listener".into());
        }
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &address)
            .set("transactional.id", "probe")
            .set("transaction.timeout.ms", "10000")
            .create()?;
        producer.client().fetch_metadata(None, timeout)?;
        kafka::create_topic(&address, "lockstep-probe", 1, &[])?;
        producer.init_transactions(timeout)?;
        producer.begin_transaction()?;
        producer
            .send(BaseRecord::<(), str>::to("lockstep-probe").payload("probe"))
            .map_err(|(error, _)| error)?;
        producer.commit_transaction(timeout)?;
        Ok(())
    }

    fn format(&self, extras: &Extras) {
        let directory = self.directory.path();
        let Ports { plain, sasl, controller } = self.ports;
        let base = fs::read_to_string(paths::tests().join("kafka/server.properties"))
            .expect("tests/kafka/server.properties can be read");
        let list = |port: &dyn Fn(&str, u16) -> u16| -> String {
            self.extras.iter().map(|(n, p)| format!(",{n}://127.0.0.1:{}", port(n, *p))).collect()
        };
        let more = list(&|_, port| port);
        let told = list(&|name, port| match extras.advertised {
            Some((other, told)) if other == name => told,
            _ => port,
        });
        let properties = format!(
            "{base}\n\
             controller.quorum.voters=1@127.0.0.1:{controller}\n\
             listeners=PLAINTEXT://127.0.0.1:{plain},SASL://127.0.0.1:{sasl},\
             CONTROLLER://127.0.0.1:{controller}{more}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{plain},SASL://127.0.0.1:{sasl}{told}\n\
             listener.name.sasl.plain.sasl.jaas.config=\
             org.apache.kafka.common.security.plain.PlainLoginModule required \
             user_{SASL_USER}=\"{SASL_PASSWORD}\";\n\
             log.dirs={}\n{}\n",
            directory.join("data").display(),
            extras.properties
        );
        let file = directory.join("server.properties");
        fs::write(&file, properties).expect("the broker's directory can be written");
        let output = java(SMALL_AND_QUICK)
            .args(["kafka.tools.StorageTool", "format", "-t", "bG9ja3N0ZXAtdGVzdHMtMQ", "-c"])
            .arg(&file)
            .args(&extras.format)
            .output()
            .expect("java was found before");
        assert!(
            output.status.success(),
            "failed to format the broker's directory: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn process(&self) -> std::sync::MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Ports {
    /// Ports for a broker, and so many more.
    pub fn free(more: usize) -> (Self, Vec<u16>) {
        let bind = || TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port =
            |l: &TcpListener| l.local_addr().expect("a bound listener has an address").port();
        let listeners = [bind(), bind(), bind()];
        let extra: Vec<_> = (0..more).map(|_| bind()).collect();
        let [plain, sasl, controller] = listeners.each_ref().map(port);
        (Self { plain, sasl, controller }, extra.iter().map(port).collect())
    }
}

fn java(options: &[&str]) -> Command {
    let mut command = Command::new("java");
    command
        .args(options)
        .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
        .arg("-cp")
        .arg(jars().join("*"));
    command
}

/// The directory of the jars, filled at the first use on this machine.
fn jars() -> &'static Path {
    static JARS: OnceLock<PathBuf> = OnceLock::new();
    JARS.get_or_init(|| {
        require("java", "-version", "a Java runtime 17 or later (Debian: openjdk-17-jre-headless)");
        let cache = paths::user_cache().join("lockstep");
        let jars = cache.join(format!("kafka-{VERSION}"));
        if !jars.is_dir() {
            fetch_jars(&cache, &jars);
        }
        jars
    })
}

/// Complete or absent: other test runs may be doing the same at this moment.
fn fetch_jars(cache: &Path, jars: &Path) {
    require("mvn", "--version", "Apache Maven (Debian: maven), which fetches the broker's jars");
    fs::create_dir_all(cache).unwrap_or_else(|e| panic!("failed to make {cache:?}: {e}"));
    let partial = tempfile::Builder::new()
        .prefix("kafka-partial-")
        .tempdir_in(cache)
        .expect("the cache directory can be written");
    let output = Command::new("mvn")
        .args(["-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime", "-f"])
        .arg(paths::tests().join("kafka/pom.xml"))
        .arg(format!("-DoutputDirectory={}", partial.path().display()))
        .output()
        .expect("mvn was found before");
    assert!(
        output.status.success(),
        "failed to fetch the broker's jars from Maven Central: {}",
        String::from_utf8_lossy(&output.stdout)
    );
    let partial = partial.keep();
    if let Err(error) = fs::rename(&partial, jars) {
        let _ = fs::remove_dir_all(&partial);
        assert!(jars.is_dir(), "failed to move the broker's jars to {jars:?}: {error}");
    }
}

fn require(program: &str, version: &str, what: &str) {
    let found = Command::new(program).arg(version).output().is_ok_and(|o| o.status.success());
    assert!(found, "the tests on Kafka need {what}: `{program} {version}` does not work");
}
