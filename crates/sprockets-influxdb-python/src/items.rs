//! Tags or fields of a measurement: a list of the items set, until Python asks for the dict.

use std::cell::RefCell;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::base_tags::base_tags;
use crate::value::Plain;

/// Maximum length of a list. A program may set the tags of one measurement for as long as it runs.
const MAX_LIST: usize = 32;

/// Maximum number of vectors that a thread keeps for the next lists.
const MAX_SPARE: usize = 16;

thread_local! {
    /// Vectors of lists that ended. Using one again is faster than to allocate one.
    static SPARE: RefCell<Vec<Vec<Item>>> = const { RefCell::new(Vec::new()) };
}

/// Name and value.
type Item = (Py<PyAny>, Py<PyAny>);

/// Names and values. Most measurements are only set and added. For them a list is faster than a
/// dict.
pub(crate) enum Items {
    List(List),
    Dict(Dict),
}

/// Items that Python may have changed.
pub(crate) struct Dict {
    pub(crate) items: Py<PyDict>,
    /// The base tags that were copied into `items`. A client adds its own base tags, but those that
    /// were removed from `items`. `None`: it adds none, as the program has assigned the dict.
    pub(crate) base: Option<Py<PyDict>>,
}

/// What was set, in that order. All names and values are plain, so that reading them runs no Python
/// code.
pub(crate) struct List {
    /// Whether the client adds its base tags.
    pub(crate) has_base: bool,
    /// A name may occur several times: the last one counts.
    pub(crate) items: Vec<Item>,
}

impl List {
    fn new(has_base: bool) -> Self {
        let spare = SPARE.try_with(|spare| spare.try_borrow_mut().ok()?.pop());
        let items = spare.ok().flatten().unwrap_or_else(|| Vec::with_capacity(8));
        Self { has_base, items }
    }

    fn set(&mut self, name: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> bool {
        let fits =
            self.items.len() < MAX_LIST && Plain::of(name).is_some() && Plain::of(value).is_some();
        if fits {
            self.items.push((name.clone().unbind(), value.clone().unbind()));
        }
        fits
    }

    /// Sets all items of a dict, or none of them.
    fn extend(&mut self, dict: &Bound<'_, PyDict>) -> bool {
        let before = self.items.len();
        let fits = before + dict.len() <= MAX_LIST
            && dict.iter().all(|(name, value)| self.set(&name, &value));
        if !fits {
            self.items.truncate(before);
        }
        fits
    }

    /// The items after the base tags of the installed client.
    fn to_dict(&self, py: Python<'_>) -> PyResult<Dict> {
        let base = if self.has_base { base_tags(py) } else { None };
        let items = match &base {
            Some(base) => base.bind(py).copy()?,
            None => PyDict::new(py),
        };
        for (name, value) in &self.items {
            items.set_item(name, value)?;
        }
        let base = base.or_else(|| self.has_base.then(|| PyDict::new(py).unbind()));
        Ok(Dict { items: items.unbind(), base })
    }
}

impl Drop for List {
    fn drop(&mut self) {
        let mut items = std::mem::take(&mut self.items);
        items.clear();
        // There is no place for it when the thread ends. Then the vector is dropped.
        let _ = SPARE.try_with(|spare| {
            if let Some(mut spare) = spare.try_borrow_mut().ok().filter(|s| s.len() < MAX_SPARE) {
                spare.push(items);
            }
        });
    }
}

impl Items {
    pub(crate) fn none() -> Self {
        Self::List(List::new(false))
    }

    /// Only the base tags, which the client adds.
    pub(crate) fn of_base_tags() -> Self {
        Self::List(List::new(true))
    }

    /// A copy of these base tags, of those for whose names `is_wanted` returns true.
    pub(crate) fn of_base_tags_where(
        py: Python<'_>,
        base: Option<&Py<PyDict>>,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Self {
        let mut list = List::new(false);
        for (name, value) in base.iter().flat_map(|tags| tags.bind(py)) {
            if name.cast::<PyString>().is_ok_and(|name| name.to_str().is_ok_and(&is_wanted)) {
                list.items.push((name.unbind(), value.unbind()));
            }
        }
        Self::List(list)
    }

    /// Whether nothing was set, and nobody has the dict.
    pub(crate) fn are_unset(&self) -> bool {
        matches!(self, Self::List(list) if list.items.is_empty())
    }

    /// The items assigned to an attribute: a dict is kept, any other mapping is copied.
    pub(crate) fn assigned(attribute: &str, value: &Bound<'_, PyAny>) -> PyResult<Self> {
        let items = dict_of(attribute, value)?.unbind();
        Ok(Self::Dict(Dict { items, base: None }))
    }

    pub(crate) fn set(
        &mut self,
        name: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        if let Self::List(list) = self {
            if list.set(name, value) {
                return Ok(());
            }
        }
        self.dict(name.py())?.set_item(name, value)
    }

    /// Sets the items of a dict, if they fit into the list. Runs no Python code. Returns whether it
    /// did.
    pub(crate) fn extend(&mut self, items: &Bound<'_, PyAny>) -> bool {
        match (self, items.cast_exact::<PyDict>()) {
            (Self::List(list), Ok(dict)) => list.extend(dict),
            _ => false,
        }
    }

    /// The items as a dict, which holds them from now on.
    pub(crate) fn dict<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = match self {
            Self::Dict(dict) => return Ok(dict.items.bind(py).clone()),
            Self::List(list) => list.to_dict(py)?,
        };
        let items = dict.items.bind(py).clone();
        *self = Self::Dict(dict);
        Ok(items)
    }
}

impl Dict {
    pub(crate) fn clone_ref(&self, py: Python<'_>) -> Self {
        let base = self.base.as_ref().map(|base| base.clone_ref(py));
        Self { items: self.items.clone_ref(py), base }
    }

    /// A copy for another process: a base tag that was removed stays removed there.
    pub(crate) fn removed<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let Some(base) = &self.base else { return Ok(None) };
        let removed = PyDict::new(py);
        for name in base.bind(py).keys() {
            if !self.items.bind(py).contains(&name)? {
                removed.set_item(name, py.None())?;
            }
        }
        Ok(Some(removed))
    }
}

/// A dict as it is, any other mapping as a copy. `attribute` is for the error if it is neither.
pub(crate) fn dict_of<'py>(
    attribute: &str,
    value: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyDict>> {
    if let Ok(dict) = value.cast::<PyDict>() {
        return Ok(dict.clone());
    }
    let copy = value.py().get_type::<PyDict>().call1((value,));
    match copy.and_then(|copy| Ok(copy.cast_into::<PyDict>()?)) {
        Ok(copy) => Ok(copy),
        Err(_) => {
            let shown = value.repr()?;
            Err(PyValueError::new_err(format!("{attribute} is {shown}: expected a dict")))
        }
    }
}

/// Calls `take` with each item of a dict. Taking an item that is not plain may run Python code that
/// changes the dict. From the first such item on, this iterates over a copy.
pub(crate) fn each_of<'py>(
    dict: &Bound<'py, PyDict>,
    mut take: impl FnMut(&Bound<'py, PyAny>, &Bound<'py, PyAny>) -> PyResult<()>,
) -> PyResult<()> {
    let mut taken = 0;
    for (name, value) in dict {
        if Plain::of(&name).is_none() || Plain::of(&value).is_none() {
            break;
        }
        take(&name, &value)?;
        taken += 1;
    }
    if taken == dict.len() {
        return Ok(());
    }
    for item in dict.items().iter().skip(taken) {
        let (name, value) = item.extract::<(Bound<'py, PyAny>, Bound<'py, PyAny>)>()?;
        take(&name, &value)?;
    }
    Ok(())
}
