//! Routes of an application that are found again without a search.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::handled::Route;
use crate::capi::cell::{GilCell, Owned};
use crate::capi::read::{as_string, find};

/// Templates and handlers, by the `id()` of what a framework puts into a scope.
#[pyclass(frozen, module = "sprockets_influxdb._native")]
pub(crate) struct RouteTable {
    routes: HashMap<usize, Known, BuildHasherDefault<AddressHasher>>,
}

/// As [`Route`], as Python passes it.
pub(super) type NamedRoute<'py> = (Bound<'py, PyString>, Option<Bound<'py, PyString>>);

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
    pub(super) fn find(&self, object: &Bound<'_, PyAny>) -> Option<Route> {
        self.routes.get(&(object.as_ptr() as usize)).map(|known| route_of(known, object.py()))
    }
}

/// The routes of a Flask application.
#[pyclass(frozen, module = "sprockets_influxdb._native")]
pub(crate) struct FlaskRoutes(GilCell<Application>);

struct Application {
    application: Option<Owned>,
    /// Returns rule, view and route of an environment, or `None`.
    search: Option<Owned>,
    /// By the `id()` of a rule, which is kept, so that no other object gets this `id()`.
    known: HashMap<usize, KnownRule, BuildHasherDefault<AddressHasher>>,
}

struct KnownRule {
    rule: Py<PyAny>,
    view: Py<PyAny>,
    route: Known,
}

#[pymethods]
impl FlaskRoutes {
    /// :param search: returns rule, view and route of an environment, or ``None``
    #[new]
    fn new(application: Bound<'_, PyAny>, search: Bound<'_, PyAny>) -> Self {
        let (application, search) = (Some(application.into()), Some(search.into()));
        Self(GilCell::new(Application { application, search, known: HashMap::default() }))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let Some(own) = self.0.visited() else { return Ok(()) };
        visit.call(own.application.as_ref().map(Owned::visited))?;
        visit.call(own.search.as_ref().map(Owned::visited))?;
        own.known.values().try_for_each(|known| {
            visit.call(&known.rule)?;
            visit.call(&known.view)
        })
    }

    fn __clear__(&self) {
        let parts = self.0.cleared().map(|mut own| {
            (own.application.take(), own.search.take(), std::mem::take(&mut own.known))
        });
        // Other code may run when they are dropped.
        drop(parts);
    }
}

impl FlaskRoutes {
    /// The route of the request in an environment.
    pub(super) fn find(
        this: &Bound<'_, Self>,
        environ: &Bound<'_, PyDict>,
    ) -> PyResult<Option<Route>> {
        if let Some(known) = Self::known(this, environ)? {
            return Ok(Some(known));
        }
        // PyO3 releases what is replaced at once only if it is attached.
        Python::attach(|_| Self::search(this, environ))
    }

    #[cold]
    fn search(this: &Bound<'_, Self>, environ: &Bound<'_, PyDict>) -> PyResult<Option<Route>> {
        let py = this.py();
        let search = this.get().0.borrow(py)?.search.as_ref().map(|search| search.clone_ref(py));
        let Some(search) = search else { return Ok(None) };
        let found = search.bind(py).call1((environ,))?;
        let found: Option<(Bound<'_, PyAny>, Bound<'_, PyAny>, Known)> = found.extract()?;
        let Some((rule, view, route)) = found else { return Ok(None) };
        let found = route_of(&route, py);
        let key = rule.as_ptr() as usize;
        let known = KnownRule { rule: rule.unbind(), view: view.unbind(), route };
        let before = this.get().0.borrow_mut(py)?.known.insert(key, known);
        // Other code may run when it is dropped.
        drop(before);
        Ok(Some(found))
    }

    /// The route, if its rule is known and has the same view.
    fn known(this: &Bound<'_, Self>, environ: &Bound<'_, PyDict>) -> PyResult<Option<Route>> {
        let py = this.py();
        let attribute = |object: &Bound<'_, PyAny>, name| object.getattr(name).map(Owned::from);
        let request = find(environ, intern!(py, "werkzeug.request"));
        let request = request.filter(|request| !request.bind(py).is_none());
        let Some(request) = request else { return Ok(None) };
        let rule = attribute(request.bind(py), intern!(py, "url_rule"))?;
        let rule = rule.bind(py);
        if rule.is_none() {
            return Ok(None);
        }
        let own = &this.get().0;
        let application = own.borrow(py)?.application.as_ref().map(|own| own.clone_ref(py));
        let Some(application) = application else { return Ok(None) };
        let views = attribute(application.bind(py), intern!(py, "view_functions"))?;
        let Ok(views) = views.bind(py).cast_exact::<PyDict>() else { return Ok(None) };
        let name = attribute(rule, intern!(py, "endpoint"))?;
        let Some(view) = as_string(name.bind(py)).and_then(|name| find(views, name)) else {
            return Ok(None);
        };
        let own = own.borrow(py)?;
        let known = own.known.get(&(rule.as_ptr() as usize));
        let known = known.filter(|known| known.view.is(view.bind(py)));
        Ok(known.map(|known| route_of(&known.route, py)))
    }
}

fn route_of((template, handler): &Known, py: Python<'_>) -> Route {
    (Owned::new(template.bind(py)), handler.as_ref().map(|handler| Owned::new(handler.bind(py))))
}

pub(super) fn owned((template, handler): NamedRoute<'_>) -> Route {
    (template.into(), handler.map(Owned::from))
}

/// Spreads addresses, of which the last bits are equal. The default hasher takes much longer. A map
/// uses the first and the last bits.
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
        self.0.rotate_left(32)
    }
}
