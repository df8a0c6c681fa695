//! The largest body that the server takes, learnt from its 413 replies.

/// No smaller limit is learnt. A 413 to less is not about the size, and every later batch would
/// pay.
const MIN_LIMIT: usize = 16 * 1024;

#[derive(Debug)]
pub(super) struct BodyLimit {
    /// In bytes, before compression.
    bytes: usize,
}

impl Default for BodyLimit {
    fn default() -> Self {
        Self { bytes: usize::MAX }
    }
}

impl BodyLimit {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// A body of this many bytes was too large. Returns the new limit, if that lowers it.
    pub(super) fn lower(&mut self, too_large: usize) -> Option<usize> {
        let limit = too_large.div_ceil(2).max(MIN_LIMIT);
        let is_lower = limit < self.bytes;
        self.bytes = self.bytes.min(limit);
        is_lower.then_some(limit)
    }
}
