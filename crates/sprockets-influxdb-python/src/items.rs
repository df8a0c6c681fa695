//! Tags or fields of a measurement: a list of the items set, until Python asks for the dict.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::capi::cell::Owned;
use crate::handle::base_tags;
use crate::value::Plain;

/// Maximum length of a list. A program may set the tags of one measurement for as long as it runs.
const MAX_LIST: usize = 32;

/// Name and value.
pub(crate) type Item = (Owned, Owned);

/// Names and values. Most measurements are only set and added. For them a list is faster than a
/// dict.
pub(crate) struct Items {
    /// What was set, in that order. A name may occur several times: the last one counts. All names
    /// and values are plain, so that reading them runs no Python code. Empty if there is a dict.
    list: Vec<Item>,
    /// Whether the client adds its base tags to those of the list.
    has_base: bool,
    dict: Option<Dict>,
}

/// Items that Python may have changed.
pub(crate) struct Dict {
    pub(crate) items: Py<PyDict>,
    /// The base tags that were copied into `items`. A client adds its own base tags, but those that
    /// were removed from `items`. `None`: it adds none, as the program has assigned the dict.
    pub(crate) base: Option<Py<PyDict>>,
}

impl Items {
    pub(crate) fn none() -> Self {
        Self { list: Vec::with_capacity(8), has_base: false, dict: None }
    }

    /// Only the base tags, which the client adds.
    pub(crate) fn of_base_tags() -> Self {
        Self { has_base: true, ..Self::none() }
    }

    /// A copy of these base tags, of those for whose names `is_wanted` returns true.
    pub(crate) fn of_base_tags_where(
        base: Option<&Bound<'_, PyDict>>,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Self {
        let mut items = Self::none();
        for (name, value) in base.into_iter().flatten() {
            if name.cast::<PyString>().is_ok_and(|name| name.to_str().is_ok_and(&is_wanted)) {
                items.list.push((Owned::new(&name), Owned::new(&value)));
            }
        }
        items
    }

    /// The items assigned to an attribute: a dict is kept, any other mapping is copied.
    pub(crate) fn assigned(attribute: &str, value: &Bound<'_, PyAny>) -> PyResult<Self> {
        let items = dict_of(attribute, value)?.unbind();
        Ok(Self::of_dict(Dict { items, base: None }))
    }

    pub(crate) fn of_dict(dict: Dict) -> Self {
        Self { list: Vec::new(), has_base: false, dict: Some(dict) }
    }

    pub(crate) fn set(
        &mut self,
        name: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        if Plain::of(name).is_some() && Plain::of(value).is_some() {
            if let Some(list) = self.list_with_room() {
                list.push((Owned::new(name), Owned::new(value)));
                return Ok(());
            }
        }
        self.dict(name.py())?.set_item(name, value)
    }

    /// The list, if there is no dict.
    #[inline]
    pub(crate) fn as_list(&self) -> Option<&[Item]> {
        self.dict.is_none().then_some(&self.list)
    }

    /// The list, if there is no dict and another plain item fits.
    #[inline]
    pub(crate) fn list_with_room(&mut self) -> Option<&mut Vec<Item>> {
        (self.dict.is_none() && self.list.len() < MAX_LIST).then_some(&mut self.list)
    }

    /// Removes all items of the list but the first ones.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.list.truncate(len);
    }

    /// Whether the client adds its base tags to those of the list.
    #[inline]
    pub(crate) fn has_base(&self) -> bool {
        self.has_base
    }

    #[inline]
    pub(crate) fn as_dict(&self) -> Option<&Dict> {
        self.dict.as_ref()
    }

    /// The items as a dict, which holds them from now on.
    pub(crate) fn dict<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        if let Some(dict) = &self.dict {
            return Ok(dict.items.bind(py).clone());
        }
        let base = if self.has_base { base_tags(py) } else { None };
        let items = match &base {
            Some(base) => base.copy()?,
            None => PyDict::new(py),
        };
        for (name, value) in &self.list {
            items.set_item(name.bind(py), value.bind(py))?;
        }
        let base = base.or_else(|| self.has_base.then(|| PyDict::new(py)));
        self.dict = Some(Dict { items: items.clone().unbind(), base: base.map(Bound::unbind) });
        self.list.clear();
        Ok(items)
    }

    /// Removes everything, and keeps the memory. `has_base` as in [`of_base_tags`].
    ///
    /// [`of_base_tags`]: Self::of_base_tags
    #[inline]
    pub(crate) fn clear(&mut self, py: Python<'_>, has_base: bool) {
        self.list.clear();
        self.has_base = has_base;
        if let Some(Dict { items, base }) = self.dict.take() {
            items.drop_ref(py);
            if let Some(base) = base {
                base.drop_ref(py);
            }
        }
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
