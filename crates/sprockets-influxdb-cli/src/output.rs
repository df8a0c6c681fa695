//! Everything that the command writes to standard output and standard error, except the progress
//! bar and the error for invalid arguments, which libraries write.
//!
//! Data may hold anything. On a terminal, and in messages, characters that control a terminal or
//! reorder its text are escaped. In files and pipes data is exact.

mod visible;

use std::io::{self, IsTerminal, Write};

use self::visible::Visible;
pub(crate) use self::visible::{style, visible};

/// Writes to standard output. A closed pipe is no error: its reader has seen enough.
pub(crate) fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let stdout = io::stdout().lock();
    let is_terminal = stdout.is_terminal();
    let mut out = io::BufWriter::new(stdout);
    let written = if is_terminal {
        let mut visible = Visible::new(&mut out);
        write(&mut visible).and_then(|()| visible.flush())
    } else {
        write(&mut out)
    };
    match written.and_then(|()| out.flush()) {
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
    let _ = writeln!(io::stderr(), "{}", visible(text));
}

/// Writes a question to standard error, without a line feed.
pub(crate) fn ask(question: &str) -> io::Result<()> {
    write!(io::stderr(), "{} ", visible(question))
}
