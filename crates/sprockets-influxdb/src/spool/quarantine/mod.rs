//! Lines that servers refused, with the server's reason: written by the client ([`Quarantine`]),
//! read and retried by operators ([`QuarantineFile`]).

mod reader;
mod writer;

pub use reader::{QuarantineClaim, QuarantineEntry, QuarantineFile};
pub(super) use writer::Quarantine;
