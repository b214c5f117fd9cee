//! A fleet whose handlers are deployed: the commands of whoever operates it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use lockstep::event::Consumed;
use serde_json::Value;

use crate::build;
use crate::cli::command;
use crate::cli::{self, Ran};
use crate::event::{Has, event};
use crate::scenario::{Deployed, Scenario};
use crate::wait::eventually_ok;

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

/// The component of a guest with some megabytes that nobody reads, as debug information is: it
/// takes many chunks. Another seed makes another component.
pub fn large(guest: &str, seed: usize) -> Vec<u8> {
    /// A custom section of this many bytes; they fit into a size of four bytes.
    const CONTENT: usize = 3 << 20;
    let mut component = fs::read(build::guest(guest)).expect("a guest can be read");
    let size = [0, 7, 14, 21].map(|shift| (CONTENT >> shift) as u8 & 0x7f);
    component.extend([0, size[0] | 0x80, size[1] | 0x80, size[2] | 0x80, size[3], 1, b'x']);
    component.extend((2..CONTENT).map(|n| ((n + seed) * n / 7) as u8));
    component
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

    /// What the handler's status says about each partition of its source topic.
    #[track_caller]
    pub fn partitions(&self) -> Vec<Value> {
        self.status()["partitions"].as_array().cloned().unwrap_or_default()
    }

    /// Waits until these hosts, and nobody else, have all partitions, each its even share, at this
    /// revision.
    #[track_caller]
    pub fn wait_until_owned_by(&self, hosts: &[&str], revision: u64) {
        eventually_ok(&format!("{hosts:?} share the partitions"), || {
            let partitions = self.partitions();
            let mut shares: BTreeMap<&str, usize> = hosts.iter().map(|host| (*host, 0)).collect();
            for partition in &partitions {
                let owner = partition["host"].as_str().unwrap_or("nobody");
                let share = shares.get_mut(owner).filter(|_| partition["revision"] == revision);
                *share.ok_or_else(|| format!("{partitions:#?}"))? += 1;
            }
            let even = partitions.len() / hosts.len();
            let right = shares.values().all(|share| (even..=even + 1).contains(share));
            if right { Ok(()) } else { Err(format!("{shares:?}")) }
        });
    }

    /// The handler, as a ledger wants it.
    pub fn handler(&self) -> Deployed {
        Deployed {
            name: self.name.clone(),
            group: format!("lockstep-{}", self.name),
            dead_letters: format!("{}.dead-letters", self.name),
            from: vec![self.input.clone()],
        }
    }

    /// The control topic of this name.
    pub fn control_topic(&self, name: &str) -> String {
        format!("_lockstep.{}.{name}", self.world.cluster_id())
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
