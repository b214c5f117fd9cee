//! Starting and stopping: signals, exit codes, and what the program needs of the machine.

use std::fs;
use std::process::Command;
use std::time::Duration;

use lockstep_tests::build;
use lockstep_tests::event::event;
use lockstep_tests::log::LogKind;
use lockstep_tests::process::code;
use lockstep_tests::scenario::{Manifest, Scenario};
use rustix::process::Signal;

on_both_logs![
    an_idle_host_stops_with_0_on_sigterm_and_on_sigint,
    a_second_signal_ends_the_host_at_once,
    a_host_without_handlers_serves_ingest,
];

fn an_idle_host_stops_with_0_on_sigterm_and_on_sigint(mut world: Scenario) {
    let (input, output) = (world.topic("in", 1), world.topic("out", 1));
    world.deploy(Manifest::guest("identity").from(&[&input]).to(&[&output]));
    for signal in [Signal::TERM, Signal::INT] {
        let mut host = world.start();
        host.process().signal(signal);
        let status = host.process().wait(Duration::from_secs(15));
        assert_eq!(code(status), 0, "{signal:?}\n{}", host.output());
    }
}

fn a_second_signal_ends_the_host_at_once(mut world: Scenario) {
    let (input, output) = (world.topic("in", 1), world.topic("out", 1));
    world.configure("shutdown_deadline = \"50s\"");
    world.deploy(
        Manifest::guest("scripted").from(&[&input]).to(&[&output]).with("limits.time = \"10s\""),
    );
    // A call that the first signal has to wait for; in one batch with what announces it.
    let scripts = [r#"{"do":"print","text":"now it is long"}"#, r#"{"do":"spin","ms":9000}"#];
    world.produce(scripts.map(|script| event(&input, script)));
    let mut host = world.start();
    host.logged(&["now it is long"]);
    host.process().signal(Signal::INT);
    lockstep_tests::wait::eventually("the host has seen the first signal", || {
        host.process().signal(Signal::INT);
        host.process().try_wait().is_some()
    });
    let status = host.process().wait(Duration::from_secs(5));
    assert_eq!(code(status), 130, "{}", host.output());
}

fn a_host_without_handlers_serves_ingest(mut world: Scenario) {
    let input = world.topic("in", 1);
    world.open_to_ingest(&[&input]);
    let host = world.start();
    assert_eq!(host.post(&input, &[], b"x").status, 200);
    assert_eq!(world.read(&input).len(), 1);
}

#[test]
fn damaged_compiled_code_is_made_again() {
    let mut world = Scenario::new(LogKind::Embedded, "compiled");
    let (input, output) = (world.topic("in", 1), world.topic("out", 1));
    world.deploy(Manifest::guest("identity").from(&[&input]).to(&[&output]));
    let components = world.data_dir().join("components");
    let kept = || {
        let entries = fs::read_dir(&components).expect("a host keeps compiled components");
        let entries: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
        assert_eq!(entries.len(), 1, "{entries:?}");
        (entries[0].clone(), fs::read(&entries[0]).expect("it can be read"))
    };
    let mut handled = 0;
    let mut runs = |world: &Scenario| {
        let host = world.start();
        world.produce([event(&input, "x")]);
        handled += 1;
        world.wait_for(&output, handled);
        host.output()
    };
    assert!(!runs(&world).contains("made again"));
    let (file, whole) = kept();
    for damaged in [&whole[..whole.len() / 2], b"", b"something else, and long enough for a header"]
    {
        fs::write(&file, damaged).expect("it can be written");
        let said = runs(&world);
        assert!(said.contains("made again") && said.contains(".cwasm"), "{said}");
        assert_eq!(kept(), (file.clone(), whole.clone()));
    }
    fs::remove_dir_all(&components).expect("it can be removed");
    assert!(!runs(&world).contains("made again"));
    assert_eq!(kept().1, whole);
}

#[test]
fn the_program_needs_nothing_but_libc() {
    let output = Command::new("ldd").arg(build::lockstep()).output().expect("ldd is there");
    let text = String::from_utf8_lossy(&output.stdout);
    let allowed =
        ["linux-vdso", "libc", "libm", "libgcc_s", "libpthread", "libdl", "librt", "ld-linux"];
    let foreign: Vec<_> = text
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .map(|library| library.rsplit('/').next().unwrap_or(library))
        .filter(|library| {
            let name = library.split(['.', '-']).next().unwrap_or(library);
            !allowed
                .iter()
                .any(|allowed| name == *allowed || library.starts_with(&format!("{allowed}-")))
                && !library.starts_with("ld-linux")
                && !library.starts_with("linux-vdso")
        })
        .collect();
    assert!(foreign.is_empty(), "linked with {foreign:?}\n{text}");
    assert!(fs::metadata(build::lockstep()).is_ok_and(|file| file.len() > 0));
}
