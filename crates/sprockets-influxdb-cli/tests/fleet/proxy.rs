//! A proxy between the processes of a fleet and a nats-server. It notes what it passes on, so that
//! a loss can be explained.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;

use serde_json::Value;
use test_support::tcp::listen;

use super::record::Record;

/// With it, messages have ids that streams look at, also where the transport hides them. Servers
/// before 2.10.14 lose messages then.
const IDS_VARIABLE: &str = "FLEET_MESSAGE_IDS";

/// Listens for clients of the server at this address.
pub(crate) fn start(server: SocketAddr, record: Arc<Record>) -> SocketAddr {
    listen(move |client| {
        let server = TcpStream::connect(server)?;
        let (replies, back) = (server.try_clone()?, client.try_clone()?);
        let noted = record.clone();
        // Ends with the connection.
        thread::spawn(move || {
            pass(&replies, &back, |frame| noted.note_received(frame.words, frame.content))
        });
        pass(&client, &server, |frame| record.note_sent(frame.words, frame.content))
    })
}

/// An operation of the protocol: its words, and its headers and payload.
struct Frame<'a> {
    words: &'a [&'a str],
    content: &'a [u8],
}

/// Passes on what one side sends until it closes the connection, and then closes the other side.
fn pass(from: &TcpStream, to: &TcpStream, note: impl Fn(Frame<'_>)) -> io::Result<()> {
    let passed = pass_frames(from, to, note);
    for stream in [from, to] {
        // It may be closed already.
        let _ = stream.shutdown(Shutdown::Both);
    }
    passed
}

fn pass_frames(from: &TcpStream, mut to: &TcpStream, note: impl Fn(Frame<'_>)) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(64 << 10, from);
    let (mut line, mut content) = (String::new(), Vec::new());
    let has_ids = std::env::var_os(IDS_VARIABLE).is_some();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if let Some(info) = line.strip_prefix("INFO ") {
            line = without_addresses(info)?;
        }
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        content.clear();
        if let ["PUB" | "HPUB" | "MSG" | "HMSG", .., length] = words.as_slice() {
            let length: usize = length.parse().map_err(io::Error::other)?;
            content.resize(length + "\r\n".len(), 0);
            reader.read_exact(&mut content)?;
        }
        if has_ids {
            reveal_id(&mut content);
        }
        // First: what the other side does about it is noted later.
        note(Frame { words: &words, content: &content });
        to.write_all(&[line.as_bytes(), &content].concat())?;
    }
}

/// Puts the id of a batch where streams look at it.
fn reveal_id(content: &mut [u8]) {
    let (hidden, shown) = (b"Influxdb-Batch: ", b"Nats-Msg-Id:    ");
    if let Some(start) = content.windows(hidden.len()).position(|bytes| bytes == hidden) {
        content[start..start + shown.len()].copy_from_slice(shown);
    }
}

/// Clients would connect to the servers themselves.
fn without_addresses(info: &str) -> io::Result<String> {
    let mut info: Value = serde_json::from_str(info)?;
    info.as_object_mut().map(|info| info.remove("connect_urls"));
    Ok(format!("INFO {info}\r\n"))
}
