//! Faults of the disk and of the clock, on the embedded log: nothing acknowledged is lost.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use lockstep::audit::history::{Ack, Phase};
use lockstep_tests::cli;
use lockstep_tests::host::Host;
use lockstep_tests::http;
use lockstep_tests::load::beside;
use lockstep_tests::log::LogKind;
use lockstep_tests::process::code;
use lockstep_tests::scenario::Scenario;
use lockstep_tests::trial::{Setup, Trial};
use rustix::process::{Pid, Resource, Rlimit, geteuid, prlimit};

const SOON: Duration = Duration::from_secs(60);

fn trial(test: &str, seed: u64) -> Trial {
    let mut world = Scenario::new(LogKind::Embedded, test);
    let input = world.name("in");
    world.configure(&format!("[[topics]]\nname = {input:?}\npartitions = 4\ningest = true"));
    Trial::new(world, &Setup { seed, ..Setup::default() })
}

/// Posts an input to a host, as clients do; whether it was taken.
fn post(trial: &Trial, host: &Host) -> bool {
    let input = trial.next_input();
    let key = String::from_utf8_lossy(input.event.key.as_deref().unwrap_or_default()).into_owned();
    let url = format!("{}?key={key}", host.events_url(&trial.input));
    let value = input.event.value.unwrap_or_default();
    let id = [("lockstep-header-lockstep-audit-id", input.id.as_str())];
    let answer = http::try_post(&url, &id, &value);
    let ack = match &answer {
        Ok(answer) if answer.status == 200 => Ack::Acknowledged,
        _ => Ack::Unknown,
    };
    trial.written(input.id, ack);
    ack == Ack::Acknowledged
}

/// Posts until the host is gone, whatever it answers.
fn post_until_it_is_gone(trial: &Trial, host: &Host) {
    while is_there(host) {
        post(trial, host);
    }
}

fn is_there(host: &Host) -> bool {
    http::try_get(&format!("{}/livez", host.admin)).is_ok()
}

/// A host dies at a place of its appender while clients post to it.
fn killed_while_it_takes_events(test: &str, seed: u64, place: &str) {
    let trial = trial(test, seed);
    for round in 0..3 {
        let failpoints = format!("{place}={}*off->return(kill)", 20 + round * 7);
        let mut doomed = trial.failing("host-1", &failpoints);
        std::thread::scope(|scope| {
            scope.spawn(|| post_until_it_is_gone(&trial, &doomed));
            scope.spawn(|| post_until_it_is_gone(&trial, &doomed));
        });
        let status = doomed.process().wait(SOON);
        assert_eq!(code(status), -9, "{}", doomed.output());
        trial.fault(&format!("kill -9 at {place}"), "host-1");
        trial.heard(&doomed);
    }
    let host = trial.host("host-1");
    trial.assert_clean(vec![host]);
}

#[test]
fn on_embedded_a_host_that_is_killed_in_the_middle_of_an_append_loses_nothing_acknowledged() {
    killed_while_it_takes_events("killed-mid-append", 501, "mid-append");
}

#[test]
fn on_embedded_a_host_that_is_killed_before_an_append_is_synced_loses_nothing_acknowledged() {
    killed_while_it_takes_events("killed-before-append", 502, "before-append-commit");
}

#[test]
fn on_embedded_a_host_that_is_killed_before_it_acknowledges_loses_nothing_acknowledged() {
    killed_while_it_takes_events("killed-after-append", 503, "after-append-commit");
}

/// Files may not grow any more, which is what a full disk does to a log; then they may again.
#[test]
fn on_embedded_a_full_disk_refuses_events_and_loses_nothing_acknowledged() {
    let trial = trial("disk-full", 504);
    let mut host = trial.host_that_survives_a_file_limit("host-1");
    assert!(post(&trial, &host), "{}", host.output());
    let wal = trial.world.data_dir().join("log.sqlite3-wal");
    let limit = fs::metadata(&wal).map_or(0, |file| file.len()) + (256 << 10);
    let pid = host.process().pid();
    trial.note("disk full", "host-1", Phase::Begins);
    limit_files(pid, Some(limit));
    trial.wait_until("an event is refused", || !post(&trial, &host));
    let url = host.events_url(&trial.input);
    let answer = http::post(&url, &[], b"one more");
    assert_eq!(answer.status, 503, "{answer:?}");
    limit_files(pid, None);
    trial.note("disk full", "host-1", Phase::Ends);
    trial.wait_until("events are taken again", || post(&trial, &host));
    for _ in 0..200 {
        assert!(post(&trial, &host), "{}", host.output());
    }
    trial.assert_clean(vec![host]);
}

fn limit_files(pid: u32, bytes: Option<u64>) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let limit = Rlimit { current: bytes, maximum: None };
    prlimit(pid, Resource::Fsize, limit).expect("a child's soft limit can be set");
}

/// What a machine that lost its power leaves behind a synced commit: part of a write that nobody
/// was told about.
#[test]
fn on_embedded_a_torn_write_is_as_if_it_had_never_begun() {
    let trial = trial("torn-write", 505);
    for round in 0..4 {
        let mut doomed = trial.failing("host-1", "before-end-txn=5*off->return(kill)");
        post_until_it_is_gone(&trial, &doomed);
        let status = doomed.process().wait(SOON);
        assert_eq!(code(status), -9, "{}", doomed.output());
        trial.fault("kill -9 and a torn write", "host-1");
        trial.heard(&doomed);
        tear(&trial.world.data_dir().join("log.sqlite3-wal"), round);
    }
    let host = trial.host("host-1");
    trial.assert_clean(vec![host]);
}

/// Adds half a frame, a frame that is a copy of an older one, or noise behind the last frame.
fn tear(wal: &Path, round: usize) {
    const HEADER: usize = 32;
    const FRAME: usize = 24 + (16 << 10);
    let bytes = fs::read(wal).expect("the host has left its write-ahead log");
    let first = bytes.get(HEADER..HEADER + FRAME).expect("it has a frame").to_vec();
    let torn = match round {
        0 => first[..FRAME / 2].to_vec(),
        1 => first,
        2 => (0..FRAME + 100).map(|n| (n * 31 % 251) as u8).collect(),
        _ => vec![0; FRAME * 2],
    };
    let mut file = OpenOptions::new().append(true).open(wal).expect("it can be written");
    file.write_all(&torn).expect("it can be written");
}

#[test]
fn on_embedded_a_read_only_directory_is_named_and_left_as_it_was() {
    let trial = trial("read-only", 506);
    let mut host = trial.host("host-1");
    trial.write(50);
    trial.settle();
    assert_eq!(host.terminate().0, 0, "{}", host.output());
    let data = trial.world.data_dir();
    let config = trial.world.config("host-1");
    let mut command = read_only(&data);
    command.arg(build_lockstep()).args(["run", "--config"]).arg(&config);
    command.current_dir(trial.world.directory());
    let ran = cli::finish(&mut command, b"");
    writable(&data);
    assert_ne!(ran.code, 0, "{}", ran.stderr);
    let named = ran.stderr.contains(&data.display().to_string()) || ran.stderr.contains("data");
    let told = ran.stderr.to_lowercase().contains("read-only") || ran.stderr.contains("readonly");
    assert!(named && told, "{}", ran.stderr);
    let host = trial.host("host-1");
    trial.write(50);
    trial.assert_clean(vec![host]);
}

fn build_lockstep() -> &'static Path {
    lockstep_tests::build::lockstep()
}

/// A command that sees the directory as one that cannot be written. Modes do not stop root, so
/// root gets a mount of its own.
fn read_only(directory: &Path) -> Command {
    if geteuid().is_root() {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c"]);
        command.arg("mount --bind \"$0\" \"$0\" && mount -o remount,ro,bind \"$0\" && exec \"$@\"");
        command.arg(directory);
        command
    } else {
        set_mode(directory, 0o555);
        Command::new("env")
    }
}

fn writable(directory: &Path) {
    set_mode(directory, 0o755);
}

fn set_mode(directory: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    let permissions = fs::Permissions::from_mode(mode);
    fs::set_permissions(directory, permissions).expect("the scenario's directory is ours");
}

#[test]
fn on_embedded_a_clock_that_goes_back_a_day_loses_and_repeats_nothing() {
    let trial = trial("clock", 507);
    let host = trial.failing("host-1", "clock=30*off->return(-86400000)");
    let load = |running| trial.flow(&running);
    let ((), ()) = beside(load, || {
        for _ in 0..5 {
            trial.wait_for_progress();
        }
        trial.fault("clock goes back a day", "host-1");
    });
    let mut host = host;
    assert_eq!(host.terminate().0, 0, "{}", host.output());
    trial.heard(&host);
    let host = trial.host("host-1");
    trial.write(100);
    trial.assert_clean(vec![host]);
}
