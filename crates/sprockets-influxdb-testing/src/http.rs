//! The part of HTTP/1.1 that the server needs, on a blocking socket. A read takes only the
//! requested part, and leaves its last byte in the socket until the next read. Linux resets a
//! connection that is closed with unread bytes, so [`Fault::reset`](super::Fault::reset) needs no
//! `unsafe`.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use percent_encoding::percent_decode_str;

const MAX_HEAD: usize = 64 * 1024;
const MAX_HEADERS: usize = 100;
const MAX_CHUNK_LINE: usize = 4 * 1024;
/// The first byte of a TLS connection.
const TLS_HANDSHAKE: u8 = 0x16;

/// A connection to one client. Dropping it with an unread byte resets it; [`Connection::close`]
/// closes it cleanly.
pub(crate) struct Connection {
    stream: Arc<TcpStream>,
    /// Whether the last byte of the last read is still in the socket.
    held: bool,
}

impl Connection {
    pub(crate) fn new(stream: Arc<TcpStream>) -> Self {
        Self { stream, held: false }
    }

    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<()> {
        (&*self.stream).write_all(bytes)
    }

    /// Tells a client that waits for it to send the body.
    pub(crate) fn proceed(&self, head: &mut Head) -> io::Result<()> {
        match std::mem::take(&mut head.expects_continue) {
            true => self.write(b"HTTP/1.1 100 Continue\r\n\r\n"),
            false => Ok(()),
        }
    }

    /// Closes it cleanly: the client gets everything that was written.
    pub(crate) fn close(mut self) {
        // The client may be gone already.
        let _ = self.release();
    }

    /// Closes it for writing.
    pub(crate) fn close_write_side(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// Reads and discards until the client closes.
    pub(crate) fn drain(&mut self) -> io::Result<()> {
        self.release()?;
        io::copy(&mut &*self.stream, &mut io::sink()).map(drop)
    }

    fn read_through(&mut self, end: &[u8], limit: usize) -> io::Result<Vec<u8>> {
        self.release()?;
        let mut bytes = Vec::new();
        let mut window = [0; 4096];
        while bytes.len() <= limit {
            let ahead = self.peek(&mut window)?;
            let before = bytes.len();
            bytes.extend_from_slice(&window[..ahead]);
            let from = before.saturating_sub(end.len() - 1);
            let found = bytes[from..].windows(end.len()).position(|part| part == end);
            let Some(position) = found else {
                self.consume(ahead)?;
                continue;
            };
            bytes.truncate(from + position + end.len());
            self.consume(bytes.len() - before - 1)?;
            self.held = true;
            return Ok(bytes);
        }
        Err(malformed("too long"))
    }

    fn read_exactly(&mut self, length: usize, into: &mut Vec<u8>) -> io::Result<()> {
        self.release()?;
        let Some(without_last) = length.checked_sub(1) else { return Ok(()) };
        let read = (&*self.stream).take(without_last as u64).read_to_end(into)?;
        if read < without_last {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let mut last = [0];
        self.peek(&mut last)?;
        into.push(last[0]);
        self.held = true;
        Ok(())
    }

    /// The next byte, which stays in the socket.
    fn next_byte(&mut self) -> io::Result<u8> {
        self.release()?;
        let mut byte = [0];
        self.peek(&mut byte)?;
        Ok(byte[0])
    }

    fn peek(&self, window: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.stream.peek(window) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    fn release(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.held) { self.consume(1) } else { Ok(()) }
    }

    fn consume(&self, length: usize) -> io::Result<()> {
        let length = length as u64;
        io::copy(&mut (&*self.stream).take(length), &mut io::sink()).map(drop)
    }
}

/// The request line and headers.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) keep_alive: bool,
    pub(crate) expects_continue: bool,
    pub(crate) framing: Framing,
}

/// How the end of a body is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Framing {
    Length(usize),
    Chunked,
}

impl Head {
    /// The head of the next request. The error is [`ErrorKind::InvalidData`] if it is not HTTP.
    pub(crate) fn read(connection: &mut Connection) -> io::Result<Self> {
        if connection.next_byte()? == TLS_HANDSHAKE {
            // The client waits for a reply to its handshake, and may never end the head.
            return Err(malformed("TLS on a port without"));
        }
        let bytes = connection.read_through(b"\r\n\r\n", MAX_HEAD)?;
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut parsed = httparse::Request::new(&mut headers);
        parsed.parse(&bytes).map_err(malformed)?;
        let target = parsed.path.unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let headers = parsed.headers.iter();
        let headers = headers.map(|header| (header.name.to_owned(), text(header.value)));
        let mut head = Self {
            method: parsed.method.unwrap_or_default().to_owned(),
            path: percent_decode_str(path).decode_utf8_lossy().into_owned(),
            query: query.split('&').filter(|pair| !pair.is_empty()).map(decode_pair).collect(),
            headers: headers.collect(),
            keep_alive: parsed.version == Some(1),
            expects_continue: false,
            framing: Framing::Length(0),
        };
        head.keep_alive &= !head.header_has("connection", "close");
        head.expects_continue = head.header_has("expect", "100-continue");
        head.framing = head.find_framing()?;
        Ok(head)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, |key| key.eq_ignore_ascii_case(name))
    }

    /// The decoded query parameter, unless it is absent or empty.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        find(&self.query, |key| key == name).filter(|value| !value.is_empty())
    }

    fn header_has(&self, name: &str, token: &str) -> bool {
        let tokens = self.header(name).unwrap_or_default().split(',');
        tokens.map(str::trim).any(|found| found.eq_ignore_ascii_case(token))
    }

    fn find_framing(&self) -> io::Result<Framing> {
        match (self.header("transfer-encoding"), self.header("content-length")) {
            (Some(_), _) if self.header_has("transfer-encoding", "chunked") => Ok(Framing::Chunked),
            (Some(other), _) => Err(malformed(format!("unsupported transfer encoding: {other}"))),
            (None, Some(length)) => Ok(Framing::Length(length.parse().map_err(malformed)?)),
            (None, None) => Ok(Framing::Length(0)),
        }
    }

    /// The body as it was sent, or `None` if it is longer than the limit; then some of it is
    /// unread.
    pub(crate) fn read_body(
        &self,
        connection: &mut Connection,
        limit: usize,
    ) -> io::Result<Option<Vec<u8>>> {
        let mut body = Vec::new();
        match self.framing {
            Framing::Length(length) if length > limit => return Ok(None),
            Framing::Length(0) => {}
            Framing::Length(length) => connection.read_exactly(length, &mut body)?,
            Framing::Chunked => {
                loop {
                    let size = read_chunk_size(connection)?;
                    if size == 0 {
                        break;
                    }
                    if size > limit - body.len() {
                        return Ok(None);
                    }
                    connection.read_exactly(size, &mut body)?;
                    connection.read_through(b"\r\n", 2)?;
                }
                while connection.read_through(b"\r\n", MAX_CHUNK_LINE)?.len() > 2 {}
            }
        }
        Ok(Some(body))
    }

    /// Reads half of the body, or of its first chunk.
    pub(crate) fn read_half(&self, connection: &mut Connection) -> io::Result<()> {
        let length = match self.framing {
            Framing::Length(length) => length,
            Framing::Chunked => read_chunk_size(connection)?,
        };
        match length {
            0 => Ok(()),
            length => connection.read_exactly((length / 2).max(1), &mut Vec::new()),
        }
    }
}

fn read_chunk_size(connection: &mut Connection) -> io::Result<usize> {
    let line = connection.read_through(b"\r\n", MAX_CHUNK_LINE)?;
    let line = std::str::from_utf8(&line).map_err(malformed)?;
    let digits = line.split(';').next().unwrap_or_default().trim();
    usize::from_str_radix(digits, 16).map_err(malformed)
}

fn decode_pair(pair: &str) -> (String, String) {
    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
    let decode = |text: &str| {
        let spaced = text.replace('+', " ");
        percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
    };
    (decode(key), decode(value))
}

/// The first value whose name matches.
pub(crate) fn find(pairs: &[(String, String)], fits: impl Fn(&str) -> bool) -> Option<&str> {
    pairs.iter().find(|(name, _)| fits(name)).map(|(_, value)| value.as_str())
}

fn malformed(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, reason)
}

/// A reply.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Where it is not the usual reason phrase.
    pub(crate) reason: Option<&'static str>,
    /// Values are bytes because influxd 1.x copies parts of rejected lines into them.
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

/// What becomes of a connection after a request.
pub(crate) enum Next {
    Request,
    Close,
    Reset,
}

impl Next {
    pub(crate) fn after(keep_alive: bool) -> Self {
        if keep_alive { Next::Request } else { Next::Close }
    }
}

/// How a reply ends.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Ending {
    pub(crate) keep_alive: bool,
    /// The number of announced bytes that are not sent.
    pub(crate) missing: usize,
    /// Whether the request was a `HEAD`, whose reply has no body.
    pub(crate) head_only: bool,
}

impl Reply {
    pub(crate) fn new(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub(crate) fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn encode(&self, ending: Ending) -> Vec<u8> {
        let reason = self.reason.unwrap_or(reason_phrase(self.status));
        let mut bytes = format!("HTTP/1.1 {} {reason}\r\n", self.status).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        }
        if !ending.keep_alive {
            bytes.extend_from_slice(b"Connection: close\r\n");
        }
        let bodiless = matches!(self.status, 100..=199 | 204 | 304);
        if !bodiless {
            let length = self.body.len() + ending.missing;
            bytes.extend_from_slice(format!("Content-Length: {length}\r\n").as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        if !bodiless && !ending.head_only {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

pub(crate) fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        200 => "OK",
        204 => "No Content",
        206 => "Partial Content",
        302 => "Found",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Request Entity Too Large",
        422 => "Unprocessable Entity",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        511 => "Network Authentication Required",
        _ => "Unknown",
    }
}
