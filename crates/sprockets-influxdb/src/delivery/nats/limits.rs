//! What the connected server takes, and how its streams treat a repeated message.

use async_nats::ServerInfo;

/// What a server takes in one message, unless it says otherwise.
const DEFAULT_PAYLOAD: usize = 1 << 20;

/// The first version whose replicas all drop the same repeats.
const FIRST_TO_AGREE: [u64; 3] = [2, 10, 14];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// The largest message, in bytes.
    pub(super) max_payload: usize,
    /// Whether a stream may look at message ids.
    ///
    /// In older clusters each replica looks an id up by itself. A replica that was started again
    /// has forgotten the ids of messages that a work queue no longer stores. It stores a repeat
    /// that the others drop, and numbers messages otherwise from then on. An acknowledgement then
    /// removes another message there, which is lost if that replica becomes the leader.
    pub(super) drops_repeats: bool,
}

impl Limits {
    pub(super) fn of(server: &ServerInfo) -> Self {
        let is_alone = server.cluster.is_none();
        let drops_repeats = is_alone || is_at_least(&server.version, FIRST_TO_AGREE);
        Self { max_payload: server.max_payload, drops_repeats }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_payload: DEFAULT_PAYLOAD, drops_repeats: true }
    }
}

/// False for a version that is none.
fn is_at_least(version: &str, first: [u64; 3]) -> bool {
    // Without what follows, as in `2.11.0-RC.1`.
    let release = version.split(['-', '+']).next().unwrap_or_default();
    let mut numbers = release.trim_start_matches('v').split('.').map(str::parse);
    let mut next = || numbers.next()?.ok();
    match (next(), next(), next()) {
        (Some(major), Some(minor), Some(patch)) => [major, minor, patch] >= first,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_drop_repeats_from_a_version_on() {
        let limits = |version: &str, cluster: Option<&str>| {
            let cluster = cluster.map(str::to_owned);
            let version = version.to_owned();
            Limits::of(&ServerInfo { version, cluster, ..ServerInfo::default() })
        };
        for version in ["2.9.10", "2.10.13", "2.10.9-RC.1", "1.99.99", "", "next", "2.11"] {
            assert!(!limits(version, Some("c")).drops_repeats, "{version}");
            assert!(limits(version, None).drops_repeats, "{version}");
        }
        for version in ["2.10.14", "v2.10.29", "2.11.0-RC.1", "2.12.0+local", "3.0.0"] {
            assert!(limits(version, Some("c")).drops_repeats, "{version}");
        }
        assert!(!limits("99999999999999999999.0.0", Some("c")).drops_repeats);
    }
}
