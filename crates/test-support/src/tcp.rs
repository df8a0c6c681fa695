//! Servers and proxies made of plain sockets.

use std::io::{self, BufRead, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;

/// More than a socket takes of what nobody reads.
const PIECE: usize = 64 * 1024;

/// Listens on a free port and serves each connection on a thread of its own, until the process
/// ends. An error of `serve` ends its connection.
pub fn listen(serve: impl Fn(TcpStream) -> io::Result<()> + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            thread::spawn(move || serve(stream));
        }
    });
    address
}

/// Reads one direction of a connection piece by piece.
///
/// `pass` gets each piece while it is still in the socket, and an empty one when the sender has
/// closed its side. It returns how many bytes to remove from the socket. The pump ends when that is
/// not all of them, so that a proxy can leave bytes unread.
pub fn pump(
    mut from: &TcpStream,
    mut pass: impl FnMut(&[u8]) -> io::Result<usize>,
) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        let length = from.peek(&mut piece)?;
        let taken = pass(&piece[..length])?;
        from.read_exact(&mut piece[..taken])?;
        if length == 0 || taken < length {
            return Ok(());
        }
    }
}

/// Reads the head of an HTTP message, including the empty line.
pub fn read_head(from: &mut impl BufRead) -> io::Result<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if from.read_line(&mut head)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(head)
}
