//! The base tags as a Python dict, for measurements that show them.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwapOption;
use pyo3::prelude::*;
use pyo3::types::PyDict;

static BASE_TAGS: ArcSwapOption<Py<PyDict>> = ArcSwapOption::const_empty();
/// The address of the dict in force: its identity. 0 if there is none.
static ADDRESS: AtomicUsize = AtomicUsize::new(0);
/// Counts the changes.
static GENERATION: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// The dict of a generation. Finding it here is faster than by `BASE_TAGS`.
    static CACHED: RefCell<(usize, Option<Py<PyDict>>)> = const { RefCell::new((0, None)) };
}

pub(crate) fn set(py: Python<'_>, tags: Vec<(String, String)>) -> PyResult<()> {
    let dict = PyDict::new(py);
    for (name, value) in tags {
        dict.set_item(name, value)?;
    }
    replace(Some(dict.unbind()));
    Ok(())
}

pub(crate) fn clear() {
    replace(None);
}

fn replace(tags: Option<Py<PyDict>>) {
    ADDRESS.store(tags.as_ref().map_or(0, |tags| tags.as_ptr() as usize), Ordering::Release);
    BASE_TAGS.store(tags.map(Arc::new));
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

#[cold]
fn load(py: Python<'_>) -> Option<Py<PyDict>> {
    BASE_TAGS.load().as_ref().map(|tags| tags.clone_ref(py))
}

/// Whether these are the base tags in force, which the client adds to a line. The caller's
/// reference keeps the address from being used again.
#[inline]
pub(crate) fn is_in_force(tags: &Py<PyDict>) -> bool {
    ADDRESS.load(Ordering::Acquire) == tags.as_ptr() as usize
}
