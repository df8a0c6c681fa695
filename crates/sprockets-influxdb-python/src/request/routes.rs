//! Routes of an application that are found without a search.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use pyo3::prelude::*;
use pyo3::types::PyString;

use super::handled::Route;

/// Templates and handlers, by the `id()` of what a framework puts into a scope.
#[pyclass(frozen, module = "sprockets_influxdb._native")]
pub(crate) struct RouteTable {
    routes: HashMap<usize, Known, BuildHasherDefault<AddressHasher>>,
}

/// The template of a route, and the name of its handler.
type Known = (Py<PyString>, Option<Py<PyString>>);

#[pymethods]
impl RouteTable {
    #[new]
    fn new(routes: HashMap<usize, Known>) -> Self {
        Self { routes: routes.into_iter().collect() }
    }
}

impl RouteTable {
    /// The route that an object stands for.
    pub(super) fn find<'py>(&self, object: &Bound<'py, PyAny>) -> Option<Route<'py>> {
        let (template, handler) = self.routes.get(&(object.as_ptr() as usize))?;
        let py = object.py();
        let handler = handler.as_ref().map(|handler| handler.bind(py).clone());
        Some((template.bind(py).clone(), handler))
    }
}

/// Spreads addresses, of which the last bits are equal. The default hasher takes much longer.
#[derive(Default)]
struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_usize(usize::from(*byte)));
    }

    #[inline]
    fn write_usize(&mut self, address: usize) {
        self.0 = (self.0 ^ (address as u64 >> 4)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}
