//! Every fault of the matrix, each a behaviour: whatever is killed, stopped, cut off or full,
//! each input has its outputs or its one dead letter, once, whole and in order.
//!
//! The oracle judges (`lockstep::audit::oracle`), by what readers saw from outside. That it would
//! notice is shown in `mutants`, with hosts that do the wrong thing on purpose.

mod brokers;
mod embedded;
mod handlers;
mod hosts;
mod logs;
mod mutants;
mod network;
mod random;
mod rebalances;
mod stops;
mod topics;
