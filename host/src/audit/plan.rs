//! Which faults come when: drawn from a seed, so that a run can be made again.
//!
//! Pure. The first fault is a kill; after that every kind comes once before any comes again, in an
//! order of chance and with pauses of chance between them, short enough that a host is often hit
//! while the group still recovers from the fault before.

use std::time::Duration;

use fastrand::Rng;

/// What is done to a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `kill -9`, and a start after so long.
    Kill(Duration),
    /// SIGTERM, and a start after so long.
    Terminate(Duration),
    /// SIGSTOP, and SIGCONT after so long.
    Freeze(Duration),
    /// Another revision of the same component is deployed.
    Swap,
    /// A host joins, and leaves after so long.
    Visit(Duration),
}

/// A fault, where and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// After the fault before is over.
    pub pause: Duration,
    /// The number of the host, from 0.
    pub host: usize,
    /// What is done.
    pub fault: Fault,
}

/// What a plan depends on beside its seed.
#[derive(Clone, Copy, Debug)]
pub struct Scene {
    /// How many hosts there are.
    pub hosts: usize,
    /// How long the run takes.
    pub length: Duration,
    /// How long a host may be silent before others take over; `None` where there is one host only.
    pub session: Option<Duration>,
}

/// The kinds of fault, without what is drawn for each.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Kill,
    Terminate,
    Freeze,
    Swap,
    Visit,
}

/// Faults without end.
pub struct Plan {
    random: Rng,
    scene: Scene,
    /// The kinds that come before any comes again; the last one is next.
    bag: Vec<Kind>,
}

/// A freeze where nobody takes over.
const FREEZE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(6);
/// The shortest one.
const SHORTEST_PAUSE: Duration = Duration::from_millis(500);
/// How long a host is gone at most.
const DOWN: Duration = Duration::from_secs(1);

impl Step {
    /// How long it takes, with the pause before it.
    pub fn length(&self) -> Duration {
        self.pause
            + match self.fault {
                Fault::Kill(time)
                | Fault::Terminate(time)
                | Fault::Freeze(time)
                | Fault::Visit(time) => time,
                Fault::Swap => Duration::ZERO,
            }
    }
}

impl Plan {
    /// The plan of this seed.
    pub fn new(seed: u64, scene: Scene) -> Self {
        Self { random: Rng::with_seed(seed), scene, bag: vec![Kind::Kill] }
    }

    /// The next fault that fits into what is left of the run; `None`: none does.
    pub fn next(&mut self, left: Duration) -> Option<Step> {
        // More draws than there are kinds: what is too long for the rest is passed over.
        (0..10).map(|_| self.draw()).find(|step| step.length() < left)
    }

    fn draw(&mut self) -> Step {
        let kind = self.kind();
        let pause = self.between(self.scene.length / 30, self.scene.length / 12);
        let fault = match kind {
            Kind::Kill => Fault::Kill(self.between(Duration::ZERO, DOWN)),
            Kind::Terminate => Fault::Terminate(self.between(Duration::ZERO, DOWN)),
            Kind::Swap => Fault::Swap,
            Kind::Freeze => {
                // Beyond the session, so that others have taken over when it goes on.
                let least = self.scene.session.map_or(FREEZE, |session| session + FREEZE / 2);
                Fault::Freeze(self.between(least, least + FREEZE))
            }
            Kind::Visit => Fault::Visit(self.between(DOWN * 2, DOWN * 4)),
        };
        let pause = pause.clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        Step { pause, host: self.random.usize(..self.scene.hosts.max(1)), fault }
    }

    fn kind(&mut self) -> Kind {
        if let Some(kind) = self.bag.pop() {
            return kind;
        }
        self.bag = vec![Kind::Kill, Kind::Terminate, Kind::Freeze, Kind::Swap];
        if self.scene.session.is_some() {
            self.bag.push(Kind::Visit);
        }
        self.random.shuffle(&mut self.bag);
        self.kind()
    }

    fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let span = u64::try_from(most.saturating_sub(least).as_millis()).unwrap_or(u64::MAX);
        least + Duration::from_millis(self.random.u64(..=span))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KAFKA: Scene =
        Scene { hosts: 3, length: Duration::from_secs(60), session: Some(Duration::from_secs(6)) };

    fn steps(seed: u64, scene: Scene) -> Vec<Step> {
        let mut plan = Plan::new(seed, scene);
        (0..50).filter_map(|_| plan.next(Duration::MAX)).collect()
    }

    #[test]
    fn a_seed_makes_the_same_plan_again_and_begins_with_a_kill() {
        assert_eq!(steps(7, KAFKA), steps(7, KAFKA));
        assert_ne!(steps(7, KAFKA), steps(8, KAFKA));
        assert!(matches!(steps(7, KAFKA)[0].fault, Fault::Kill(_)));
        assert!(steps(7, KAFKA).iter().all(|step| step.host < 3));
    }

    #[test]
    fn a_freeze_outlasts_the_session_and_one_host_gets_no_visitors() {
        let freezes = |scene| {
            let length = |step: Step| match step.fault {
                Fault::Freeze(length) => Some(length),
                _ => None,
            };
            steps(1, scene).into_iter().filter_map(length).collect::<Vec<_>>()
        };
        assert!(freezes(KAFKA).iter().all(|length| *length > Duration::from_secs(6)));
        let alone = Scene { hosts: 1, session: None, ..KAFKA };
        assert!(freezes(alone).iter().all(|length| *length < Duration::from_secs(3)));
        assert!(!steps(1, alone).iter().any(|step| matches!(step.fault, Fault::Visit(_))));
    }

    #[test]
    fn what_does_not_fit_into_the_rest_is_left_out() {
        let mut plan = Plan::new(1, KAFKA);
        let left = Duration::from_secs(7);
        for _ in 0..20 {
            assert!(plan.next(left).is_none_or(|step| step.length() < left));
        }
        assert_eq!(plan.next(Duration::ZERO), None);
    }
}
