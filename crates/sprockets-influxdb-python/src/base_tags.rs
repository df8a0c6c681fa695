//! The base tags of the installed client as a Python dict, for measurements that show them.

use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::handle::installed;

/// Counts the changes.
static GENERATION: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// The dict of a generation. Finding it here is faster than by the client.
    static CACHED: RefCell<(usize, Option<Py<PyDict>>)> = const { RefCell::new((0, None)) };
}

/// Called when there is another installed client, or when it has other base tags.
pub(crate) fn changed() {
    GENERATION.fetch_add(1, Ordering::Release);
}

/// The base tags, not to be changed. `None` before there is a client.
#[inline]
pub(crate) fn base_tags(py: Python<'_>) -> Option<Py<PyDict>> {
    let generation = GENERATION.load(Ordering::Acquire);
    let cached = CACHED.try_with(|cached| {
        let mut cached = cached.try_borrow_mut().ok()?;
        if cached.0 != generation {
            *cached = (generation, load(py));
        }
        Some(cached.1.as_ref().map(|tags| tags.clone_ref(py)))
    });
    // There is no cache when the thread ends.
    cached.ok().flatten().unwrap_or_else(|| load(py))
}

/// Whether these are the base tags. `false` if that is not certain.
#[inline]
pub(crate) fn are(tags: &Py<PyDict>) -> bool {
    let generation = GENERATION.load(Ordering::Acquire);
    let are = CACHED.try_with(|cached| {
        let cached = cached.try_borrow().ok()?;
        Some(cached.0 == generation && cached.1.as_ref()?.is(tags))
    });
    are.ok().flatten().unwrap_or_default()
}

#[cold]
fn load(py: Python<'_>) -> Option<Py<PyDict>> {
    installed().as_ref().and_then(|client| client.base_tags(py))
}
