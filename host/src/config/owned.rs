//! Properties of librdkafka that Lockstep sets itself, because exactly-once hangs on them.

/// Why a property is refused, and what to do instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owned {
    /// Why Lockstep has to decide.
    pub(crate) reason: &'static str,
    /// What to write instead.
    pub(crate) instead: &'static str,
}

const REMOVE: &str = "remove it";

/// Whether this property with this value takes a decision away from Lockstep.
pub(crate) fn refusal(name: &str, value: &str) -> Option<Owned> {
    let (reason, instead) = match name {
        "group.id" => {
            ("every handler has its own group", "remove it, and set `group` in the handler.toml")
        }
        "group.instance.id"
        | "group.protocol"
        | "group.protocol.type"
        | "group.remote.assignor" => {
            ("workers join their groups in the one way that was proven safe", REMOVE)
        }
        "transactional.id" => (
            "every worker has its own, which must stay the same across restarts",
            "remove it, and set cluster_id and host_id in the host's configuration",
        ),
        "enable.auto.commit"
        | "auto.commit.enable"
        | "auto.commit.interval.ms"
        | "enable.auto.offset.store"
        | "offset.store.method" => {
            ("offsets are committed in the transaction of the outputs, and nowhere else", REMOVE)
        }
        "auto.offset.reset" => {
            ("every handler has its own", "remove it, and set `start` in the handler.toml")
        }
        "isolation.level" => ("handlers may see committed events only", REMOVE),
        "enable.idempotence" | "enable.gapless.guarantee" => {
            ("without idempotence there are no transactions", REMOVE)
        }
        "acks" | "request.required.acks" if !matches!(value, "all" | "-1") => {
            ("nothing acknowledged may be lost", "remove it, or use \"all\"")
        }
        "partition.assignment.strategy" => ("all members of a group must use the same one", REMOVE),
        "delivery.report.only.error" | "enable.partition.eof" => {
            ("it decides which reports the host gets", REMOVE)
        }
        "metadata.broker.list" => ("it is another name of a property", "use bootstrap.servers"),
        _ => return None,
    };
    Some(Owned { reason, instead })
}
