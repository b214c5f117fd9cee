//! The sandbox against small components that behave and misbehave.

mod contract;
mod faults;
mod guests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use self::guests::Guest;
use super::{Instance, Kept, Program, Runtime};
use crate::event::{Consumed, Event, Header};
use crate::handler::{
    Failure, FailureKind, Handler, Instances, Limits, OnFailure, Output, Provenance,
};
use crate::log::{BatchBounds, Start};
use crate::retry::RetryPolicy;

/// A handler with the default limits.
fn handler() -> Handler {
    Handler {
        name: "weather".to_owned(),
        revision: 1,
        component: "weather.wasm".into(),
        from: vec!["in".into()],
        to: vec!["out".into()],
        group: "group".to_owned(),
        dead_letter_topic: "weather.dead-letters".into(),
        start: Start::Earliest,
        workers: 1,
        instances: Instances::Reused,
        on_failure: OnFailure::DeadLetter,
        rollback_after: None,
        provenance: Provenance::Source,
        retry: RetryPolicy {
            attempts: 5,
            initial: Duration::from_millis(100),
            max: Duration::from_secs(30),
            multiplier: 2.0,
            jitter: 0.5,
        },
        limits: Limits {
            memory: 64 << 20,
            time: Duration::from_secs(1),
            stack: 512 << 10,
            table_elements: 100_000,
            instances: 64,
            output_events: 1_000,
            output_bytes: 4 << 20,
            log_lines_per_second: 100,
            log_line_bytes: 4 << 10,
        },
        batch: BatchBounds { events: 10_000, bytes: 8 << 20 },
        interval: Duration::from_millis(100),
        aliases: BTreeMap::new(),
        config: BTreeMap::new(),
        topics: Vec::new(),
        test_skip: Vec::new(),
        build_command: None,
        build_watch: Vec::new(),
    }
}

/// An event with a value and nothing else.
fn event(value: &[u8]) -> Consumed {
    Consumed {
        event: Event {
            topic: "in".into(),
            key: None,
            value: Some(value.to_vec()),
            headers: Vec::new(),
            timestamp_ms: None,
        },
        partition: 3,
        offset: 1042,
    }
}

/// An event that uses every field.
fn full_event() -> Consumed {
    let mut input = event(b"value");
    input.event.key = Some(b"key".to_vec());
    input.event.headers = vec![
        Header { name: "a".to_owned(), value: Some(b"1".to_vec()) },
        Header { name: "a".to_owned(), value: Some(Vec::new()) },
        Header { name: "b".to_owned(), value: None },
    ];
    input.event.timestamp_ms = Some(1_700_000_000_000);
    input
}

fn load(handler: Handler, component: &[u8]) -> anyhow::Result<Program> {
    Runtime::new(Kept::default())?.load(&Arc::new(handler), component)
}

/// What is wrong with a component, in one line.
fn refusal(handler: Handler, component: &[u8]) -> String {
    match load(handler, component) {
        Ok(_) => "it was accepted".to_owned(),
        Err(error) => format!("{error:#}"),
    }
}

/// Runs a test where the guest's stack fits, as a worker does.
fn on_worker<T: Send>(handler: &Handler, run: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .stack_size(super::native_stack(handler))
            .spawn_scoped(scope, run)
            .expect("a thread starts")
            .join()
            .expect("the worker does not panic")
    })
}

/// Calls an instance, which must exist.
fn call(instance: &mut Instance, input: &Consumed) -> Result<Vec<Output>, Failure> {
    instance.handle(input).expect("there is an instance")
}

/// Calls a fresh instance of a guest twice, to see that the second call works as well as the
/// first: a fault leaves nothing behind.
fn fail_twice(handler: Handler, guest: &Guest<'_>) -> Failure {
    let component = guest.build();
    on_worker(&handler.clone(), move || {
        let program = load(handler, &component).expect("the guest loads");
        let mut instance = program.instantiate().expect("the guest starts");
        let first = call(&mut instance, &event(b"x")).expect_err("the guest fails");
        let second = call(&mut instance, &event(b"x")).expect_err("the guest fails again");
        assert_eq!((first.kind, &first.details), (second.kind, &second.details));
        first
    })
}
