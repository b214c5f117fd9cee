//! Wires a host together: log, sandbox, workers, HTTP. Starts it, says when it is ready, lets
//! others change what it runs, and ends it within its deadline.

mod access;
mod control;
mod fetch;
mod follower;
mod inspector;
mod loading;
mod prepare;
mod readiness;
mod reporter;
mod rollbacks;
mod shipper;

use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use crate::admin::{AdminState, Operations};
use crate::board::Board;
use crate::config::HostConfig;
use crate::deployment::{self, store::Store};
use crate::digest::Digest;
use crate::fleet::Fleet;
use crate::handler::Handler;
use crate::handler_log::{self, Queue};
use crate::http::{ServeLimits, serve};
use crate::ingest::{IngestState, OpenTopics};
use crate::log::Log;
use crate::log::embedded::EmbeddedLog;
use crate::log::kafka::{Identity, KafkaLog};
use crate::revision::Revision;
use crate::signature::Signature;
use crate::stop::Stop;
use crate::supervisor::{Command, Supervisor};
use crate::tls::Tls;
use crate::wasm::Runtime;
use crate::{admin, health, ingest, reload};
use access::Access;
pub use access::check_access;
pub use control::Control;
use control::{KnownTopics, Request};
use follower::{Follower, Pursuits};
use inspector::HostInspector;
use readiness::HostReadiness;
use reporter::Reporter;
use rollbacks::Rollbacks;
use shipper::Shipper;

/// Threads that serve HTTP; handlers run on threads of their own.
const HTTP_THREADS: usize = 2;
/// The part of the shutdown deadline that requests in flight may use.
const DRAIN_SHARE: u32 = 2;
/// How often a running host looks whether its start failed.
const GLANCE: Duration = Duration::from_millis(100);
/// The part of the shutdown deadline that is kept for closing the log; no shorter deadline is
/// taken.
const CLOSE_RESERVE: Duration = Duration::from_millis(100);

/// A host that is ready.
pub struct Ready {
    /// Where events are posted.
    pub ingest: SocketAddr,
    /// Where operators ask.
    pub admin: SocketAddr,
    /// What it runs, in the order of the configuration.
    pub revisions: Vec<Arc<Revision>>,
    /// Changes what it runs.
    pub control: Control,
}

/// Called once, when the host is ready for the first time. Commands are performed from its return
/// on.
pub type OnReady = Box<dyn FnOnce(Ready) + Send>;

/// Runs a host until a stop is requested. `Err` when it could not start, or could not stop within
/// its deadline.
pub fn run(
    config: HostConfig,
    handlers: Vec<Handler>,
    sandbox: Arc<Runtime>,
    stop: Stop,
    on_ready: OnReady,
) -> anyhow::Result<()> {
    let (access, files) = Access::of(&config)?;
    let http = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(HTTP_THREADS)
        .thread_name("http")
        .enable_all()
        .build()
        .context("failed to start the threads that serve HTTP")?;
    let listeners = http.block_on(bind(&config))?;
    let log = open_log(&config)?;
    let open = config.topics.iter().filter(|topic| topic.ingest);
    check_signatures(&config, &handlers)?;
    let Some(revisions) = loading::load(&sandbox, handlers, &stop)? else {
        info!("stopped");
        return Ok(());
    };
    reload::watch(files, &stop)?;
    let host = Host {
        access,
        sandbox,
        log,
        board: Board::default(),
        stop,
        readiness: HostReadiness::default(),
        known: KnownTopics::default(),
        ingest: OpenTopics::new(open.map(|topic| Arc::clone(&topic.spec.name))),
        config,
    };
    let ended = Arc::new(host).run(&http, listeners, revisions, on_ready);
    // Requests that still wait for hosts or for the log are not waited for.
    http.shutdown_background();
    ended
}

/// The log that the configuration names.
fn open_log(config: &HostConfig) -> anyhow::Result<Arc<dyn Log>> {
    Ok(match &config.kafka {
        Some(kafka) => {
            let identity =
                Identity { cluster_id: config.cluster_id.clone(), host_id: config.host_id.clone() };
            Arc::new(KafkaLog::connect(kafka, &identity)?)
        }
        None => Arc::new(EmbeddedLog::open_host(&config.data_dir, &config.host_id)?),
    })
}

struct Listeners {
    ingest: TcpListener,
    admin: TcpListener,
}

async fn bind(config: &HostConfig) -> anyhow::Result<Listeners> {
    let listen = async |name: &str, address: SocketAddr| {
        TcpListener::bind(address).await.with_context(|| {
            format!(
                "failed to listen on {address}; choose another address by http.{name} or --{name}"
            )
        })
    };
    Ok(Listeners {
        ingest: listen("ingest", config.http.ingest).await?,
        admin: listen("admin", config.http.admin).await?,
    })
}

/// Where only signed components may run, those of the configuration have a signature beside them.
fn check_signatures(config: &HostConfig, handlers: &[Handler]) -> anyhow::Result<()> {
    let Some(trusted) = &config.trusted_keys else { return Ok(()) };
    for handler in handlers {
        let file = Signature::file_of(&handler.component);
        let check = || {
            let signature = file.is_file().then(|| Signature::read(&file)).transpose()?;
            let digest = Digest::of(&deployment::read_component(handler)?);
            anyhow::Ok(trusted.check(&digest, signature.as_ref())?)
        };
        check().with_context(|| format!("handler {:?} may not run here", handler.name))?;
    }
    Ok(())
}

struct Host {
    config: HostConfig,
    access: Access,
    log: Arc<dyn Log>,
    sandbox: Arc<Runtime>,
    board: Board,
    stop: Stop,
    readiness: HostReadiness,
    /// The topics that take events over HTTP.
    ingest: OpenTopics,
    known: KnownTopics,
}

impl Host {
    fn run(
        self: Arc<Self>,
        http: &tokio::runtime::Runtime,
        listeners: Listeners,
        revisions: Vec<Arc<Revision>>,
        on_ready: OnReady,
    ) -> anyhow::Result<()> {
        let (sender, requests) = mpsc::channel();
        let ready = Ready {
            ingest: listeners.ingest.local_addr()?,
            admin: listeners.admin.local_addr()?,
            revisions,
            control: Control::new(&self, sender.clone()),
        };
        info!(ingest = %ready.ingest, admin = %ready.admin, log = %self.log.describe(), "listening");
        let (shutdown, servers) = self.serve(http, listeners, own_handlers(&ready.revisions));
        let monitor = self.readiness.monitor(&self.log, &self.stop)?;
        let (shipped, shipper) = self.ship()?.unzip();
        let followers = self.follow(&ready)?;
        let managing = self.manage(ready, on_ready, requests)?;
        while !self.stop.sleep(GLANCE) {
            if managing.is_finished() && !self.readiness.is_started() {
                // It failed; without workers there is nothing to wait for.
                self.stop.request();
            }
        }

        let deadline = Instant::now() + self.config.shutdown_deadline;
        self.readiness.stopping();
        // Each fails only when the other side has ended already.
        drop(sender.send(Request::End));
        let _ = shutdown.send(true);
        let stopped = self.stop_workers(managing, deadline);
        for server in servers {
            drop(http.block_on(server));
        }
        // The last words of the workers are said.
        shipped.inspect(|queue| queue.close());
        let threads = followers.into_iter().chain(shipper).chain([monitor]).collect();
        let closed = close(self, threads, deadline);
        stopped.and(closed)?;
        info!("stopped");
        Ok(())
    }

    /// Follows what is deployed, and tells how that goes.
    fn follow(&self, ready: &Ready) -> anyhow::Result<Vec<thread::JoinHandle<()>>> {
        if !self.config.deployments {
            return Ok(Vec::new());
        }
        let store = Store::new(Arc::clone(&self.log), &self.config.cluster_id);
        let (pursuits, control) = (Pursuits::default(), ready.control.clone());
        let reporter = Reporter {
            log: Arc::clone(&self.log),
            topics: store.topics().clone(),
            host_id: self.config.host_id.clone(),
            control: control.clone(),
            pursuits: pursuits.clone(),
            stop: self.stop.clone(),
        };
        let (wishes, wished) = mpsc::channel();
        let rollbacks = Rollbacks {
            store: store.clone(),
            host_id: self.config.host_id.clone(),
            stop: self.stop.clone(),
        };
        let follower = Follower {
            store,
            control,
            config: self.config.clone(),
            own: own_handlers(&ready.revisions),
            wishes,
            readiness: self.readiness.clone(),
            pursuits,
            stop: self.stop.clone(),
        };
        Ok(vec![reporter.start()?, rollbacks.start(wished)?, follower.start()?])
    }

    /// Ships what is said about the handlers from now on, until the queue is closed.
    fn ship(&self) -> anyhow::Result<Option<(Arc<Queue>, thread::JoinHandle<()>)>> {
        let wanted = self.config.deployments && self.config.handler_logs;
        let Some(queue) = handler_log::installed().filter(|_| wanted) else { return Ok(None) };
        let shipper = Shipper {
            store: Store::new(Arc::clone(&self.log), &self.config.cluster_id),
            host_id: self.config.host_id.clone(),
            readiness: self.readiness.clone(),
            queue: Arc::clone(&queue),
        };
        Ok(Some((queue, shipper.start()?)))
    }

    /// Starts the workers, and performs commands from then on, on a thread of its own. It may
    /// have to wait for the log before.
    fn manage(
        self: &Arc<Self>,
        ready: Ready,
        on_ready: OnReady,
        requests: mpsc::Receiver<Request>,
    ) -> anyhow::Result<thread::JoinHandle<anyhow::Result<Supervisor>>> {
        let host = Arc::clone(self);
        let manage = move || {
            let mut supervisor = host.supervise(&ready.revisions)?;
            if host.announce(ready, on_ready) {
                // Whoever asks for changes may outlive this thread, but not keep the log open.
                drop(host);
                control::perform(&mut supervisor, &requests);
            }
            Ok(supervisor)
        };
        thread::Builder::new()
            .name("supervisor".to_owned())
            .spawn(manage)
            .context("failed to start the thread that starts the workers")
    }

    /// Stops the workers. A start that still waits for the log has none, and is left behind.
    fn stop_workers(
        &self,
        managing: thread::JoinHandle<anyhow::Result<Supervisor>>,
        deadline: Instant,
    ) -> anyhow::Result<()> {
        while !managing.is_finished() {
            if Instant::now() > deadline - CLOSE_RESERVE {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(5));
        }
        match managing.join() {
            Ok(supervisor) => {
                supervisor?.stop(&self.sandbox, deadline - CLOSE_RESERVE);
                Ok(())
            }
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    fn serve(
        &self,
        http: &tokio::runtime::Runtime,
        listeners: Listeners,
        own: Vec<Handler>,
    ) -> (watch::Sender<bool>, [JoinHandle<()>; 2]) {
        let (shutdown, stopping) = watch::channel(false);
        let limits = ServeLimits {
            read_timeout: self.config.http.read_timeout,
            drain: self.config.shutdown_deadline / DRAIN_SHARE,
            ..ServeLimits::default()
        };
        let state = IngestState {
            log: Arc::clone(&self.log),
            topics: self.ingest.clone(),
            max_body: self.config.http.max_body,
            queue: self.config.http.queue,
        };
        let readiness = Arc::new(self.readiness.clone().with_board(self.board.clone()));
        // Whether the host is well may be asked by everybody.
        let health = health::router(readiness);
        let Access { gate, ingest_tls, admin_tls, .. } = &self.access;
        let ingest = gate.guard(ingest::router(state)).merge(health.clone());
        let admin = admin::routes(self.admin(own));
        let admin = gate.guard(admin.guarded).merge(admin.open).merge(health);
        let serve = |tcp, tls: &Option<Tls>, router| {
            http.spawn(serve(tcp, tls.clone(), router, limits, stopping.clone()))
        };
        let ingest = serve(listeners.ingest, ingest_tls, ingest);
        let admin = serve(listeners.admin, admin_tls, admin);
        (shutdown, [ingest, admin])
    }

    /// What operators may ask of this host.
    fn admin(&self, own: Vec<Handler>) -> AdminState {
        let config = &self.config;
        let operations = || {
            let store = Store::new(Arc::clone(&self.log), &config.cluster_id);
            let fleet = Fleet::new(store, config.host_id.as_str(), self.stop.clone());
            let (config, sandbox) = (config.clone(), Arc::clone(&self.sandbox));
            let inspector = HostInspector { config, own, sandbox, fleet: fleet.clone() };
            Operations { fleet, inspector: Arc::new(inspector) }
        };
        AdminState {
            host_id: config.host_id.clone(),
            cluster_id: config.cluster_id.clone(),
            statuses: Arc::new(self.board.clone()),
            fleet: config.deployments.then(operations),
        }
    }

    /// Makes the topics and starts the workers. A log that is down is waited for; a stop ends the
    /// waiting, and then there are no workers.
    fn supervise(&self, revisions: &[Arc<Revision>]) -> anyhow::Result<Supervisor> {
        let (log, board) = (Arc::clone(&self.log), self.board.clone());
        let mut supervisor = Supervisor::new(log, board, &self.config.host_id, self.stop.clone());
        let handlers: Vec<_> =
            revisions.iter().map(|revision| Arc::clone(&revision.handler)).collect();
        let by_host = self.config.topics.iter().map(|topic| &topic.spec);
        let wanted = prepare::Wanted::new(by_host, &handlers);
        if !prepare::topics(&*self.log, &wanted, &self.readiness, &self.stop) {
            return Ok(supervisor);
        }
        self.known.add(wanted.specs());
        for revision in revisions {
            supervisor.perform(Command::Activate(Arc::clone(revision)))?;
        }
        self.readiness.started();
        Ok(supervisor)
    }

    /// Says when everything runs; `false` when a stop was requested first.
    fn announce(&self, ready: Ready, on_ready: OnReady) -> bool {
        let readiness = self.readiness.clone().with_board(self.board.clone());
        while !(self.readiness.is_started() && readiness::is_ready(&readiness)) {
            if self.stop.sleep(Duration::from_millis(5)) {
                return false;
            }
        }
        info!(ingest = %ready.ingest, admin = %ready.admin, "ready");
        on_ready(ready);
        true
    }
}

impl admin::HandlerStatuses for Board {
    fn handlers(&self) -> Vec<crate::status::HandlerStatus> {
        Self::handlers(self)
    }
}

/// The handlers of the configuration.
fn own_handlers(revisions: &[Arc<Revision>]) -> Vec<Handler> {
    revisions.iter().map(|revision| Handler::clone(&revision.handler)).collect()
}

/// Closes the log, which may wait for brokers, within the deadline.
fn close(
    host: Arc<Host>,
    threads: Vec<thread::JoinHandle<()>>,
    deadline: Instant,
) -> anyhow::Result<()> {
    let closing = thread::Builder::new()
        .name("close".to_owned())
        .spawn(move || drop(host))
        .context("failed to start a thread to close the log")?;
    // They ask the log with timeouts of their own; what they write nobody waits for.
    let threads: Vec<_> = threads.into_iter().chain([closing]).collect();
    while !threads.iter().all(thread::JoinHandle::is_finished) {
        if Instant::now() > deadline {
            warn!("the log did not close in time; nothing acknowledged is lost");
            break;
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}
