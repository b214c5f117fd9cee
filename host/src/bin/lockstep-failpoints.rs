//! The `lockstep` command for tests: it fails where the variable `FAILPOINTS` says.

fn main() -> std::process::ExitCode {
    // Ends what it sets up when it is dropped.
    let _scenario = fail::FailScenario::setup();
    lockstep::cli::main()
}
