//! Names of tags or fields as they stand in a line, found by the identity of their strings.

use pyo3::prelude::*;
use pyo3::types::PyString;
use sprockets_influxdb::internal::PreparedKey;

use crate::value::text;

/// Number of names that are remembered.
const COUNT: usize = 256;

/// Longer names are not remembered, so that the memory is bounded.
const MAX_LENGTH: usize = 64;

type Slot = (Py<PyAny>, PreparedKey);

/// The names that a thread used last. Most are constants of a program: the same object each time.
pub(crate) struct PreparedKeys {
    slots: Box<[Option<Slot>]>,
    prepare: fn(&str) -> PreparedKey,
}

impl PreparedKeys {
    pub(crate) fn new(prepare: fn(&str) -> PreparedKey) -> Self {
        Self { slots: (0..COUNT).map(|_| None).collect(), prepare }
    }

    /// The key for a name. `None` for one that is not remembered.
    #[inline]
    pub(crate) fn find(&mut self, name: &Bound<'_, PyAny>) -> PyResult<Option<&PreparedKey>> {
        let address = name.as_ptr() as usize;
        // Objects are 16 bytes or more apart.
        let slot = (address >> 4 ^ address >> 12) % COUNT;
        // The reference held here keeps the address from being used again.
        let is_known = self.slots[slot].as_ref().is_some_and(|(known, _)| known.is(name));
        if !is_known && !self.remember(slot, name)? {
            return Ok(None);
        }
        Ok(self.slots[slot].as_ref().map(|(_, key)| key))
    }

    /// Whether the name is one that can be remembered.
    #[cold]
    fn remember(&mut self, slot: usize, name: &Bound<'_, PyAny>) -> PyResult<bool> {
        // Objects of other types may have another text the next time.
        let Ok(string) = name.cast_exact::<PyString>() else { return Ok(false) };
        let text = text(string)?;
        if text.len() > MAX_LENGTH {
            return Ok(false);
        }
        let new = (name.clone().unbind(), (self.prepare)(&text));
        if let Some((old, _)) = self.slots[slot].replace(new) {
            old.drop_ref(name.py());
        }
        Ok(true)
    }
}
