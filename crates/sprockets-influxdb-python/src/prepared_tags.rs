//! Tags as they stand in a line, found by the identity of name and value.

use pyo3::prelude::*;
use sprockets_influxdb::internal::PreparedTag;

/// Number of tags that are remembered.
const COUNT: usize = 512;

/// Longer tags are not remembered, so that the memory is bounded.
const MAX_LENGTH: usize = 64;

/// How often a tag is missed in a row before it is remembered. A value that is a new object each
/// time is not worth it.
const MISSES: u8 = 4;

/// The tags that a thread uses again and again. Many values are constants of a program.
pub(crate) struct PreparedTags(Box<[Slot]>);

#[derive(Default)]
struct Slot {
    known: Option<(Py<PyAny>, Py<PyAny>, PreparedTag)>,
    /// The hash of what was missed here last, and how often in a row.
    missed: (usize, u8),
}

impl PreparedTags {
    pub(crate) fn new() -> Self {
        Self((0..COUNT).map(|_| Slot::default()).collect())
    }

    /// The tag of a name and a value.
    #[inline]
    pub(crate) fn find(
        &self,
        name: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
    ) -> Option<&PreparedTag> {
        // The references held here keep the addresses from being used again.
        let (known, of, tag) = self.0[hash(name, value) >> SHIFT].known.as_ref()?;
        (known.is(name) && of.is(value)).then_some(tag)
    }

    /// Notes that a tag was not found. `text` returns the texts of its name and its value, of which
    /// neither ever changes.
    #[inline]
    pub(crate) fn miss<'t>(
        &mut self,
        name: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
        texts: impl FnOnce() -> Option<(&'t str, &'t str)>,
    ) {
        let hash = hash(name, value);
        let slot = &mut self.0[hash >> SHIFT];
        let (last, count) = slot.missed;
        slot.missed = (hash, if last == hash { count + 1 } else { 1 });
        if slot.missed.1 >= MISSES {
            slot.missed.1 = 0;
            slot.remember(name, value, texts());
        }
    }
}

impl Slot {
    #[cold]
    fn remember(
        &mut self,
        name: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
        texts: Option<(&str, &str)>,
    ) {
        let texts = texts.filter(|(name, value)| name.len() + value.len() <= MAX_LENGTH);
        let Some(tag) = texts.and_then(|(name, value)| PreparedTag::new(name, value)) else {
            return;
        };
        let new = (name.clone().unbind(), value.clone().unbind(), tag);
        if let Some((old, of, _)) = self.known.replace(new) {
            old.drop_ref(name.py());
            of.drop_ref(name.py());
        }
    }
}

/// The highest bits of a hash are the index of a slot.
const SHIFT: u32 = usize::BITS - COUNT.ilog2();

#[inline]
fn hash(name: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> usize {
    // Objects are 16 bytes or more apart.
    let [name, value] = [name, value].map(|object| object.as_ptr() as usize >> 4);
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    (name.rotate_left(usize::BITS / 2) ^ value).wrapping_mul(FACTOR as usize)
}
