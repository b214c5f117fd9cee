//! Every fault of the matrix, each a behaviour: whatever is killed, stopped, cut off or full,
//! each input has its outputs or its one dead letter, once, whole and in order.
//!
//! | fault | where |
//! |---|---|
//! | `kill -9` at each place of the loop, while it commits and aborts; random aborts | `hosts` |
//! | SIGTERM and SIGSTOP at such places | `stops` |
//! | a rebalance at a bad moment, storms of them, a slow handler | `rebalances` |
//! | two hosts of one name, zombies | `crate::zombies`, `stops` |
//! | brokers that die, restart and hang | `brokers` |
//! | requests and answers that are late, lost or held | `network` |
//! | handlers that fail, outputs that no topic takes, swaps | `handlers` |
//! | topics that grow, go, expire; others' open transactions | `topics`, `crate::transactions` |
//! | the embedded log: disk full, torn, read-only, killed in an append, the clock | `embedded` |
//! | the two logs against each other | `logs` |
//! | any of these at random | `random` |
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
