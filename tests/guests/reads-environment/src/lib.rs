//! Tries to reach what nobody granted. The output's value is a JSON object that says what it
//! found: `variables`, `arguments`, `preopens`, and for each attempt either `"ok"` or the error
//! under `read`, `write`, `connect`, `resolve`, `listen` and `stdin`.

use std::io::{self, Read};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::{env, fs};

use bindings::exports::lockstep::handler::event_handler::{Event, Guest};
use serde_json::{Value, json};
use wasip2::filesystem::preopens;

mod bindings {
    wit_bindgen::generate!({ path: "../../../wit", world: "handler" });
    use super::Handler;
    export!(Handler);
}

struct Handler;

impl Guest for Handler {
    fn handle(event: Event) -> Vec<Event> {
        vec![Event { topic: None, value: Some(findings().to_string().into_bytes()), ..event }]
    }
}

fn findings() -> Value {
    let variables: Vec<String> =
        env::vars().map(|(name, value)| format!("{name}={value}")).collect();
    let arguments: Vec<String> = env::args().collect();
    let preopens: Vec<String> =
        preopens::get_directories().into_iter().map(|(_, path)| path).collect();
    json!({
        "variables": variables,
        "arguments": arguments,
        "preopens": preopens,
        "read": told(fs::read("/etc/passwd")),
        "write": told(fs::write("lockstep-was-here", "")),
        "connect": told(TcpStream::connect(("127.0.0.1", 9092))),
        "resolve": told("localhost:9092".to_socket_addrs()),
        "listen": told(TcpListener::bind(("127.0.0.1", 0))),
        "stdin": told(input()),
    })
}

/// An empty standard input gives nothing away.
fn input() -> io::Result<()> {
    match io::stdin().read(&mut [0])? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

fn told<T>(attempt: io::Result<T>) -> String {
    attempt.map_or_else(|error| error.to_string(), |_| "ok".into())
}
