//! The embedded log means what Kafka means: the same inputs have the same results on both, in the
//! same order per key, with a host killed in between.

use std::time::Duration;

use lockstep::audit::history::Entry;
use lockstep::audit::oracle;
use lockstep_tests::inputs::Mix;
use lockstep_tests::log::LogKind;
use lockstep_tests::process::code;
use lockstep_tests::scenario::Scenario;
use lockstep_tests::trial::{Setup, Trial};

fn history(kind: LogKind) -> Vec<Entry> {
    // The names of a trial's topics are its own, so no output may contain them.
    let mix = Mix { spread: 0, emit: 25, huge: 3, ruin: 3, ..Mix::default() };
    let manifest = "limits.time = \"1s\"\nlimits.memory = \"16MiB\"";
    let world = Scenario::new(kind, "same");
    let trial = Trial::new(world, &Setup { seed: 901, mix, manifest, ..Setup::default() });
    let mut doomed = trial.failing("host-1", "mid-batch=60*off->return(kill)");
    trial.write(200);
    let status = doomed.process().wait(Duration::from_secs(60));
    assert_eq!(code(status), -9, "{}", doomed.output());
    trial.fault("kill -9", "host-1");
    let host = trial.host("host-1");
    trial.write(200);
    trial.assert_clean(vec![host]);
    trial.history()
}

#[test]
fn on_kafka_the_results_are_those_of_the_embedded_log() {
    let violations = oracle::compare(&history(LogKind::Kafka), &history(LogKind::Embedded));
    assert_eq!(violations, []);
}
