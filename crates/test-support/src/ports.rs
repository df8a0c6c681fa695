//! Ports for servers that tests start, and for servers that do not exist.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;

/// Below the ports of outgoing connections, which begin at 32768 on Linux and at 49152 on macOS:
/// otherwise any connection could take a port before the server that it is meant for, or while
/// that server restarts.
const PORTS: Range<u16> = 10_000..32_768;

/// A port that was free a moment ago. Another server may take it before the caller does.
pub fn free_port() -> io::Result<u16> {
    loop {
        let port = fastrand::u16(PORTS);
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(_) => return Ok(port),
            Err(error) if error.kind() == ErrorKind::AddrInUse => {}
            Err(error) => return Err(error),
        }
    }
}

/// An address of this machine at which no server listens.
pub fn unused_address() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, free_port().expect("a port")).into()
}
