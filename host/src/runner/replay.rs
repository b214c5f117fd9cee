//! What a handler makes of events, asked of the handler itself: one instance gets them all, one
//! after the other, as a worker would hand them over.

use std::thread;

use anyhow::{Context as _, anyhow, bail};

use super::expectation::Output;
use super::play::Player;
use crate::event::{Consumed, Event};
use crate::handler::Failure;
use crate::stop::Stop;
use crate::wasm::{self, Program};

/// What an event becomes: its outputs as they are routed, without the headers that say where they
/// come from, or its failure.
pub type Handled = Result<Vec<Event>, Failure>;

/// In which order the instance gets the events. A handler that keeps something from one to the next
/// makes something else of them in the other order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As they stand.
    Forward,
    /// From the last one to the first.
    Backward,
}

/// Hands the events to a fresh instance, and gives what each became, in the order of the events.
/// `Err` is the host's own trouble, or a stop.
pub fn replay(
    program: &Program,
    inputs: &[Consumed],
    order: Order,
    stop: &Stop,
) -> anyhow::Result<Vec<Handled>> {
    let work = || {
        let mut player = Player::new(program)?;
        let mut handled = Vec::with_capacity(inputs.len());
        let mut hand_over = |input: &Consumed| {
            if stop.requested() {
                bail!("stopped before all events were handed over");
            }
            let outputs = player.handle(input)?;
            let events = |outputs: Vec<_>| outputs.into_iter().map(|output: Output| output.event);
            handled.push(outputs.map(|outputs| events(outputs).collect()));
            Ok(())
        };
        match order {
            Order::Forward => inputs.iter().try_for_each(&mut hand_over)?,
            Order::Backward => inputs.iter().rev().try_for_each(&mut hand_over)?,
        }
        if order == Order::Backward {
            handled.reverse();
        }
        Ok(handled)
    };
    let stack = wasm::native_stack(program.handler());
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("replay".to_owned()).stack_size(stack);
        let thread = thread.spawn_scoped(scope, work).context("failed to start a thread")?;
        thread.join().unwrap_or_else(|_| Err(anyhow!("the host panicked during a replay")))
    })
}
