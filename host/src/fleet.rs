//! What can be asked of the handlers of a fleet, and what can be done to them.
//!
//! The one place for this, whoever asks: reads the registry and what the hosts say of themselves,
//! makes changes in the name of an operator, and waits until they have arrived. Results are plain
//! data with a JSON form and a schema. Knows no arguments, no prompts, no tables and no HTTP.

mod arrival;
mod change;
mod deploy;
mod difference;
mod error;
mod history;
mod list;
mod offsets;
mod parcel;
mod partitions;
mod status;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

pub use arrival::Patience;
pub use change::Changed;
pub use deploy::Shipment;
pub use error::{Error, HostReason};
pub use history::{Range, RevisionLine};
pub use list::{FleetHandler, FleetState, Listed};
pub use offsets::Seek;
pub use parcel::Parcel;
pub use partitions::Partition;
pub use status::{OnHost, Status};

use crate::deployment::operation::{Operation, Operator, Plan};
use crate::deployment::store::Store;
use crate::event::now_ms;
use crate::stop::Stop;

/// The handlers of a fleet, as one operator has them before them. Cloning shares the log.
#[derive(Clone)]
pub struct Fleet {
    store: Store,
    /// A name for people, such as `ada@laptop`.
    by: Arc<str>,
    /// Ends every waiting.
    stop: Stop,
    /// The moment of the last change, in milliseconds since the Unix epoch.
    last: Arc<AtomicI64>,
}

impl Fleet {
    /// The fleet of this registry. What is waited for is waited for until `stop`.
    pub fn new(store: Store, by: impl Into<Arc<str>>, stop: Stop) -> Self {
        Self { store, by: by.into(), stop, last: Arc::default() }
    }

    /// When it ends to wait.
    pub fn stop(&self) -> &Stop {
        &self.stop
    }

    /// The same, in the name of another operator.
    #[must_use]
    pub fn in_the_name_of(&self, by: impl Into<Arc<str>>) -> Self {
        Self { by: by.into(), ..self.clone() }
    }

    /// The registry.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Does something to a handler, and does not wait for the hosts.
    fn perform(
        &self,
        name: &str,
        operation: &Operation,
        component: Option<&[u8]>,
    ) -> Result<Plan, Error> {
        Ok(self.store.perform(name, operation, &self.operator(), component)?)
    }

    /// Who does something now. Moment and name together name one change, so no two of them are
    /// made at the same moment.
    fn operator(&self) -> Operator {
        let mut now = now_ms();
        let later = |last: i64| {
            now = now_ms().max(last.saturating_add(1));
            Some(now)
        };
        // It always says what the next moment is.
        let _ = self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, later);
        Operator { by: self.by.to_string(), now }
    }
}

/// A point in time for people, in UTC and to the second.
fn time(ms: i64) -> String {
    let since = Duration::from_millis(u64::try_from(ms).unwrap_or_default());
    humantime::format_rfc3339_seconds(UNIX_EPOCH + since).to_string()
}
