//! A fleet whose handlers are deployed: the commands of whoever operates it.

use std::fs;
use std::path::PathBuf;

use lockstep::event::Consumed;
use serde_json::Value;

use crate::build;
use crate::cli::command;
use crate::cli::{self, Ran};
use crate::event::{Has, event};
use crate::scenario::Scenario;

/// A handler that is deployed to the hosts of a scenario.
pub struct Fleet {
    /// The log, and the configuration of hosts that have no handlers of their own.
    pub world: Scenario,
    /// The handler's name.
    pub name: String,
    /// Its source topic.
    pub input: String,
    /// Where its outputs go.
    pub output: String,
    /// Its folder: components are put there, not built.
    pub folder: PathBuf,
}

impl Fleet {
    /// Topics with so many partitions, and the folder of a handler that is not deployed yet.
    pub fn new(world: Scenario, partitions: u32) -> Self {
        let (input, output) = (world.topic("in", partitions), world.topic("out", partitions));
        let name = world.name("handler");
        let folder = world.directory().join("source").join(&name);
        fs::create_dir_all(&folder).expect("the scenario's directory can be written");
        let fleet = Self { world, name, input, output, folder };
        fleet.manifest("");
        fleet
    }

    /// Writes the manifest, with these lines.
    pub fn manifest(&self, more: &str) {
        let text = format!(
            "name = {:?}\ncomponent = \"handler.wasm\"\nfrom = [{:?}]\nto = [{:?}]\n{more}\n",
            self.name, self.input, self.output
        );
        fs::write(self.folder.join("handler.toml"), text).expect("it can be written");
    }

    /// Puts the component of a guest into the folder.
    pub fn guest(&self, guest: &str) {
        let component = fs::read(build::guest(guest)).expect("a guest can be read");
        fs::write(self.folder.join("handler.wasm"), component).expect("it can be written");
    }

    /// Runs a command on this fleet.
    #[track_caller]
    pub fn run(&self, args: &[&str]) -> Ran {
        cli::finish(&mut self.command(args), b"")
    }

    /// A command on this fleet.
    pub fn command(&self, args: &[&str]) -> std::process::Command {
        let mut command = command(args);
        command.args(self.world.log_args()).args(["--cluster-id", self.world.cluster_id()]);
        command.current_dir(self.world.directory());
        command
    }

    /// Deploys this guest, with these arguments.
    #[track_caller]
    pub fn deploy(&self, guest: &str, args: &[&str]) -> Ran {
        self.guest(guest);
        let folder = self.folder.display().to_string();
        self.run(&[&["deploy", "--no-build", &folder], args].concat())
    }

    /// What the handler's status says.
    #[track_caller]
    pub fn status(&self) -> Value {
        self.run(&["handler", "status", &self.name, "--output", "json"]).json()[0].clone()
    }

    /// Sends an event and gives the revision that answers it.
    #[track_caller]
    pub fn answered_by(&self) -> u64 {
        let place = |output: &Consumed| (output.partition, output.offset);
        let before: Vec<_> = self.world.read(&self.output).iter().map(place).collect();
        self.world.produce([event(&self.input, "x")]);
        let outputs = self.world.wait_for(&self.output, before.len() + 1);
        let new = outputs.iter().find(|output| !before.contains(&place(output)));
        let handler = new.and_then(|new| new.last_header("lockstep-handler")).unwrap_or_default();
        let revision = handler.rsplit_once('@').and_then(|(_, revision)| revision.parse().ok());
        revision.unwrap_or_else(|| panic!("no revision in {handler:?}"))
    }
}
