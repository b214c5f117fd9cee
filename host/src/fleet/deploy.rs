//! Makes a new revision of a handler the active one, and takes it back where it cannot run.

use std::sync::Arc;

use anyhow::anyhow;
use bytesize::ByteSize;
use serde::Serialize;
use utoipa::ToSchema;

use super::arrival::Outcome;
use super::{Error, Fleet, Parcel, Patience, difference};
use crate::deployment::operation::Operation;
use crate::deployment::record::{DeploymentRecord, RevisionRecord};
use crate::deployment::registry::Deployed;
use crate::digest::Digest;
use crate::handler::Handler;
use crate::log::topics;
use crate::topic::TopicSpec;

/// What was deployed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Shipment {
    /// The handler.
    pub name: String,
    /// Its active revision.
    pub revision: u64,
    /// The digest of the component.
    pub digest: String,
    /// The size of the component, in bytes.
    pub bytes: u64,
    /// `false` when what was active is the same already.
    pub changed: bool,
    /// What is different from the revision that was active, a line each.
    pub changes: Vec<String>,
    /// The hosts that run it; empty when they were not waited for.
    pub hosts: Vec<String>,
    /// The hosts that do not run it yet; left out when there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub late: Vec<String>,
    /// What the hosts are to do.
    #[serde(skip)]
    wanted: Option<DeploymentRecord>,
    /// How the handler ran before.
    #[serde(skip)]
    before: Option<DeploymentRecord>,
}

impl Fleet {
    /// Every topic must be there, or be declared, so that it is made; or be made now.
    pub fn check_topics(&self, handler: &Handler, create: bool) -> Result<(), Error> {
        let declared = |name: &Arc<str>| handler.topics.iter().any(|spec| spec.name == *name);
        let admin = self.store.log().admin();
        let mut missing = Vec::new();
        for name in handler.from.iter().chain(&handler.to).filter(|name| !declared(name)) {
            if create {
                topics::ensure_exists(admin, &TopicSpec::named(name))?;
            } else if admin.topic(name)?.is_none() {
                missing.push(format!("{name:?}"));
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        Err(Error::Invalid(anyhow!(
            "handler {:?} names topics that do not exist in {}: {}; make them with `lockstep topic \
             create` or `lockstep deploy --create-topics`, or describe them under [[topics]] in \
             its manifest, then hosts make them",
            handler.name,
            self.store.log().describe(),
            missing.join(", ")
        )))
    }

    /// Makes what is in the parcel the active revision, unless it is; does not wait for the hosts.
    /// The parcel was checked before. Another newest revision than `base` came between; without
    /// `base` only one that comes meanwhile does.
    pub fn deploy(
        &self,
        name: &str,
        parcel: &Parcel,
        base: Option<u64>,
    ) -> Result<Shipment, Error> {
        let registry = self.store.registry()?;
        let nothing = Deployed::default();
        let before = registry.handler(name).unwrap_or(&nothing);
        let digest = Digest::of(parcel.component());
        let mut shipment = Shipment {
            name: name.to_owned(),
            revision: before.newest() + 1,
            digest: digest.to_string(),
            bytes: parcel.component().len() as u64,
            changed: true,
            changes: changes(before, parcel, digest),
            hosts: Vec::new(),
            late: Vec::new(),
            wanted: None,
            before: before.deployment.clone(),
        };
        if let Some(number) = is_active(before, parcel, digest) {
            (shipment.revision, shipment.changed) = (number, false);
            return Ok(shipment);
        }
        let who = self.operator();
        let revision = RevisionRecord {
            component: digest,
            bytes: shipment.bytes,
            manifest: parcel.manifest().to_owned(),
            deployed_at: who.now,
            deployed_by: who.by.clone(),
            signature: parcel.signature().map(ToString::to_string),
        };
        let operation = Operation::Deploy { revision, base: base.unwrap_or(before.newest()) };
        let plan = self.store.perform(name, &operation, &who, Some(parcel.component()))?;
        if let Some(wanted) = plan.deployment {
            shipment.revision = wanted.revision;
            shipment.wanted = Some(wanted);
        }
        Ok(shipment)
    }

    /// Waits until the hosts run what was deployed; goes back to what ran before when one of them
    /// cannot.
    pub fn roll_out(&self, shipment: &mut Shipment, patience: &Patience<'_>) -> Result<(), Error> {
        let Some(wanted) = &shipment.wanted else { return Ok(()) };
        match self.arrival(&shipment.name, Some(wanted), patience)? {
            Outcome::Arrived(hosts) => shipment.hosts = hosts,
            Outcome::Late(hosts, late) => (shipment.hosts, shipment.late) = (hosts, late),
            Outcome::Overtaken => return Err(self.overtaken(&shipment.name)),
            Outcome::Refused(reasons) => {
                let problem = self.take_back(shipment)?;
                return Err(Error::HostsRefuse { problem, reasons });
            }
        }
        Ok(())
    }

    /// What became of it.
    fn take_back(&self, shipment: &Shipment) -> Result<String, Error> {
        let Shipment { name, revision, before, .. } = shipment;
        let what = match before {
            Some(before) => format!("revision {} is active again", before.revision),
            None => "there is no earlier one, so it was taken back".to_owned(),
        };
        let operation = Operation::TakeBack { revision: *revision, before: before.clone() };
        match self.perform(name, &operation, None) {
            Ok(_) => {}
            Err(Error::Log(error)) => {
                let context = format!("failed to take back revision {revision}");
                return Err(Error::Log(error.context(context)));
            }
            Err(error) => return Err(error),
        }
        Ok(format!("revision {revision} of handler {name:?} cannot run everywhere; {what}"))
    }
}

/// The active revision, when it is just this.
fn is_active(before: &Deployed, parcel: &Parcel, digest: Digest) -> Option<u64> {
    let (number, active) = before.active()?;
    let runs = before.deployment.as_ref().is_some_and(|deployment| !deployment.paused);
    (runs && active.component == digest && active.manifest == parcel.manifest()).then_some(number)
}

/// What is different from the active revision, a line each.
fn changes(before: &Deployed, parcel: &Parcel, digest: Digest) -> Vec<String> {
    let Some((_, active)) = before.active() else { return Vec::new() };
    let mut changes = Vec::new();
    if active.component != digest {
        let (old, new) = (ByteSize(active.bytes), ByteSize(parcel.component().len() as u64));
        changes.push(format!("component: {old} → {new}"));
    }
    changes.extend(difference::of(&active.manifest, parcel.manifest()));
    changes
}
