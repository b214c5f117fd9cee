//! Bad configurations are refused before anything starts, with file, key and fix.

use std::fs;
use std::path::Path;

use lockstep_tests::cli::{self, Ran};
use lockstep_tests::host::Host;
use lockstep_tests::log::LogKind;
use lockstep_tests::scenario::{Manifest, Scenario};

on_both_logs![a_sound_configuration_is_checked_without_a_log];

fn check(config: &Path, more: &[&str]) -> Ran {
    let mut command = cli::command(["check", "--config"]);
    cli::finish(command.arg(config).args(more), b"")
}

fn a_sound_configuration_is_checked_without_a_log(mut world: Scenario) {
    let (input, output) = (world.name("in"), world.name("out"));
    let handler = world.deploy(Manifest::example("filter").from(&[&input]).to(&[&output]));
    let config = world.config("host-1");
    let text = check(&config, &[]).ok();
    assert!(text.contains(&handler.name) && text.contains(&input), "{text}");
    let report = check(&config, &["--output", "json"]).json();
    assert_eq!(report["ok"], true, "{report}");
    let program = &report["handlers"][0]["program"];
    let imports = program["imports"].as_array().cloned().unwrap_or_default();
    let imports = imports.iter().filter_map(|import| import.as_str());
    assert!(imports.into_iter().any(|i| i.starts_with("wasi:config/store")), "{report}");
    assert!(!world.data_dir().exists(), "checking starts nothing");
}

/// A configuration with this text instead of a sound one, and the words of the refusal.
fn is_refused(config: &str, manifest: &str, words: &[&str]) {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let write = |name: &str, text: &str| {
        let file = directory.path().join(name);
        fs::create_dir_all(file.parent().unwrap_or(directory.path()))
            .and_then(|()| fs::write(&file, text))
            .expect("a temporary directory can be written");
        file
    };
    let config = write("lockstep.toml", config);
    write("h/handler.toml", manifest);
    let run = cli::finish(&mut Host::command(&config), b"");
    run.fails(2, words);
    let check = check(&config, &[]);
    assert_eq!(check.code, 2, "{check:?}");
    let said = format!("{}{}", check.stdout, check.stderr);
    for word in words {
        assert!(said.contains(word), "{word:?} is not said: {said}");
    }
    assert!(!directory.path().join("lockstep-data").exists(), "nothing was started");
}

const SOUND: &str = "handlers = [\"h\"]";
const MANIFEST: &str = "name = \"h\"\ncomponent = \"h.wasm\"\nfrom = [\"a\"]";

#[test]
fn a_host_configuration_that_is_wrong_names_file_and_key() {
    let cases: [(&str, &[&str]); 8] = [
        ("handlers = [", &["lockstep.toml"]),
        ("nonsense = 1", &["lockstep.toml", "nonsense"]),
        ("[http]\ningest = \"here\"", &["lockstep.toml", "http.ingest", "here"]),
        ("shutdown_deadline = \"soon\"", &["lockstep.toml", "shutdown_deadline", "soon"]),
        ("[kafka]\n\"linger.ms\" = 5", &["lockstep.toml", "bootstrap.servers"]),
        (
            "[kafka]\n\"bootstrap.servers\" = \"b:1\"\n\"group.id\" = \"mine\"",
            &["lockstep.toml", "group.id", "handler.toml"],
        ),
        (
            "[kafka]\n\"bootstrap.servers\" = \"b:1\"\n\"ssl.ca.pem\" = { file = \"no.pem\" }",
            &["lockstep.toml", "ssl.ca.pem", "no.pem"],
        ),
        ("[[topics]]\nname = \"a/b\"", &["lockstep.toml", "topics", "a/b"]),
    ];
    for (config, words) in cases {
        is_refused(config, MANIFEST, words);
    }
}

#[test]
fn a_manifest_that_is_wrong_names_file_and_key() {
    let cases: [(String, &[&str]); 8] = [
        ("name = \"h\"\nfrom = [\"a\"]".to_owned(), &["handler.toml", "component"]),
        (MANIFEST.replace("[\"a\"]", "[]"), &["handler.toml", "from"]),
        (MANIFEST.replace("\"h\"", "\"H!\""), &["handler.toml", "name", "H!"]),
        (format!("{MANIFEST}\nworkers = 0"), &["handler.toml", "workers"]),
        (format!("{MANIFEST}\nto = [\"_lockstep.deployments\"]"), &["handler.toml", "to"]),
        (format!("{MANIFEST}\n[limits]\ntime = \"1h\""), &["handler.toml", "limits.time"]),
        (format!("{MANIFEST}\n[limits]\nmemroy = \"1MiB\""), &["handler.toml", "memroy"]),
        (format!("{MANIFEST}\n[retry]\njitter = 2.0"), &["handler.toml", "retry.jitter"]),
    ];
    for (manifest, words) in cases {
        is_refused(SOUND, &manifest, words);
    }
}

#[test]
fn a_handler_that_is_not_there_is_named() {
    is_refused("handlers = [\"elsewhere\"]", MANIFEST, &["elsewhere"]);
}

#[test]
fn a_configuration_that_is_not_there_is_named() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let ran = cli::run(directory.path(), ["run", "--config", "nowhere.toml"]);
    ran.fails(2, &["nowhere.toml"]);
}

#[test]
fn two_handlers_of_one_name_are_refused() {
    let mut world = Scenario::new(LogKind::Embedded, "same-name");
    let (input, output) = (world.name("in"), world.name("out"));
    let handler = world.deploy(Manifest::guest("identity").from(&[&input]).to(&[&output]));
    let copy = world.directory().join("copy");
    fs::create_dir(&copy).expect("a temporary directory can be written");
    let manifest = world.directory().join("handlers").join(&handler.name).join("handler.toml");
    fs::copy(manifest, copy.join("handler.toml")).expect("the manifest is there");
    world.configure(&format!("handlers = [\"handlers/{}\", \"copy\"]", handler.name));
    let ran = cli::finish(&mut Host::command(&world.config("host-1")), b"");
    ran.fails(2, &[&handler.name]);
}
