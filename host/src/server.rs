//! Wires a host together: log, sandbox, workers, HTTP, signals. Starts it, says when it is
//! ready, and ends it within its deadline.

mod prepare;
mod readiness;

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use crate::board::Board;
use crate::config::HostConfig;
use crate::handler::Handler;
use crate::http::{ServeLimits, serve};
use crate::ingest::IngestState;
use crate::log::Log;
use crate::log::embedded::EmbeddedLog;
use crate::log::kafka::{Identity, KafkaLog};
use crate::stop::Stop;
use crate::supervisor::Supervisor;
use crate::wasm::{Program, Runtime};
use crate::{admin, deployment, health, ingest, signals};
use readiness::HostReadiness;

/// Threads that serve HTTP; handlers run on threads of their own.
const HTTP_THREADS: usize = 2;
/// The part of the shutdown deadline that requests in flight may use.
const DRAIN_SHARE: u32 = 2;
/// How often a running host looks whether its start failed.
const GLANCE: Duration = Duration::from_millis(100);
/// The part of the shutdown deadline that is kept for closing the log; no shorter deadline is
/// taken.
const CLOSE_RESERVE: Duration = Duration::from_millis(100);

/// The addresses of a host that is ready.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    /// Where events are posted.
    pub ingest: SocketAddr,
    /// Where operators ask.
    pub admin: SocketAddr,
}

/// Called once, when the host is ready for the first time.
pub type OnReady = Box<dyn FnOnce(&Ready) + Send>;

/// Runs a host until it is asked to stop by SIGTERM or Ctrl-C. `Err` when it could not start, or
/// could not stop within its deadline.
pub fn run(config: HostConfig, handlers: Vec<Handler>, on_ready: OnReady) -> anyhow::Result<()> {
    let http = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(HTTP_THREADS)
        .thread_name("http")
        .enable_all()
        .build()
        .context("failed to start the threads that serve HTTP")?;
    let stop = Stop::default();
    let asked = stop.clone();
    signals::watch(move || {
        info!("stopping; a second signal ends the process at once");
        asked.request();
    })?;
    let listeners = http.block_on(bind(&config))?;
    let log = open_log(&config)?;
    let sandbox = Runtime::new()?;
    let host = Host {
        programs: load(&sandbox, handlers)?,
        sandbox,
        log,
        board: Board::default(),
        stop,
        readiness: HostReadiness::default(),
        config,
    };
    Arc::new(host).run(&http, listeners, on_ready)
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

type Loaded = (Arc<Handler>, Arc<Program>);

/// Compiles every component before anything starts.
fn load(runtime: &Runtime, handlers: Vec<Handler>) -> anyhow::Result<Vec<Loaded>> {
    let mut programs = Vec::with_capacity(handlers.len());
    for handler in handlers {
        let handler = Arc::new(handler);
        let begun = Instant::now();
        let component = deployment::read_component(&handler)?;
        let program = runtime.load(&handler, &component).with_context(|| {
            format!("handler {:?}: {}", handler.name, handler.component.display())
        })?;
        info!(
            handler = %handler.name, world = program.world().as_str(), bytes = component.len(),
            took = ?begun.elapsed(), "component loaded"
        );
        programs.push((handler, Arc::new(program)));
    }
    Ok(programs)
}

struct Host {
    config: HostConfig,
    log: Arc<dyn Log>,
    sandbox: Arc<Runtime>,
    programs: Vec<Loaded>,
    board: Board,
    stop: Stop,
    readiness: HostReadiness,
}

impl Host {
    fn run(
        self: Arc<Self>,
        http: &tokio::runtime::Runtime,
        listeners: Listeners,
        on_ready: OnReady,
    ) -> anyhow::Result<()> {
        let ready =
            Ready { ingest: listeners.ingest.local_addr()?, admin: listeners.admin.local_addr()? };
        info!(ingest = %ready.ingest, admin = %ready.admin, log = %self.log.describe(), "listening");
        let (shutdown, servers) = self.serve(http, listeners);
        let monitor = self.readiness.monitor(&self.log, &self.stop)?;
        let starting = self.start(ready, on_ready)?;
        while !self.stop.sleep(GLANCE) {
            if starting.is_finished() && !self.readiness.is_started() {
                // It failed; without workers there is nothing to wait for.
                self.stop.request();
            }
        }

        let deadline = Instant::now() + self.config.shutdown_deadline;
        self.readiness.stopping();
        // Fails only when both servers have ended already.
        let _ = shutdown.send(true);
        let stopped = self.stop_workers(starting, deadline);
        for server in servers {
            drop(http.block_on(server));
        }
        let closed = close(self, monitor, deadline);
        stopped.and(closed)?;
        info!("stopped");
        Ok(())
    }

    /// Starts the workers on a thread of its own, which may have to wait for the log.
    fn start(
        self: &Arc<Self>,
        ready: Ready,
        on_ready: OnReady,
    ) -> anyhow::Result<thread::JoinHandle<anyhow::Result<Supervisor>>> {
        let host = Arc::clone(self);
        thread::Builder::new()
            .name("start".to_owned())
            .spawn(move || host.start_workers(&ready, on_ready))
            .context("failed to start the thread that starts the workers")
    }

    /// Stops the workers. A start that still waits for the log has none, and is left behind.
    fn stop_workers(
        &self,
        starting: thread::JoinHandle<anyhow::Result<Supervisor>>,
        deadline: Instant,
    ) -> anyhow::Result<()> {
        while !starting.is_finished() {
            if Instant::now() > deadline - CLOSE_RESERVE {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(5));
        }
        match starting.join() {
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
    ) -> (watch::Sender<bool>, [JoinHandle<()>; 2]) {
        let (shutdown, stopping) = watch::channel(false);
        let limits = ServeLimits {
            read_timeout: self.config.http.read_timeout,
            drain: self.config.shutdown_deadline / DRAIN_SHARE,
            ..ServeLimits::default()
        };
        let state = IngestState {
            log: Arc::clone(&self.log),
            topics: self.ingest_topics(),
            max_body: self.config.http.max_body,
            queue: self.config.http.queue,
        };
        let readiness = Arc::new(self.readiness.clone().with_board(self.board.clone()));
        let ingest = ingest::router(state).merge(health::router(Arc::clone(&readiness) as _));
        let admin = admin::router(Arc::new(self.board.clone()), readiness);
        let ingest = http.spawn(serve(listeners.ingest, ingest, limits, stopping.clone()));
        let admin = http.spawn(serve(listeners.admin, admin, limits, stopping));
        (shutdown, [ingest, admin])
    }

    fn ingest_topics(&self) -> std::collections::HashSet<String> {
        let open = self.config.topics.iter().filter(|topic| topic.ingest);
        open.map(|topic| topic.spec.name.to_string()).collect()
    }

    /// Makes the topics, starts the workers and says when they run. A log that is down is waited
    /// for.
    fn start_workers(&self, ready: &Ready, on_ready: OnReady) -> anyhow::Result<Supervisor> {
        let mut supervisor =
            Supervisor::new(Arc::clone(&self.log), self.board.clone(), self.stop.clone());
        let handlers: Vec<_> =
            self.programs.iter().map(|(handler, _)| Arc::clone(handler)).collect();
        let wanted = prepare::Wanted::new(&self.config, &handlers);
        if !prepare::topics(&*self.log, &wanted, &self.readiness, &self.stop) {
            return Ok(supervisor);
        }
        for (handler, program) in &self.programs {
            supervisor.start(handler, program)?;
        }
        self.readiness.started();
        let readiness = self.readiness.clone().with_board(self.board.clone());
        while !readiness::is_ready(&readiness) {
            if self.stop.sleep(Duration::from_millis(5)) {
                return Ok(supervisor);
            }
        }
        info!(ingest = %ready.ingest, admin = %ready.admin, "ready");
        on_ready(ready);
        Ok(supervisor)
    }
}

impl admin::HandlerStatuses for Board {
    fn handlers(&self) -> Vec<crate::status::HandlerStatus> {
        Self::handlers(self)
    }
}

/// Closes the log, which may wait for brokers, within the deadline.
fn close(
    host: Arc<Host>,
    monitor: thread::JoinHandle<()>,
    deadline: Instant,
) -> anyhow::Result<()> {
    let closing = thread::Builder::new()
        .name("close".to_owned())
        .spawn(move || drop(host))
        .context("failed to start a thread to close the log")?;
    // The monitor asks the log with a timeout of its own; it writes nothing.
    while !(closing.is_finished() && monitor.is_finished()) {
        if Instant::now() > deadline {
            warn!("the log did not close in time; nothing acknowledged is lost");
            break;
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}
