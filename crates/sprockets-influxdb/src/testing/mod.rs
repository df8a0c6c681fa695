//! A scripted InfluxDB in the process: for tests of code that writes measurements, ours and yours.
//!
//! [`Server`] listens on a loopback port, speaks the write APIs of InfluxDB 1.x, 2.x and 3.x over HTTP, keeps what it
//! is sent as [`Point`]s, records every [`Request`], and plays each [`Fault`] that it is told to. It needs no network,
//! no container and no sleeping: tests wait for what they expect.
//!
//! ```
//! use std::time::Duration;
//! use sprockets_influxdb::testing::{Fault, Server};
//!
//! # fn write(url: &str, line: &str) {
//! #     use std::io::{Read, Write};
//! #     let mut stream = std::net::TcpStream::connect(url.trim_start_matches("http://")).unwrap();
//! #     let length = line.len();
//! #     write!(stream, "POST /write?db=example HTTP/1.0\r\nContent-Length: {length}\r\n\r\n{line}").unwrap();
//! #     stream.read_to_end(&mut Vec::new()).unwrap();
//! # }
//! let server = Server::start();
//! server.inject(Fault::error(503, "timeout").retry_after(1));
//!
//! // Point the code under test at `server.url()` and let it write. Here it tries again when it is told to wait.
//! write(&server.url(), "request,method=GET duration=0.25 1700000000000000000");
//! write(&server.url(), "request,method=GET duration=0.25 1700000000000000000");
//!
//! assert!(server.wait_for_points("example", 1, Duration::from_secs(5)));
//! let points = server.points("example");
//! assert_eq!(points[0].measurement, "request");
//! assert_eq!(points[0].tag("method"), Some("GET"));
//! assert_eq!(points[0].field("duration"), Some(&0.25.into()));
//!
//! let statuses: Vec<_> = server.writes().iter().map(|request| request.status()).collect();
//! assert_eq!(statuses, [Some(503), Some(204)]);
//! ```
//!
//! The server is stricter than any InfluxDB: a line that one of the three refuses, or stores differently from the
//! others, is refused by all (see [`parse`]). A field keeps its type for as long as the database has it, and a write
//! that brings another is rejected in the words of the API that was asked.

mod batch;
mod dialect;
mod exchange;
mod fault;
mod http;
mod line_protocol;
mod point;
mod request;
mod scanner;
mod server;
mod store;
#[cfg(test)]
mod tests;

pub use fault::{Fault, Stage};
pub use line_protocol::{LineError, parse, parse_lines};
pub use point::{Point, Value};
pub use request::Request;
pub use server::Server;
