//! The oracle: which measurements each thread counts as accepted. It knows nothing of the spool.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// The journal of one thread, which numbers its measurements from 0. A number is recorded when the
/// system call that writes it has returned: then the kernel has it, even if the process dies.
pub(crate) struct Journal(File);

impl Journal {
    pub(crate) fn create(directory: &Path, writer: &str) -> io::Result<Self> {
        OpenOptions::new().append(true).create_new(true).open(directory.join(writer)).map(Self)
    }

    pub(crate) fn note(&mut self, number: u32) -> io::Result<()> {
        self.0.write_all(&number.to_le_bytes())
    }
}

/// How many numbers each writer has noted.
pub(crate) fn read(directory: &Path) -> BTreeMap<String, u32> {
    let mut journals = BTreeMap::new();
    for entry in fs::read_dir(directory).expect("journals") {
        let path = entry.expect("a journal").path();
        let bytes = fs::read(&path).expect("a journal");
        let mut noted = 0;
        for number in bytes.chunks_exact(4) {
            assert_eq!(number, u32::to_le_bytes(noted), "{}", path.display());
            noted += 1;
        }
        let writer = path.file_name().expect("a name").to_string_lossy().into_owned();
        journals.insert(writer, noted);
    }
    journals
}
