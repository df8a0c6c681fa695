//! A server that accepts every write, and keeps nothing.

use std::io::{BufRead, BufReader, Read, Write, copy, sink};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

/// Starts the server, and returns its URL.
pub fn start() -> String {
    start_slow(Duration::ZERO)
}

/// The same for a server that takes this long for each request.
pub fn start_slow(latency: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            thread::spawn(move || serve(&connection, latency));
        }
    });
    url
}

fn serve(connection: &TcpStream, latency: Duration) {
    let mut reader = BufReader::with_capacity(256 * 1024, connection);
    let mut writer = connection;
    loop {
        let mut length = 0;
        let mut expects = false;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let line = line.trim().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
            expects |= line.starts_with("expect:");
        }
        if expects && writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").is_err() {
            return;
        }
        let taken = copy(&mut reader.by_ref().take(length), &mut sink());
        thread::sleep(latency);
        if taken.is_err() || writer.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").is_err() {
            return;
        }
    }
}
