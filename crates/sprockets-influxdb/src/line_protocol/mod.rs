//! Line protocol that exists already: in files, and in the buffer's batches.
//!
//! The lexer knows escapes and strings. The splitter finds where lines end, the reader cuts a
//! stream into lines, and [`RawLine`] validates one line, so that a line which goes into a batch
//! cannot damage its neighbours. Where servers differ, validation is lenient.

pub(crate) mod lexer;
mod raw_line;
mod reader;
pub(crate) mod split;
mod validate;

pub use raw_line::RawLine;
pub use reader::{LineReader, SourceLine};
