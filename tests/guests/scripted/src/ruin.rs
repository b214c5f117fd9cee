//! The scripts that a handler does not survive.

use std::hint;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use serde_json::Value;

/// Never true, but the compiler cannot know.
static ENOUGH: AtomicBool = AtomicBool::new(false);

/// Returns only when `what` is none of the scripts of this file.
pub(crate) fn perform(what: &str, script: &Value) {
    match what {
        "trap" => process::abort(),
        "panic" => panic!("{}", script["message"].as_str().unwrap_or("as the script says")),
        "loop" => spin(),
        "bomb" => hoard(),
        "recurse" => ENOUGH.store(descend(0) == 0, Relaxed),
        "exit" => process::exit(script["code"].as_i64().unwrap_or(0) as i32),
        _ => {}
    }
}

fn spin() {
    while !ENOUGH.load(Relaxed) {
        hint::spin_loop();
    }
}

fn hoard() {
    let mut hoard = Vec::new();
    while !ENOUGH.load(Relaxed) {
        hoard.push(vec![1_u8; 1 << 20]);
        hint::black_box(&mut hoard);
    }
}

/// The result is used after the call, so that the recursion cannot become a loop.
#[inline(never)]
fn descend(depth: u32) -> u32 {
    if ENOUGH.load(Relaxed) { depth } else { descend(depth + 1).rotate_left(1) ^ depth }
}
