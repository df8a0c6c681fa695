//! The quarantine: lines that servers rejected, each with the server's reason. The client writes it
//! ([`Quarantine`]); operators read it, edit it, and retry its lines ([`QuarantineFile`]).

mod entry;
mod name;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use entry::QuarantineEntry;
pub(super) use name::is_quarantine_file;
pub use reader::{QuarantineClaim, QuarantineFile};
pub(super) use writer::Quarantine;
