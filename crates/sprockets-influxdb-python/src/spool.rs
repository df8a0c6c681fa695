//! A summary of a spool's directory, for the status page.

use std::io;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use sprockets_influxdb::spool::Directory;

/// Number and size of files.
#[derive(Default)]
struct Files {
    count: usize,
    bytes: u64,
}

#[derive(Default)]
struct Summary {
    waiting: Files,
    /// Processes that live, and that have left something.
    alive: usize,
    dead: usize,
    damaged: Files,
    quarantine: Files,
    /// Time, database and reason.
    newest: Option<[String; 3]>,
}

impl Files {
    fn of(bytes: impl Iterator<Item = u64>) -> Self {
        bytes.fold(Self::default(), |all, bytes| Self {
            count: all.count + 1,
            bytes: all.bytes + bytes,
        })
    }

    fn write(&self, dict: &Bound<'_, PyDict>) -> PyResult<()> {
        dict.set_item("files", self.count)?;
        dict.set_item("bytes", self.bytes)
    }
}

impl Summary {
    fn of(directory: &str) -> io::Result<Self> {
        let directory = Directory::new(directory);
        let slots = directory.slots()?;
        let alive = slots.iter().filter(|slot| slot.is_alive).count();
        let files = slots.iter().flat_map(|slot| &slot.files);
        let quarantine = directory.quarantine()?;
        let newest = quarantine.last().and_then(|file| file.read().ok()?.pop());
        Ok(Self {
            waiting: Files::of(files.map(|file| file.bytes)),
            alive,
            dead: slots.len() - alive,
            damaged: Files::of(directory.damaged()?.iter().map(|file| file.bytes)),
            quarantine: Files::of(quarantine.iter().map(|file| file.bytes)),
            newest: newest.map(|entry| [entry.time, entry.database, entry.reason]),
        })
    }

    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let [dict, damaged, quarantine] = [(); 3].map(|()| PyDict::new(py));
        self.waiting.write(&dict)?;
        dict.set_item("alive", self.alive)?;
        dict.set_item("dead", self.dead)?;
        self.damaged.write(&damaged)?;
        self.quarantine.write(&quarantine)?;
        let newest = self.newest.as_ref().map(|[time, database, reason]| {
            let newest = PyDict::new(py);
            newest.set_item("time", time)?;
            newest.set_item("database", database)?;
            newest.set_item("reason", reason)?;
            Ok::<_, PyErr>(newest)
        });
        quarantine.set_item("newest", newest.transpose()?)?;
        dict.set_item("damaged", damaged)?;
        dict.set_item("quarantine", quarantine)?;
        Ok(dict)
    }
}

/// Looks into the directory of a spool, without the interpreter's lock.
///
/// :raises OSError: if it cannot be read
#[pyfunction]
pub(crate) fn summarize_spool<'py>(
    py: Python<'py>,
    directory: &str,
) -> PyResult<Bound<'py, PyDict>> {
    py.detach(|| Summary::of(directory))?.to_dict(py)
}
