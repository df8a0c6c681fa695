//! The quarantine: lines that servers refused, each with the server's reason. The client writes it
//! ([`Quarantine`]); operators read it, edit it, and retry its lines ([`QuarantineFile`]).

mod entry;
mod reader;
mod writer;

pub use entry::QuarantineEntry;
pub use reader::{QuarantineClaim, QuarantineFile};
pub(super) use writer::Quarantine;
