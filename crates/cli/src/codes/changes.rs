//! The codes about how a sync finds changes.

use flow::{Code, Kind};

/// The log of something that has none.
pub static E0070_LOG_OF: Code = Code {
    id: "E0070",
    kind: Kind::Config,
    title: "`method: log` needs a PostgreSQL connection",
    cause: "The log method follows a replication slot of PostgreSQL; files and other warehouses have none.",
    remedy: "use `method: snapshot`, or `method: watermark` with a progress column",
};

/// Two readers of one slot.
pub static E0071_SLOT_TWICE: Code = Code {
    id: "E0071",
    kind: Kind::Config,
    title: "two syncs use one replication slot",
    cause: "A slot is moved on when its reader has settled what it told: what one sync has settled, the other would never see.",
    remedy: "give each sync a slot of its own; one publication can serve several",
};

/// Nothing to wait for.
pub static E0072_CONTINUOUS: Code = Code {
    id: "E0072",
    kind: Kind::Config,
    title: "`schedule.continuous` needs `method: log`",
    cause: "Only the log says that something changed. Without it, a run without an end would ask the warehouse the same again and again.",
    remedy: "use `schedule.every`, and a scheduler that runs the sync; or `method: log`",
};
