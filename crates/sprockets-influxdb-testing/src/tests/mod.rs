//! The server as clients meet it, over plain sockets.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::Server;

mod apis;
mod faults;
mod foreign_replies;
mod influxdb3;
mod lifecycle;
mod products;

const TIMEOUT: Duration = Duration::from_secs(10);

/// A connection that sends and reads on command, and never waits forever.
struct Client {
    stream: TcpStream,
}

#[derive(Debug)]
struct RawReply {
    status: u16,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Client {
    fn new(server: &Server) -> Self {
        let stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.set_write_timeout(Some(TIMEOUT)).unwrap();
        Self { stream }
    }

    fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    fn post(&mut self, target: &str, headers: &str, body: impl AsRef<[u8]>) -> RawReply {
        self.send(request(target, headers, body)).unwrap();
        self.reply().unwrap()
    }

    fn reply(&mut self) -> io::Result<RawReply> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let mut lines = head.split(|&byte| byte == b'\n').map(|line| line.trim_ascii_end());
        let status_line = String::from_utf8_lossy(lines.next().unwrap()).into_owned();
        let status = status_line.split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = Vec::new();
        for line in lines.filter(|line| !line.is_empty()) {
            let colon = line.iter().position(|&byte| byte == b':').unwrap();
            let name = String::from_utf8_lossy(&line[..colon]).to_ascii_lowercase();
            headers.push((name, line[colon + 1..].trim_ascii_start().to_vec()));
        }
        let mut reply = RawReply { status, headers, body: Vec::new() };
        let length = reply.header("content-length").unwrap_or("0".into()).parse().unwrap();
        reply.body.resize(length, 0);
        self.stream.read_exact(&mut reply.body)?;
        Ok(reply)
    }

    /// The head of a reply, without looking for a body.
    fn rest_of_head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        String::from_utf8(head).unwrap()
    }

    /// Everything until the server closes.
    fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).map(|_| rest)
    }

    fn is_closed(&mut self) -> bool {
        matches!(self.rest().as_deref(), Ok([]))
    }

    fn is_reset(&mut self) -> bool {
        match self.rest() {
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
            Ok(rest) => rest.is_empty() && !cfg!(target_os = "linux"),
        }
    }
}

impl RawReply {
    fn header(&self, name: &str) -> Option<String> {
        self.raw_header(name).map(|value| String::from_utf8_lossy(value).into_owned())
    }

    fn raw_header(&self, name: &str) -> Option<&[u8]> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_slice())
    }

    fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

fn request(target: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let length = body.len();
    let head =
        format!("POST {target} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}
