//! The largest bodies that are taken, learnt from 413 replies. The sender takes batches within them
//! (`sender`), and lowers one where it halves a batch (`sender/failures`).
//!
//! - A limit of the server's holds for every database. What answers before the server may refuse
//!   bodies for one database only, so its limit holds for that database.
//! - A limit is probed upwards, so that a passing 413 does not keep bodies small.

use std::collections::HashMap;
use std::time::Duration;

/// No smaller limit is learnt, in bytes. A 413 to less is not about the size, and every later batch
/// would pay.
pub(super) const MIN_LIMIT: usize = 4 * 1024;

/// A limit beyond this is none: no batch is larger.
const MAX_LIMIT: usize = 64 << 20;

/// Bodies of about the limit that have to be delivered before it is doubled.
const FIRST_PROBE: u32 = 4;

/// The same, after probes that were rejected.
const MAX_PROBE: u32 = 4096;

/// After this time the limit is probed even if fewer bodies were delivered.
const PROBE_INTERVAL: Duration = Duration::from_secs(10 * 60);

/// Maximum number of databases whose limits are known. Beyond it, all are forgotten.
const MAX_DATABASES: usize = 1_000;

/// The limits of the server, and of what answers before it.
#[derive(Debug, Default)]
pub(super) struct BodyLimits {
    server: BodyLimit,
    /// Databases without an entry have no limit of their own.
    databases: HashMap<String, BodyLimit>,
}

#[derive(Debug)]
struct BodyLimit {
    /// In bytes, before compression.
    bytes: usize,
    /// The largest body that was delivered since one of its size was rejected.
    taken: usize,
    /// Bodies of about the limit that were delivered since it changed.
    delivered: u32,
    /// So many of them double the limit.
    needed: u32,
    /// Whether the limit was doubled, and no larger body was delivered since.
    is_probing: bool,
    changed_at: Duration,
}

impl Default for BodyLimit {
    fn default() -> Self {
        Self {
            bytes: usize::MAX,
            taken: 0,
            delivered: 0,
            needed: FIRST_PROBE,
            is_probing: false,
            changed_at: Duration::ZERO,
        }
    }
}

impl BodyLimits {
    /// The largest body for this database, in bytes.
    pub(super) fn bytes(&self, database: &str) -> usize {
        let of_database = self.databases.get(database).map_or(usize::MAX, |limit| limit.bytes);
        self.server.bytes.min(of_database)
    }

    /// A body of this many bytes was too large, for the server or for what answers before it.
    /// Returns the new limit, if that is lower than any before.
    pub(super) fn lower(
        &mut self,
        database: &str,
        is_server: bool,
        too_large: usize,
        now: Duration,
    ) -> Option<usize> {
        if is_server {
            return self.server.lower(too_large, now);
        }
        if !self.databases.contains_key(database) && self.databases.len() >= MAX_DATABASES {
            self.databases.clear();
        }
        self.databases.entry(database.to_owned()).or_default().lower(too_large, now)
    }

    /// A body of this many bytes was delivered.
    pub(super) fn record_delivery(&mut self, database: &str, bytes: usize, now: Duration) {
        self.server.record_delivery(bytes, now);
        if let Some(limit) = self.databases.get_mut(database) {
            limit.record_delivery(bytes, now);
        }
    }
}

impl BodyLimit {
    /// A body of this many bytes was too large. Returns the new limit, if that is lower than any
    /// before.
    fn lower(&mut self, too_large: usize, now: Duration) -> Option<usize> {
        if too_large <= self.taken {
            self.taken = 0;
        }
        let limit = too_large.div_ceil(2).max(self.taken).max(MIN_LIMIT);
        if limit >= self.bytes {
            return None;
        }
        let was_probing = std::mem::take(&mut self.is_probing);
        if was_probing {
            self.needed = (self.needed * 4).min(MAX_PROBE);
        }
        self.set(limit, now);
        (!was_probing).then_some(limit)
    }

    /// A body of this many bytes was delivered.
    fn record_delivery(&mut self, bytes: usize, now: Duration) {
        if self.bytes == usize::MAX {
            return;
        }
        if bytes > self.taken {
            if self.is_probing && self.taken > 0 {
                self.is_probing = false;
                self.needed = FIRST_PROBE;
            }
            self.taken = bytes;
        }
        // Batches are cut in halves until they fit.
        if bytes < self.bytes / 3 {
            return;
        }
        self.delivered += 1;
        let is_due = self.delivered >= self.needed || now >= self.changed_at + PROBE_INTERVAL;
        if is_due {
            self.is_probing = true;
            let limit = self.bytes * 2;
            self.set(if limit > MAX_LIMIT { usize::MAX } else { limit }, now);
        }
    }

    fn set(&mut self, limit: usize, now: Duration) {
        self.bytes = limit;
        self.delivered = 0;
        self.changed_at = now;
    }
}
