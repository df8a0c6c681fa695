//! Calls of prepared series.

use std::ffi::{c_int, c_void};
use std::ptr::{eq, null_mut};
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use sprockets_influxdb as core;
use sprockets_influxdb::internal::{PreparedKey, memory, restart_as};

use super::call::{ARGUMENTS_OFFSET, attached, call_with, returned};
use super::cell::{GilCell, Owned};
use super::class::{Definition, Native, Special, allocate, call_of_pyo3, free, slot, state_of};
use super::object::{Object, lend, release};
use super::value::{is_text, text, write_prepared_field, write_prepared_tag, write_tag};
use crate::line::Line;
use crate::target::Target;
use crate::timestamp;

/// Calls with other keywords than those of so many places in the program are slower.
const MAX_LAYOUTS: usize = 4;
/// Sets of tags that are remembered for each of them.
const HEADS: usize = 128;
/// With more tags, or more bytes, a set is not remembered.
const MAX_TAGS: usize = 8;
const MAX_BYTES: usize = 2048;

static CLASS: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(null_mut());

/// A name that is neither a tag nor a field.
pub(crate) const TIMESTAMP: &str = "timestamp_ns";

/// Records measurements of one name, by keywords. Made by :func:`series`.
#[pyclass(frozen, subclass, module = "sprockets_influxdb")]
pub(crate) struct Series(());

/// What a series consists of.
pub(crate) struct State {
    pub(crate) target: Target,
    pub(crate) database: Py<PyAny>,
    pub(crate) name: Py<PyAny>,
    /// The names of the tags. The values are not used.
    pub(crate) tags: Py<PyDict>,
    /// Tags by name that every measurement has.
    pub(crate) bound: Vec<(Py<PyAny>, Py<PyAny>)>,
    /// What is known of calls.
    pub(crate) calls: GilCell<Calls>,
}

impl Native for Series {
    type State = State;
}

pub(super) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let doc = py.get_type::<Series>().getattr("__doc__")?.extract::<String>()?;
    let doc = std::ffi::CString::new(doc)?;
    let definition = Definition {
        name: c"sprockets_influxdb.Series",
        flags: ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_HAVE_GC,
        slots: vec![
            slot(ffi::Py_tp_call, call_of_pyo3::<Series>(py)),
            slot(ffi::Py_tp_traverse, traverse as *mut _),
            slot(ffi::Py_tp_dealloc, dealloc as *mut _),
            slot(ffi::Py_tp_free, ffi::PyObject_GC_Del as *mut _),
            slot(ffi::Py_tp_doc, doc.into_raw().cast()),
        ],
    };
    let class = definition.class::<Series>(py, Special::VectorCall)?;
    module.add("Series", &class)?;
    CLASS.store(class.into_ptr().cast(), Ordering::Relaxed);
    Ok(())
}

/// Makes a series with this state.
pub(crate) fn create(py: Python<'_>, state: State) -> PyResult<Bound<'_, Series>> {
    let class = CLASS.load(Ordering::Relaxed);
    // SAFETY: the class is that of the state, and the new reference is owned.
    unsafe {
        let object = allocate(class, Some(call), state);
        Ok(Bound::from_owned_ptr_or_err(py, object)?.cast_into_unchecked())
    }
}

/// Visits the client that the series keeps open. A client's attribute may be the series.
unsafe extern "C" fn traverse(this: Object, visit: ffi::visitproc, argument: *mut c_void) -> c_int {
    // SAFETY: CPython calls this for an instance of the class. Nothing is changed here.
    unsafe {
        let owner = match &(*state_of::<Series>(this)).target {
            Target::Own(_, Some(owner)) => visit(owner.as_ptr(), argument),
            _ => 0,
        };
        if owner != 0 { owner } else { visit(ffi::Py_TYPE(this).cast(), argument) }
    }
}

unsafe extern "C" fn dealloc(object: Object) {
    // SAFETY: CPython calls this with the lock, for an instance without references. As a heap type
    // has a reference from each of its instances, one is released.
    unsafe {
        ffi::PyObject_GC_UnTrack(object.cast());
        let class = ffi::Py_TYPE(object);
        // The state has references, which PyO3 releases at once only if it is attached. While the
        // interpreter ends it cannot be: then they stay.
        if Python::try_attach(|_| free::<<Series as Native>::State>(object)).is_none() {
            free::<<Series as Native>::State>(object);
        }
        release(class.cast());
    }
}

/// `series(**items)`.
unsafe extern "C" fn call(
    this: Object,
    arguments: *const Object,
    count: usize,
    keywords: Object,
) -> Object {
    let count = count & !ARGUMENTS_OFFSET;
    // SAFETY: CPython calls this with the lock, an instance of the class, and these arguments.
    unsafe {
        let added = attached(|py| {
            if count != 0 || keywords.is_null() {
                return None;
            }
            let state = &*state_of::<Series>(this);
            let mut calls = state.calls.if_free(py)?;
            let layout = calls.layout(py, state, keywords)?;
            state.target.if_ready(py, |client| {
                Line::with(|line| {
                    layout.begin(py, line, arguments)?;
                    for (place, key) in &layout.fields {
                        write_prepared_field(&mut line.core, key, *arguments.add(*place))?;
                    }
                    Some(returned(py, client.add(py, &line.core)))
                })
            })
        });
        added.unwrap_or_else(|| {
            let py = Python::assume_attached();
            let slot: ffi::ternaryfunc = std::mem::transmute(call_of_pyo3::<Series>(py));
            call_with(null_mut(), arguments, count as _, keywords, |positional, named| {
                slot(this, positional, named)
            })
        })
    }
}

/// What is known of the calls of a series.
#[derive(Default)]
pub(crate) struct Calls {
    layouts: Vec<Layout>,
    next: usize,
}

/// The keywords of a call: which tags and fields they are, at which places.
struct Layout {
    /// A tuple. Calls from one place of a program have the same one.
    keywords: Owned,
    /// Whether all keywords are tags or fields that can be prepared.
    is_prepared: bool,
    tags: Vec<(usize, Owned)>,
    fields: Vec<(usize, PreparedKey)>,
    /// Database, name, and the tags that are bound.
    start: core::Measurement,
    heads: Vec<Head>,
}

/// The start of a line with these tags.
#[derive(Default)]
struct Head {
    /// Of the tags that were not found here last.
    missed: usize,
    values: Vec<Owned>,
    line: Option<Box<core::Measurement>>,
}

impl Calls {
    /// The layout for these keywords. `None` if it is not prepared.
    ///
    /// # Safety
    ///
    /// The keywords are the tuple of a call, and the thread has the lock.
    #[inline]
    unsafe fn layout(
        &mut self,
        py: Python<'_>,
        state: &State,
        keywords: Object,
    ) -> Option<&mut Layout> {
        let is_it = |layout: &Layout| layout.keywords.bind(py).as_ptr() == keywords;
        let index = match self.layouts.iter().position(is_it) {
            Some(index) => index,
            // SAFETY: as above.
            None => unsafe { self.other_layout(py, state, keywords)? },
        };
        Some(&mut self.layouts[index]).filter(|layout| layout.is_prepared)
    }

    /// The layout of the same names in another tuple, or a new one.
    ///
    /// # Safety
    ///
    /// As for [`layout`](Self::layout).
    #[cold]
    unsafe fn other_layout(
        &mut self,
        py: Python<'_>,
        state: &State,
        keywords: Object,
    ) -> Option<usize> {
        // SAFETY: as above.
        let keywords = unsafe { lend(py, keywords) };
        let keywords = keywords.cast::<PyTuple>().ok()?;
        let has_same = |layout: &Layout| {
            layout.keywords.bind(py).cast::<PyTuple>().is_ok_and(|other| {
                other.len() == keywords.len()
                    && other.iter().zip(keywords.iter()).all(|(a, b)| a.is(&b))
            })
        };
        if let Some(index) = self.layouts.iter().position(has_same) {
            return Some(index);
        }
        let layout = Layout::new(py, state, &keywords);
        if self.layouts.len() < MAX_LAYOUTS {
            self.layouts.push(layout);
            return Some(self.layouts.len() - 1);
        }
        self.next = (self.next + 1) % MAX_LAYOUTS;
        self.layouts[self.next] = layout;
        Some(self.next)
    }
}

impl Layout {
    fn new(py: Python<'_>, state: &State, keywords: &Bound<'_, PyTuple>) -> Self {
        let mut layout = Self {
            keywords: Owned::new(keywords.as_any()),
            is_prepared: false,
            tags: Vec::new(),
            fields: Vec::new(),
            start: core::Measurement::new("", ""),
            heads: Vec::new(),
        };
        layout.is_prepared = layout.prepare(py, state, keywords).is_some();
        layout
    }

    fn prepare(
        &mut self,
        py: Python<'_>,
        state: &State,
        keywords: &Bound<'_, PyTuple>,
    ) -> Option<()> {
        let tags = state.tags.bind(py);
        // SAFETY: these objects live while they are read, and the thread has the lock.
        let text_of = |object: &Bound<'_, PyAny>| unsafe {
            is_text(object.as_ptr()).then(|| text(object.as_ptr())).flatten()
        };
        let database = state.database.bind(py);
        let database = if database.is_none() { "" } else { text_of(database)? };
        self.start.restart_at(database, text_of(state.name.bind(py))?, 0);
        for (name, value) in &state.bound {
            let key = PreparedKey::of_tag(text_of(name.bind(py))?);
            // SAFETY: as above.
            unsafe { write_prepared_tag(py, &mut self.start, &key, value.as_ptr())? };
        }
        for (place, name) in keywords.iter().enumerate() {
            let text = text_of(&name)?;
            if text == TIMESTAMP {
                return None;
            }
            if tags.contains(&name).ok()? {
                self.tags.push((place, Owned::new(&name)));
            } else {
                self.fields.push((place, PreparedKey::of_field(text)));
            }
        }
        if (1..=MAX_TAGS).contains(&self.tags.len()) {
            self.heads.resize_with(HEADS, Head::default);
        }
        Some(())
    }

    /// Begins a line with the tags of a call.
    ///
    /// # Safety
    ///
    /// The arguments are those of a call with these keywords, and the thread has the lock.
    #[inline]
    unsafe fn begin(
        &mut self,
        py: Python<'_>,
        line: &mut Line,
        arguments: *const Object,
    ) -> Option<()> {
        let now = timestamp::now();
        let mut hash = 0_usize;
        for (place, _) in &self.tags {
            // SAFETY: as above.
            let address = unsafe { *arguments.add(*place) } as usize;
            hash = (hash ^ address >> 4).wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as usize);
        }
        let index = hash >> (usize::BITS - HEADS.ilog2());
        let Some(head) = self.heads.get_mut(index) else {
            // SAFETY: as above.
            return unsafe { write_tags(py, &self.start, &self.tags, line, arguments, now) };
        };
        if let Some(known) = &head.line {
            let is_same = head.values.iter().zip(&self.tags).all(|(value, (place, _))| {
                // SAFETY: as above.
                eq(value.bind(py).as_ptr(), unsafe { *arguments.add(*place) })
            });
            if is_same {
                restart_as(&mut line.core, known, now);
                return Some(());
            }
        }
        // SAFETY: as above.
        unsafe {
            write_tags(py, &self.start, &self.tags, line, arguments, now)?;
            head.miss(py, hash, &self.tags, &line.core, arguments);
        }
        Some(())
    }
}

/// # Safety
///
/// As for [`Layout::begin`].
#[inline]
unsafe fn write_tags(
    py: Python<'_>,
    start: &core::Measurement,
    tags: &[(usize, Owned)],
    line: &mut Line,
    arguments: *const Object,
    now: i64,
) -> Option<()> {
    restart_as(&mut line.core, start, now);
    // SAFETY: as above.
    tags.iter().try_for_each(|(place, name)| unsafe {
        write_tag(py, line, name.bind(py).as_ptr(), *arguments.add(*place))
    })
}

impl Head {
    /// Remembers tags that were missed here twice in a row. Most that are seen once are not seen
    /// again.
    ///
    /// # Safety
    ///
    /// As for [`Layout::begin`]. The line has these tags only.
    unsafe fn miss(
        &mut self,
        py: Python<'_>,
        hash: usize,
        tags: &[(usize, Owned)],
        line: &core::Measurement,
        arguments: *const Object,
    ) {
        if std::mem::replace(&mut self.missed, hash) != hash || memory(line) > MAX_BYTES {
            return;
        }
        // SAFETY: as above. What could be written as a tag is plain, and so never changes.
        let value =
            |(place, _): &(usize, _)| unsafe { Owned::new(&lend(py, *arguments.add(*place))) };
        self.values = tags.iter().map(value).collect();
        self.line = Some(Box::new(line.clone()));
    }
}
