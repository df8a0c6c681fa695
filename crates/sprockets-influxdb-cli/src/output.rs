//! Everything that the command writes to standard output and standard error, except the progress
//! bar and the error for invalid arguments, which libraries write.

use std::io::{self, Write};

/// Writes to standard output. A closed pipe is no error: its reader has seen enough.
pub(crate) fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            // Discards the rest, which dropping the writer would try to write.
            let _ = out.into_parts();
            Ok(())
        }
        written => written,
    }
}

/// Writes a line to standard error.
pub(crate) fn message(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Writes a question to standard error, without a line feed.
pub(crate) fn ask(question: &str) -> io::Result<()> {
    write!(io::stderr(), "{question} ")
}
