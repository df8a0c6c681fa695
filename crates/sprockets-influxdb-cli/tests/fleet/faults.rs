//! What happens to a fleet.

/// One fault, and what ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The server that leads the stream is killed and started again.
    LeaderKilled,
    /// All servers but one are killed: there is no quorum until they are back.
    QuorumLost,
    /// The database is killed and started again.
    InfluxdKilled,
    /// The database is frozen for a while.
    InfluxdFrozen,
    /// A forwarder is killed while the database is frozen, and another one is started.
    ForwarderKilled,
    /// A publishing process with a spool is killed, and another one is started.
    PublisherKilled,
}

impl Fault {
    pub(crate) const ALL: [Self; 6] = [
        Self::LeaderKilled,
        Self::QuorumLost,
        Self::InfluxdKilled,
        Self::InfluxdFrozen,
        Self::ForwarderKilled,
        Self::PublisherKilled,
    ];
}
