//! Handlers in every language: `new`, `build`, and an event that comes out; and what is said when
//! something is missing or wrong.
//!
//! The tools come from the registries; what they fetch is cached (`lockstep_tests::tools`).

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use lockstep::event::Consumed;
use lockstep_tests::cli::{self, Ran};
use lockstep_tests::event::{Has, event};
use lockstep_tests::host::Host;
use lockstep_tests::log::LogKind;
use lockstep_tests::scenario::Scenario;
use lockstep_tests::wait::FIRST_BUILD;
use lockstep_tests::{build, paths, tools};
use serde_json::Value;

/// An empty folder outside the repository, with a log for what runs there.
fn workshop(test: &str) -> Scenario {
    Scenario::new(LogKind::Embedded, test)
}

#[track_caller]
fn lockstep(world: &Scenario, args: &[&str]) -> Ran {
    let mut command = cli::command(args);
    command.current_dir(world.directory()).envs(tools::environment().iter().cloned());
    cli::finish_within(FIRST_BUILD, &mut command, b"")
}

/// Makes a handler, builds it, and checks what `build` says of it.
#[track_caller]
fn made(world: &Scenario, name: &str, args: &[&str]) -> PathBuf {
    let said = lockstep(world, &[&["new", name], args].concat()).ok();
    assert!(said.contains(&format!("cd {name}")) && said.contains(" dev\n"), "{said}");
    world.directory().join(name)
}

#[track_caller]
fn built(world: &Scenario, name: &str) -> Value {
    let report = lockstep(world, &["build", name, "--output", "json"]).json();
    let built = report[0].clone();
    assert_eq!(built["name"], name, "{report}");
    assert!(built["digest"].as_str().is_some_and(|d| d.starts_with("sha256:") && d.len() == 71));
    assert_eq!(built["imports"].as_array().map(Vec::is_empty), Some(false), "{report}");
    built
}

/// An edit of the code that its cases do not expect.
struct Edit {
    file: &'static str,
    from: &'static str,
    to: &'static str,
    /// What is in the output of the sample before and after.
    before: &'static str,
    after: &'static str,
}

/// Saves the edit while `dev` runs: the old revision answers until the cases agree.
#[track_caller]
fn is_edited(world: &Scenario, name: &str, edit: &Edit) {
    let data = world.data_dir().display().to_string();
    let args = [name, "--data-dir", &data];
    let mut host = Host::dev_with(world.directory(), &args, tools::environment());
    host.wait_until_ready();
    let folder = world.directory().join(name);
    let sample = fs::read(folder.join("sample.json")).expect("a sample");
    let (input, output) = (format!("{name}-in"), format!("{name}-out"));
    let answer = || {
        let place = |event: &Consumed| (event.partition, event.offset);
        let before: Vec<_> = world.read(&output).iter().map(place).collect();
        assert_eq!(host.post(&input, &[], &sample).status, 200);
        let events = world.wait_for(&output, before.len() + 1);
        let event = events.iter().find(|event| !before.contains(&place(event))).expect("a new one");
        (event.last_header("lockstep-handler").unwrap_or_default(), event.text())
    };
    let (by, text) = answer();
    assert!(by == format!("{name}@1") && text.contains(edit.before), "{by} {text}");
    let file = folder.join(edit.file);
    let code = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{file:?}: {e}"));
    assert!(code.contains(edit.from), "{file:?} does not contain {:?}", edit.from);
    fs::write(&file, code.replace(edit.from, edit.to)).expect("the folder can be written");
    host.logged_within(FIRST_BUILD, &["cases fail", &format!("{name}@1 keeps running")]);
    assert_eq!(answer().0, format!("{name}@1"));
    lockstep(world, &["test", "--no-build", "--bless", name]).ok();
    host.logged_within(FIRST_BUILD, &[&format!("{name}@2 runs")]);
    let (by, text) = answer();
    assert!(by == format!("{name}@2") && text.contains(edit.after), "{by} {text}");
    assert_eq!(host.terminate().0, 0, "{}", host.output());
}

/// Runs the handler on its sample: an output that holds this text comes out. With `refused`, that
/// value becomes a dead letter.
#[track_caller]
fn handles(world: &Scenario, name: &str, expected: &str, refused: Option<&str>) {
    let tested = lockstep(world, &["test", "--no-build", name]).ok();
    assert!(tested.contains(" 0 failed"), "{tested}");
    let data = world.data_dir().display().to_string();
    let host = Host::dev(world.directory(), &["--no-build", name, "--data-dir", &data]);
    host.wait_until_ready();
    let sample = fs::read(world.directory().join(name).join("sample.json")).expect("a sample");
    let input = format!("{name}-in");
    assert_eq!(host.post(&input, &[], &sample).status, 200);
    let output = world.wait_for(&format!("{name}-out"), 1);
    assert!(output[0].text().contains(expected), "{}", output[0].text());
    if let Some(value) = refused {
        world.produce([event(&input, value)]);
        let dead = world.wait_for(&format!("{name}.dead-letters"), 1);
        assert_eq!(dead[0].text(), value);
        assert_eq!(dead[0].last_header("lockstep-failure").as_deref(), Some("permanent"));
    }
}

/// From nothing to an event that comes out, in both worlds. `kept` is what builds leave behind
/// and the second handler need not make again.
#[track_caller]
fn works(lang: &str, kept: &[&str], edit: &Edit, refused: &str) {
    let world = workshop(lang);
    let expected = edit.before;
    let plain = made(&world, "plain", &["--lang", lang]);
    assert_eq!(built(&world, "plain")["world"], "handler");
    handles(&world, "plain", expected, None);
    is_edited(&world, "plain", edit);
    let fallible = made(&world, "fallible", &["--lang", lang, "--fallible"]);
    for kept in kept {
        fs::rename(plain.join(kept), fallible.join(kept)).expect("a build leaves this behind");
    }
    assert_eq!(built(&world, "fallible")["world"], "fallible-handler");
    handles(&world, "fallible", expected, Some(refused));
}

/// The same in every language but C.
fn greeting(file: &'static str) -> Edit {
    Edit { file, from: "Hello, ", to: "Howdy, ", before: "Hello, ", after: "Howdy, " }
}

#[test]
fn a_handler_in_rust_is_made_built_and_run() {
    works("rust", &["target"], &greeting("src/greeting.rs"), "no JSON");
}

#[test]
fn a_handler_with_cargo_component_is_made_built_and_run() {
    works("rust-component", &["target"], &greeting("src/greeting.rs"), "no JSON");
}

#[test]
fn a_handler_in_javascript_is_made_built_and_run() {
    works("javascript", &["node_modules"], &greeting("src/greeting.js"), "no JSON");
}

#[test]
fn a_handler_in_python_is_made_built_and_run() {
    works("python", &[], &greeting("src/greeting.py"), "no JSON");
}

#[test]
fn a_handler_in_c_is_made_built_and_run() {
    works(
        "c",
        &[".venv", "node_modules"],
        &Edit {
            file: "src/text.c",
            from: "text[at] -= 'a' - 'A';",
            to: "text[at] = '*';",
            before: "HELLO",
            after: "*****",
        },
        "caf\u{e9}",
    );
}

/// Runs a program of the language itself in the handler's folder.
#[track_caller]
fn passes(folder: &Path, program: &str, args: &[&str]) {
    let output = Command::new(program)
        .args(args)
        .current_dir(folder)
        .envs(tools::environment().iter().cloned())
        .env_remove("CARGO_TARGET_DIR")
        .output()
        .unwrap_or_else(|error| panic!("failed to run {program}: {error}"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_logic_of_a_new_handler_passes_its_own_tests() {
    let world = workshop("native");
    for fallible in [&[][..], &["--fallible"]] {
        let end = if fallible.is_empty() { "plain" } else { "fallible" };
        let make = |lang: &str| {
            made(&world, &format!("{lang}-{end}"), &[&["--lang", lang], fallible].concat())
        };
        passes(&make("javascript"), "node", &["--test"]);
        passes(&make("python"), "python3", &["-m", "unittest", "discover", "tests"]);
        passes(&make("c"), "make", &["test"]);
        let rust = make("rust");
        let target = world.directory().join("native-target").display().to_string();
        passes(&rust, "cargo", &["test", "--target-dir", &target]);
    }
}

#[test]
fn the_examples_in_other_languages_are_built_and_their_logic_is_tested() {
    let world = workshop("examples");
    for name in ["csv", "redact", "webhooks"] {
        let folder = build::example_source(name).display().to_string();
        let report = lockstep(&world, &["build", &folder, "--output", "json"]).json();
        assert_eq!(report[0]["name"], name);
        let tested = lockstep(&world, &["test", "--no-build", &folder]).ok();
        assert!(tested.contains(" 0 failed"), "{tested}");
    }
    passes(&build::example_source("csv"), "python3", &["-m", "unittest", "discover", "tests"]);
    passes(&build::example_source("webhooks"), "node", &["--test"]);
    let target = paths::target().join("redact").display().to_string();
    passes(&build::example_source("redact"), "cargo", &["test", "--target-dir", &target]);
}

#[test]
fn what_the_examples_copy_is_what_there_is() {
    let root = paths::workspace();
    let same = |copy: PathBuf, original: PathBuf| {
        let read =
            |path: &Path| fs::read_to_string(path).unwrap_or_else(|e| panic!("{path:?}: {e}"));
        assert_eq!(read(&copy), read(&original), "{copy:?} is not what {original:?} is");
    };
    for name in ["csv", "redact", "webhooks"] {
        let copy = root.join("handlers").join(name).join("wit/deps/lockstep-handler/handler.wit");
        same(copy, root.join("wit/handler.wit"));
    }
    for file in ["console.js", "text.js"] {
        let copy = root.join("handlers/webhooks/src/runtime").join(file);
        same(copy, root.join("host/templates/javascript/any/src/runtime").join(file));
    }
}

#[test]
fn new_refuses_what_cannot_be_and_leaves_what_is_there() {
    let world = workshop("refused");
    made(&world, "weather", &[]);
    lockstep(&world, &["new", "weather"]).fails(1, &["weather", "is not empty"]);
    for (args, words) in [
        (&["new", "Weather Station"][..], &["handler name", "try \"weather-station\""][..]),
        (&["new", ".."], &["does not end in the name"]),
        (&["new", "x", "--lang", "cobol"], &["cobol", "rust-component", "javascript"]),
        (&["new", "x", "--from", "a", "--to", "a"], &["\"a\"", "without end"]),
        (&["new", "x", "--to", "_lockstep.deployments"], &["belong to Lockstep"]),
    ] {
        lockstep(&world, args).fails(2, words);
        assert!(!world.directory().join("x").exists());
    }
}

#[test]
fn topics_are_those_that_were_asked_for() {
    let world = workshop("topics");
    let args = ["--from", "orders", "--to", "invoices", "--to", "reminders", "--fallible"];
    let folder = made(&world, "2fa", &args);
    let manifest = fs::read_to_string(folder.join("handler.toml")).expect("a manifest");
    assert!(manifest.contains("from = [\"orders\"]"), "{manifest}");
    assert!(manifest.contains("to = [\"invoices\", \"reminders\"]"), "{manifest}");
    assert!(manifest.contains("handler_2fa.wasm"), "Rust takes no name like 2fa: {manifest}");
}

/// Builds with nothing on the path but these programs.
#[track_caller]
fn build_with_only(world: &Scenario, name: &str, programs: &[&str]) -> Ran {
    let bin = world.directory().join(format!("bin-for-{name}"));
    fs::create_dir_all(&bin).expect("the scenario's directory can be written");
    let path = std::env::var_os("PATH").unwrap_or_default();
    for program in ["sh"].iter().chain(programs) {
        let mut folders = std::env::split_paths(&path);
        let found = folders.find(|folder| folder.join(program).is_file());
        let found = found.unwrap_or_else(|| panic!("{program} is not installed")).join(program);
        symlink(found, bin.join(program)).expect("a link can be made");
    }
    let mut command = cli::command(["build", name]);
    // Cargo also looks for its subcommands in its home.
    command.env("PATH", &bin).env("CARGO_HOME", world.directory().join("cargo-home"));
    cli::finish(command.current_dir(world.directory()), b"")
}

#[test]
fn a_missing_tool_is_named_with_what_installs_it() {
    let world = workshop("missing");
    for (lang, programs, words) in [
        ("rust", &[][..], &["cargo was not found", "https://rustup.rs"][..]),
        (
            "rust-component",
            &["cargo", "rustup", "rustc"],
            &["cargo install cargo-component --locked --version 0.21.1"],
        ),
        ("javascript", &[], &["npm was not found", "https://nodejs.org"]),
        ("python", &[], &["python3 was not found", "apt-get install python3 python3-venv"]),
        ("c", &[], &["was not found"]),
    ] {
        let name = format!("{lang}-handler");
        made(&world, &name, &["--lang", lang]);
        build_with_only(&world, &name, programs).fails(1, &[&[name.as_str()], words].concat());
    }
    let folder = made(&world, "odd", &[]);
    write_manifest(&folder, "no-such-compiler --fast");
    lockstep(&world, &["build", "odd"]).fails(1, &["no-such-compiler", "[build]"]);
}

/// A handler whose "build" is this command.
fn write_manifest(folder: &Path, command: &str) {
    let manifest = format!(
        "name = \"odd\"\ncomponent = \"odd.wasm\"\nfrom = [\"in\"]\nto = [\"out\"]\n\
         [build]\ncommand = {command:?}\n"
    );
    fs::write(folder.join("handler.toml"), manifest).expect("the folder can be written");
}

#[test]
fn what_is_no_component_of_ours_is_refused_after_the_build() {
    let world = workshop("wrong");
    let folder = world.directory().join("odd");
    fs::create_dir_all(&folder).expect("the scenario's directory can be written");
    let module = world.directory().join("core-module.wasm");
    build::assemble(&paths::tests().join("guests/fixtures/core-module.wat"), &module);
    let copy = |from: PathBuf| format!("cp {} odd.wasm", from.display());
    for (command, words) in [
        ("true".to_owned(), &["succeeded", "there is no component at"][..]),
        ("exit 3".to_owned(), &["exit 3", "failed"]),
        (copy(paths::tests().join("guests/fixtures/garbage.wasm")), &["cannot run", "odd.wasm"]),
        (copy(module), &["cannot run", "module", "component"]),
        (copy(build::guest("wrong-world")), &["cannot run", "lockstep:handler"]),
        (copy(build::guest("old-import")), &["cannot run", "acme:legacy/ledger@0.0.1"]),
    ] {
        write_manifest(&folder, &command);
        drop(fs::remove_file(folder.join("odd.wasm")));
        lockstep(&world, &["build", "odd"]).fails(1, &[&["\"odd\""], words].concat());
    }
    fs::remove_file(folder.join("handler.toml")).expect("it was written");
    lockstep(&world, &["build", "odd"]).fails(2, &["odd", "handler.toml"]);
}

#[test]
fn a_folder_that_does_not_say_how_it_is_built_is_told_how() {
    let world = workshop("unclear");
    let folder = world.directory().join("odd");
    fs::create_dir_all(&folder).expect("the scenario's directory can be written");
    write_manifest(&folder, "true");
    let manifest = fs::read_to_string(folder.join("handler.toml")).expect("it was written");
    let without_build = manifest.split("[build]").next().unwrap_or_default();
    fs::write(folder.join("handler.toml"), without_build).expect("the folder can be written");
    lockstep(&world, &["build", "odd"]).fails(1, &["Cargo.toml", "package.json", "[build]"]);
    // A component that is there needs no recipe.
    fs::copy(build::guest("identity"), folder.join("odd.wasm")).expect("a component is copied");
    let said = lockstep(&world, &["build", "odd"]).ok();
    for line in ["handler odd", "world      handler", "digest     sha256:", "imports"] {
        assert!(said.contains(line), "{line}: {said}");
    }
}
