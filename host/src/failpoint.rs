//! Places at which a test makes the host fail or misbehave, by name. Nothing in release builds.
//!
//! Only the program `lockstep-failpoints` has the feature `failpoints`; in `lockstep` every function
//! here is empty and nothing of the crate `fail` is linked. The variable `FAILPOINTS` says what
//! happens where, in that crate's language: `after-poll=3*off->1*return(hold)`. An action
//! `return(…)` of a place means:
//!
//! | action | what happens |
//! |---|---|
//! | `hold` | the thread says so and never goes on |
//! | `pause 1500` | it says so and goes on after as many milliseconds |
//! | `kill` | the process kills itself as `kill -9` does |
//! | `kill 700` | the same after as many microseconds, while the thread goes on |
//!
//! A *mutant* is a place at which the host does something wrong on purpose, to show that the
//! checks notice it.

#[cfg(feature = "failpoints")]
mod enabled {
    use std::thread;
    use std::time::Duration;

    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    /// What `FAILPOINTS` says about a place this time, if anything.
    pub(crate) fn value(place: &str) -> Option<String> {
        fail::fail_point!(place, |argument| Some(argument.unwrap_or_default()));
        None
    }

    /// A place that the thread passes.
    pub(crate) fn reach(place: &str) {
        let Some(action) = value(place) else { return };
        let (verb, number) = action.split_once(' ').unwrap_or((&action, ""));
        let number = number.parse::<u64>();
        match (verb, number) {
            ("hold", _) => {
                tracing::warn!("failpoint {place} holds");
                loop {
                    thread::park();
                }
            }
            ("pause", Ok(ms)) => {
                tracing::warn!("failpoint {place} pauses");
                thread::sleep(Duration::from_millis(ms));
            }
            ("kill", Ok(us)) => {
                thread::spawn(move || {
                    thread::sleep(Duration::from_micros(us));
                    kill_myself();
                });
            }
            ("kill", Err(_)) => kill_myself(),
            _ => panic!("failpoint {place} knows no action {action:?}"),
        }
    }

    /// Whether the host misbehaves at this place, this time.
    pub(crate) fn mutant(place: &str) -> bool {
        value(place).is_some()
    }

    fn kill_myself() {
        // It cannot fail for a process of one's own, and the signal cannot be handled.
        let _ = kill(Pid::this(), Signal::SIGKILL);
    }
}

#[cfg(not(feature = "failpoints"))]
mod disabled {
    /// Nothing.
    #[inline(always)]
    pub(crate) fn value(_place: &str) -> Option<String> {
        None
    }

    /// Nothing.
    #[inline(always)]
    pub(crate) fn reach(_place: &str) {}

    /// No.
    #[inline(always)]
    pub(crate) fn mutant(_place: &str) -> bool {
        false
    }
}

#[cfg(not(feature = "failpoints"))]
pub(crate) use disabled::{mutant, reach, value};
#[cfg(feature = "failpoints")]
pub(crate) use enabled::{mutant, reach, value};
