//! Tags or fields of a measurement: a list of the items set, until Python asks for the dict.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::base_tags::base_tags;
use crate::value::Plain;

/// Maximum length of a list. A program may set the tags of one measurement for as long as it runs.
const MAX_LIST: usize = 32;

/// Names and values. Most measurements are only set and added. For them a list is faster than a
/// dict.
pub(crate) enum Items {
    /// In the order in which they were set. A name may occur several times: the last one counts.
    /// All names and values are plain, so that reading them runs no Python code.
    List(Vec<(Py<PyAny>, Py<PyAny>)>),
    Dict(Py<PyDict>),
}

impl Items {
    /// No items, but room for some.
    pub(crate) fn none() -> Self {
        Self::List(Vec::with_capacity(8))
    }

    /// A copy of the base tags.
    pub(crate) fn of_base_tags(py: Python<'_>) -> Self {
        let mut list = Vec::with_capacity(8);
        if let Some(tags) = base_tags(py) {
            list.extend(tags.iter().map(|(name, value)| (name.unbind(), value.unbind())));
        }
        Self::List(list)
    }

    /// A copy of the base tags for whose names `is_wanted` returns true.
    pub(crate) fn of_base_tags_where(py: Python<'_>, is_wanted: impl Fn(&str) -> bool) -> Self {
        let mut list = Vec::new();
        for (name, value) in base_tags(py).iter().flatten() {
            if name.cast::<PyString>().is_ok_and(|name| name.to_str().is_ok_and(&is_wanted)) {
                list.push((name.unbind(), value.unbind()));
            }
        }
        Self::List(list)
    }

    /// The items assigned to an attribute: a dict is kept, any other mapping is copied.
    pub(crate) fn assigned(attribute: &str, value: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(dict) = value.cast::<PyDict>() {
            return Ok(Self::Dict(dict.clone().unbind()));
        }
        let copy = value.py().get_type::<PyDict>().call1((value,));
        match copy.and_then(|copy| Ok(copy.cast_into::<PyDict>()?)) {
            Ok(copy) => Ok(Self::Dict(copy.unbind())),
            Err(_) => {
                let shown = value.repr()?;
                Err(PyValueError::new_err(format!("{attribute} is {shown}: expected a dict")))
            }
        }
    }

    pub(crate) fn set(
        &mut self,
        name: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        match self {
            Self::List(list)
                if list.len() < MAX_LIST
                    && Plain::of(name).is_some()
                    && Plain::of(value).is_some() =>
            {
                list.push((name.clone().unbind(), value.clone().unbind()));
                Ok(())
            }
            _ => self.dict(name.py())?.set_item(name, value),
        }
    }

    /// The items as a dict, which holds them from now on.
    pub(crate) fn dict<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = match self {
            Self::Dict(dict) => return Ok(dict.bind(py).clone()),
            Self::List(list) => {
                let dict = PyDict::new(py);
                for (name, value) in &*list {
                    dict.set_item(name, value)?;
                }
                dict
            }
        };
        *self = Self::Dict(dict.clone().unbind());
        Ok(dict)
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
