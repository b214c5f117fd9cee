//! A developer at work: `lockstep dev` with a handler in a folder whose files a test saves.

use std::fs;
use std::path::{Path, PathBuf};

use crate::build;
use crate::host::Host;
use crate::scenario::{Deployed, Manifest, Scenario};

/// A handler folder whose build copies the guest that `source` names, and what `dev` makes of it.
pub struct Developer {
    /// The world of the handler.
    pub world: Scenario,
    /// The handler.
    pub handler: Deployed,
    /// Its folder.
    pub folder: PathBuf,
    log: [String; 2],
}

/// The component, within the folder.
const COMPONENT: &str = "handler.wasm";
/// The file that names the guest, within the folder.
const SOURCE: &str = "source";

/// A build that takes its time, or fails, as the source says.
const BUILD: &str = r#"
what=$(cat source)
case $what in
    error*) echo "error: $what in source" >&2; exit 1 ;;
    slow*) echo $$ > build.pid; sleep 1000 ;;
    *) cp "guests/$what.wasm" .new.wasm && mv .new.wasm handler.wasm ;;
esac
"#;

impl Developer {
    /// A handler of these topics that is served by a guest, with more lines of a manifest.
    pub fn new(mut world: Scenario, guest: &str, from: &[&String], to: &[&String]) -> Self {
        let manifest = Manifest::guest(guest).from(from).to(to);
        let manifest = manifest.with(&format!(
            "component = {COMPONENT:?}\n[build]\ncommand = \"sh ./build.sh\"\n\
             watch = [{SOURCE:?}]"
        ));
        let handler = world.deploy(manifest);
        let folder = world.directory().join("handlers").join(&handler.name);
        let log = world.log_args();
        let developer = Self { world, handler, folder, log };
        developer.save("build.sh", BUILD);
        for guest in ["identity", "stamp", "scripted", "trap"] {
            let copy = developer.folder.join("guests").join(format!("{guest}.wasm"));
            fs::create_dir_all(developer.folder.join("guests")).expect("a folder can be made");
            fs::copy(build::guest(guest), copy).expect("a guest can be copied");
        }
        developer.save(SOURCE, guest);
        developer.install(guest);
        developer
    }

    /// Adds lines to the manifest.
    pub fn with(self, toml: &str) -> Self {
        let manifest = self.manifest();
        self.save("handler.toml", &format!("{toml}\n{manifest}"));
        self
    }

    /// The manifest as it is.
    pub fn manifest(&self) -> String {
        fs::read_to_string(self.folder.join("handler.toml")).expect("the manifest can be read")
    }

    /// Saves a file as editors do: another one takes its place.
    #[track_caller]
    pub fn save(&self, name: &str, text: &str) {
        put(&self.folder.join(name), text.as_bytes());
    }

    /// Saves the source.
    #[track_caller]
    pub fn edit(&self, source: &str) {
        self.save(SOURCE, source);
    }

    /// Puts the component of a guest where the build would.
    #[track_caller]
    pub fn install(&self, guest: &str) {
        let component = fs::read(build::guest(guest)).expect("a guest can be read");
        put(&self.folder.join(COMPONENT), &component);
    }

    /// Starts `dev`.
    #[track_caller]
    pub fn dev(&self, args: &[&str]) -> Host {
        let mut all: Vec<&str> = self.log.iter().map(String::as_str).collect();
        all.extend(args);
        let host = Host::dev(self.world.directory(), &all);
        host.wait_until_ready();
        host
    }

    /// Waits until this revision has been swapped in, or started anew.
    #[track_caller]
    pub fn runs(&self, host: &Host, revision: u64) {
        host.logged(&[&format!("{}@{revision} runs", self.handler.name)]);
    }
}

fn put(file: &Path, content: &[u8]) {
    let new = file.with_file_name(".being-saved");
    let written = fs::write(&new, content).and_then(|()| fs::rename(&new, file));
    written.unwrap_or_else(|error| panic!("failed to write {file:?}: {error}"));
}
