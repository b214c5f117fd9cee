//! A TCP proxy between hosts and a broker that knows enough of Kafka's protocol to pick requests
//! by what they ask for, and to lose or hold them or their answers.
//!
//! A broker behind it must advertise the proxy's address, or clients go around it.

use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Requests by what they ask for: the API keys of Kafka's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// Records.
    Produce = 0,
    /// The offsets of a transaction.
    TxnOffsetCommit = 28,
    /// Commit or abort.
    EndTxn = 26,
}

/// What happens to a request.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// It arrives this much later.
    Delay(Duration),
    /// It does not arrive, and the connection breaks.
    Drop,
    /// It arrives; the answer, and all behind it on the connection, waits until the proxy heals.
    HoldAnswer,
    /// Nothing of the connection arrives any more, in neither direction, and nobody is told.
    HalfOpen,
}

/// A proxy; it listens until the tests are over.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// What to do to the next so many requests of an API.
    rule: Option<(Api, Fault, usize)>,
    hits: usize,
    /// How often the proxy was healed.
    heals: usize,
    /// Where connections go, once that is known.
    broker: Option<String>,
}

impl Proxy {
    /// A proxy that listens, for a broker that has yet to be started.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("a bound listener has an address").port();
        let shared = Arc::<Shared>::default();
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A client whose broker is not there sees its connection end.
                let _ = accepting.connect(client);
            }
        });
        Self { port, shared }
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `host:port` that it listens on.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Passes connections on to this address.
    pub fn lead_to(&self, broker: &str) {
        self.shared.lock().broker = Some(broker.to_owned());
    }

    /// Does this to the next so many requests.
    pub fn disturb(&self, api: Api, fault: Fault, times: usize) {
        let mut state = self.shared.lock();
        state.rule = Some((api, fault, times));
        state.hits = 0;
    }

    /// How many requests were hit since the last call of [`Self::disturb`].
    pub fn hits(&self) -> usize {
        self.shared.lock().hits
    }

    /// Disturbs nothing any more, and lets go what it holds.
    pub fn heal(&self) {
        let mut state = self.shared.lock();
        state.rule = None;
        state.heals += 1;
        self.shared.changed.notify_all();
    }
}

impl Drop for Proxy {
    /// Threads that hold something go on, and end with their connections.
    fn drop(&mut self) {
        self.heal();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connect(self: &Arc<Self>, client: TcpStream) -> io::Result<()> {
        let broker = self.lock().broker.clone();
        let broker = broker.ok_or(io::ErrorKind::NotConnected)?;
        let broker = TcpStream::connect(broker)?;
        for stream in [&client, &broker] {
            stream.set_nodelay(true)?;
        }
        let connection = Arc::new(Connection {
            shared: Arc::clone(self),
            client,
            broker,
            held: Mutex::default(),
            dead: AtomicBool::new(false),
        });
        let answers = Arc::clone(&connection);
        thread::spawn(move || {
            let _ = connection.pass_requests();
            connection.end();
        });
        thread::spawn(move || {
            let _ = answers.pass_answers();
            answers.end();
        });
        Ok(())
    }

    /// What happens to a request of this API key.
    fn judge(&self, key: i16) -> Option<Fault> {
        let mut state = self.lock();
        let (api, fault, left) = state.rule.as_mut()?;
        if *api as i16 != key || *left == 0 {
            return None;
        }
        *left -= 1;
        let fault = *fault;
        state.hits += 1;
        Some(fault)
    }

    /// Waits until the proxy is healed once more.
    fn wait_for_heal(&self) {
        let mut state = self.lock();
        let before = state.heals;
        while state.heals == before {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

struct Connection {
    shared: Arc<Shared>,
    client: TcpStream,
    broker: TcpStream,
    /// Correlation ids of requests whose answers are to be held.
    held: Mutex<HashSet<[u8; 4]>>,
    dead: AtomicBool,
}

impl Connection {
    fn pass_requests(&self) -> io::Result<()> {
        let (mut from, mut to) = (&self.client, &self.broker);
        loop {
            let frame = frame(&mut from)?;
            if self.dead.load(Ordering::Relaxed) {
                continue;
            }
            // Length, API key, API version, correlation id.
            let (key, id) = (field::<2>(&frame, 4)?, field::<4>(&frame, 8)?);
            match self.shared.judge(i16::from_be_bytes(key)) {
                None => {}
                Some(Fault::Delay(time)) => thread::sleep(time),
                Some(Fault::Drop) => return Ok(()),
                Some(Fault::HoldAnswer) => drop(self.held().insert(id)),
                Some(Fault::HalfOpen) => {
                    self.dead.store(true, Ordering::Relaxed);
                    continue;
                }
            }
            to.write_all(&frame)?;
        }
    }

    fn pass_answers(&self) -> io::Result<()> {
        let (mut from, mut to) = (&self.broker, &self.client);
        loop {
            let frame = frame(&mut from)?;
            if self.held().remove(&field::<4>(&frame, 4)?) {
                self.shared.wait_for_heal();
            }
            if !self.dead.load(Ordering::Relaxed) {
                to.write_all(&frame)?;
            }
        }
    }

    fn held(&self) -> MutexGuard<'_, HashSet<[u8; 4]>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self) {
        for stream in [&self.client, &self.broker] {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// A message of the protocol with its length before it.
fn frame(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; 4];
    from.read_exact(&mut frame)?;
    let length = u64::from(u32::from_be_bytes(field(&frame, 0)?));
    let read = from.take(length).read_to_end(&mut frame)?;
    if read as u64 == length { Ok(frame) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn field<const N: usize>(frame: &[u8], at: usize) -> io::Result<[u8; N]> {
    let bytes = frame.get(at..at + N).ok_or(io::ErrorKind::InvalidData)?;
    Ok(bytes.try_into().unwrap_or([0; N]))
}
