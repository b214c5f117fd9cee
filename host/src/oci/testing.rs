//! A registry of a test's own that answers what the test says, right or wrong.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// What was asked.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// Path and query.
    pub(super) path: String,
    pub(super) authorization: Option<String>,
}

/// What is answered.
pub(super) struct Answer {
    status: u16,
    headers: String,
    body: Vec<u8>,
    /// The length that is told, when it is not that of the body.
    length: Option<usize>,
    /// Whether the connection is then kept open, and nothing more comes.
    silent: bool,
}

impl Answer {
    pub(super) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        let (headers, body) = (String::new(), body.into());
        Self { status, headers, body, length: None, silent: false }
    }

    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers += &format!("{name}: {value}\r\n");
        self
    }

    /// Tells another length than that of the body.
    pub(super) fn length(self, length: usize) -> Self {
        Self { length: Some(length), ..self }
    }

    /// Stops talking without hanging up.
    pub(super) fn then_silence(self) -> Self {
        Self { silent: true, ..self }
    }
}

/// A server that runs until it is dropped.
pub(super) struct Server {
    address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts a server; `answer` is given its address and what was asked.
    pub(super) fn start(answer: impl Fn(&str, &Asked) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (own_address, own_asked, own_stop) = (address.clone(), asked.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            let mut silent = Vec::new();
            for connection in listener.incoming().flatten() {
                if own_stop.load(Ordering::SeqCst) {
                    break;
                }
                let Some(request) = read(&connection) else { continue };
                own_asked.lock().unwrap().push(request.clone());
                let answer = answer(&own_address, &request);
                write(&connection, &answer);
                if answer.silent {
                    silent.push(connection);
                }
            }
        });
        Self { address, asked, stop, thread: Some(thread) }
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(&self.address));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn read(connection: &TcpStream) -> Option<Asked> {
    let mut lines = BufReader::new(connection).lines().map_while(Result::ok);
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers = lines.take_while(|line| !line.is_empty());
    let mut authorization = None;
    for (name, value) in headers.filter_map(|line| {
        line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
    }) {
        if name.eq_ignore_ascii_case("authorization") {
            authorization = Some(value);
        }
    }
    Some(Asked { path, authorization })
}

fn write(mut connection: &TcpStream, answer: &Answer) {
    let length = answer.length.unwrap_or(answer.body.len());
    let head = format!(
        "HTTP/1.1 {} x\r\nconnection: close\r\ncontent-length: {length}\r\n{}\r\n",
        answer.status, answer.headers
    );
    // The client may have hung up because it has heard enough.
    drop(connection.write_all(head.as_bytes()).and_then(|()| connection.write_all(&answer.body)));
}
