//! The scripts that wear the host out: with what they take from it, how often they call it, and
//! how much they ask of one call.

use std::hint;

use wasip2::cli::stdout::get_stdout;
use wasip2::clocks::monotonic_clock::{now, subscribe_duration};
use wasip2::io::poll::{Pollable, poll};
use wasip2::random::random::get_random_bytes;
use wasip2::sockets::network::IpAddressFamily;
use wasip2::sockets::tcp_create_socket::create_tcp_socket;
use wasip2::sockets::udp_create_socket::create_udp_socket;

/// An hour in nanoseconds.
const HOUR: u64 = 3_600_000_000_000;

/// Returns when the host gave what was asked for, or `what` is none of the scripts of this file.
pub(crate) fn perform(what: &str, n: usize) {
    match what {
        "hoard-pollables" => hoard(|| subscribe_duration(HOUR)),
        "hoard-streams" => hoard(get_stdout),
        "flood-clock" => endlessly(now),
        "flood-random" => endlessly(|| get_random_bytes(1 << 20)),
        "flood-sockets" => endlessly(|| {
            keep(create_tcp_socket(IpAddressFamily::Ipv4));
            keep(create_udp_socket(IpAddressFamily::Ipv6));
        }),
        "flood-poll" => flood_poll(n),
        "flood-lines" => {
            let stdout = get_stdout();
            endlessly(|| stdout.write(b"a line\n"));
        }
        "random" => drop(hint::black_box(get_random_bytes(n as u64))),
        "write" => {
            // Refused or not, the call was made.
            let _ = get_stdout().write(&vec![b'\n'; n]);
        }
        "deep-calls" => drop(descend(0)),
        _ => {}
    }
}

fn endlessly<T>(call: impl Fn() -> T) {
    loop {
        hint::black_box(call());
    }
}

fn hoard<T>(take: impl Fn() -> T) {
    let mut hoard = Vec::new();
    loop {
        hoard.push(take());
        hint::black_box(&mut hoard);
    }
}

/// Kept for ever when the host gives it.
fn keep<T, E>(given: Result<T, E>) {
    std::mem::forget(given);
}

/// Asks, in each call, `n` times for the same thing.
fn flood_poll(n: usize) {
    let ready = subscribe_duration(0);
    let all: Vec<&Pollable> = vec![&ready; n];
    endlessly(|| poll(&all));
}

/// The host is called at every depth, also where next to nothing of the stack is left; what it
/// gives is allocated by a call back into the guest.
#[inline(never)]
fn descend(depth: u64) -> Vec<u8> {
    let mut given = get_random_bytes(8);
    if hint::black_box(depth) < u64::MAX {
        given.extend(descend(depth + 1));
    }
    given
}
