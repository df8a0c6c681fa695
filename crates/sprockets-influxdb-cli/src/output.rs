//! Everything that the command writes to standard output and standard error, except the progress
//! bar and the error for invalid arguments, which libraries write.
//!
//! Data may hold anything. On a terminal, and in messages, characters that control a terminal or
//! reorder its text are escaped. In files and pipes data is exact. Names of files are escaped
//! everywhere but in JSON.

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

/// Writes a line to standard error. Line feeds in it are escaped, as data may have them.
pub(crate) fn message(text: &str) {
    let _ = writeln!(io::stderr(), "{}", visible(text).replace('\n', "\\u{a}"));
}

/// Writes a line of data, in which a line feed within a string is escaped on terminals.
pub(crate) fn write_data(out: &mut dyn Write, line: &[u8]) -> io::Result<()> {
    if line.contains(&b'\n') && io::stdout().is_terminal() {
        let line = String::from_utf8_lossy(line).replace('\n', "\\u{a}");
        return writeln!(out, "{line}");
    }
    out.write_all(line)?;
    out.write_all(b"\n")
}

/// Writes a question to standard error, without a line feed.
pub(crate) fn ask(question: &str) -> io::Result<()> {
    write!(io::stderr(), "{} ", visible(question))
}
