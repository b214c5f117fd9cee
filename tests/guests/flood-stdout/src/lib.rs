//! Writes to standard output and standard error in each call, then returns the event: 20,000
//! short lines to each, one line of 1 MiB, bytes that are not UTF-8, control characters, and
//! text without a line end.

use std::io::{self, Write};

use bindings::exports::lockstep::handler::event_handler::{Event, Guest};

mod bindings {
    wit_bindgen::generate!({ path: "../../../wit", world: "handler" });
    use super::Handler;
    export!(Handler);
}

struct Handler;

impl Guest for Handler {
    fn handle(event: Event) -> Vec<Event> {
        // Whether anybody listens does not matter.
        let _ = flood(&mut io::stdout().lock());
        let _ = flood(&mut io::stderr().lock());
        vec![Event { topic: None, ..event }]
    }
}

fn flood(stream: &mut impl Write) -> io::Result<()> {
    for number in 0..20_000 {
        writeln!(stream, "line {number}")?;
    }
    stream.write_all(&vec![b'x'; 1 << 20])?;
    stream.write_all(b"\n\xff\xfe\x00 no text\n\x1b[31mred\x1b[0m\r\nno end")?;
    stream.flush()
}
