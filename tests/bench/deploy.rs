//! How long a deployment takes on a running host: from the start of `lockstep deploy` with a
//! component that no host has seen, until it says that every host runs it; and until the first
//! event is answered by the new revision.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use lockstep_tests::build;
use lockstep_tests::event::event;
use lockstep_tests::fleet::Fleet;
use lockstep_tests::log::LogKind;

use crate::report::{self, ms, quantile};
use crate::setup::scenario;

/// A guest of about 100 KiB.
const GUEST: &str = "scripted";

pub(crate) fn run(kind: LogKind, times: usize) {
    let (world, _broker) = scenario(kind);
    let fleet = Fleet::new(world, 1);
    let _host = fleet.world.start();
    fleet.deploy(GUEST, &[]).ok();
    let component = fs::read(build::guest(GUEST)).expect("a guest can be read");
    let (mut active, mut answered) = (Vec::new(), Vec::new());
    for number in 0..times.max(1) {
        install(&fleet.folder, &component, number);
        let folder = fleet.folder.display().to_string();
        let begun = Instant::now();
        fleet.run(&["deploy", "--no-build", &folder]).ok();
        active.push(begun.elapsed());
        fleet.world.produce([event(&fleet.input, "fine")]);
        fleet.world.wait_for(&fleet.output, number + 1);
        answered.push(begun.elapsed());
    }
    let sorted = |mut times: Vec<Duration>| {
        times.sort_unstable();
        times
    };
    let (active, answered) = (sorted(active), sorted(answered));
    report::line(&format!(
        "deploy {kind:?}: {} KiB, active on the host after median {}, longest {} of {}; an event \
         sent then is answered after median {}",
        component.len() >> 10,
        ms(quantile(&active, 0.5)),
        ms(quantile(&active, 1.0)),
        active.len(),
        ms(quantile(&answered, 0.5)),
    ));
}

/// The component with a custom section of its own, so that nobody has it in a cache.
fn install(folder: &Path, component: &[u8], number: usize) {
    let mut component = component.to_owned();
    let mut section = vec![b"bench".len() as u8];
    section.extend(b"bench");
    section.extend(number.to_le_bytes());
    component.push(0);
    component.push(section.len() as u8);
    component.extend(section);
    fs::write(folder.join("handler.wasm"), component).expect("a component can be written");
}
