//! Requests and responses on a socket of the test's own, which can also hang up.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

/// Sends a request as it stands.
pub(crate) fn send(service: SocketAddr, request: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(service).expect("a connection");
    // A service may answer, and close, before it has all of what makes no sense.
    let _ = stream.write_all(request);
    stream
}

/// The whole of what the service answers to one request. Empty where it closes the connection.
pub(crate) fn exchange(service: SocketAddr, request: &[u8]) -> String {
    let mut answer = Vec::new();
    let _ = send(service, request).read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

pub(crate) fn get(service: SocketAddr, path: &str) -> String {
    request(service, "GET", path, "")
}

pub(crate) fn request(service: SocketAddr, method: &str, path: &str, headers: &str) -> String {
    let head =
        format!("{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{headers}\r\n");
    exchange(service, head.as_bytes())
}

/// Reads so much of an answer as there is at least.
pub(crate) fn read_some(stream: &mut TcpStream, bytes: usize) -> Vec<u8> {
    let mut answer = vec![0; bytes];
    stream.read_exact(&mut answer).expect("an answer");
    answer
}

/// Closes with a reset where there is something left to read, as a client does that gives up.
pub(crate) fn hang_up(stream: TcpStream) {
    let _ = stream.shutdown(Shutdown::Both);
}

/// The handshake of a websocket; what the service answers to it is read.
pub(crate) fn websocket(service: SocketAddr, path: &str) -> TcpStream {
    let head = format!(
        "GET {path} HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    let mut stream = send(service, head.as_bytes());
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.extend(read_some(&mut stream, 1));
    }
    let answer = String::from_utf8(answer).expect("a head");
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    stream
}
