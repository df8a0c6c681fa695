//! The transport against servers of a few lines each.

mod connections;
mod framing;
mod replies;
mod requests;

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};

use super::*;
use crate::config::{Api, Auth, Authorities, Config, Secret};
use crate::delivery::disposition::Scope;

const NO_CONTENT: &str = "HTTP/1.1 204 No Content\r\n\r\n";

/// A self-signed certificate that signed nothing.
const CA: &str = "-----BEGIN CERTIFICATE-----\n\
    MIIBezCCASGgAwIBAgIUF3mgvampAiGilTSd8I4Z3insqRMwCgYIKoZIzj0EAwIw\n\
    EjEQMA4GA1UEAwwHdGVzdCBDQTAgFw0yNjExMjMwOTQwMTdaGA8yMTI2MTAzMDA5\n\
    NDAxN1owEjEQMA4GA1UEAwwHdGVzdCBDQTBZMBMGByqGSM49AgEGCCqGSM49AwEH\n\
    A0IABFSU99RyP0s3ZZNHIEIB2ucVtC/d6oQBbaDG74oGjZADjGtF5skBiCNIXY3f\n\
    MghUTrnCk1djEiynD7JhMwwhPtOjUzBRMB0GA1UdDgQWBBRva1mmnN8nqWAPNHbz\n\
    quO4W+3pKTAfBgNVHSMEGDAWgBRva1mmnN8nqWAPNHbzquO4W+3pKTAPBgNVHRMB\n\
    Af8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIQDag3cV/Z3Zm6YxbjBK4GXYlz+e\n\
    xSWZzn5FDFpizuZCDAIgJFUfxZd6l6bBOVIq1SadVP4VDhwBjopMFqaRL2Wa61U=\n\
    -----END CERTIFICATE-----\n";

fn server(address: SocketAddr) -> Server {
    Server {
        url: format!("http://{address}/write"),
        names: Config::new().resolve().unwrap().server.names,
        query: None,
        api: Api::V1,
        auth: Auth::None,
        org: None,
        retention_policy: None,
        gzip: false,
        timeout: Duration::from_secs(20),
        authorities: Authorities::default(),
        nats: None,
        identity: None,
        verifies: true,
    }
}

/// Calls `serve` for each connection, one after another, until the test ends.
fn listen(mut serve: impl FnMut(Peer) + std::marker::Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        listener.incoming().for_each(|stream| serve(Peer(BufReader::new(stream.unwrap()))))
    });
    address
}

/// Answers every request with `reply`, and returns the requests.
fn answer(reply: &'static str) -> (SocketAddr, Receiver<(String, Vec<u8>)>) {
    let (sender, receiver) = channel();
    let address = listen(move |mut peer| {
        while let Some(request) = peer.request() {
            let _ = sender.send(request);
            peer.reply(reply);
        }
    });
    (address, receiver)
}

/// A server's end of a connection.
struct Peer(BufReader<TcpStream>);

impl Peer {
    fn head(&mut self) -> Option<String> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.0.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        Some(head)
    }

    fn request(&mut self) -> Option<(String, Vec<u8>)> {
        let head = self.head()?;
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .unwrap()
            .parse()
            .unwrap();
        if head.contains("expect: 100-continue") {
            self.reply("HTTP/1.1 100 Continue\r\n\r\n");
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).ok()?;
        Some((head, body))
    }

    fn reply(&mut self, reply: impl AsRef<[u8]>) {
        let _ = self.0.get_mut().write_all(reply.as_ref());
    }
}

/// Sends within the configured timeout.
trait Send {
    fn send(&self, batch: &Batch) -> Attempt;
}

impl<T: Transport + ?Sized> Send for T {
    fn send(&self, batch: &Batch) -> Attempt {
        self.send_within(self.timeout(), batch)
    }
}

/// The transport with this proxy, whatever the environment names.
fn through(proxy: Option<&str>, server: &Server) -> HttpTransport {
    let variable = |name: &str| proxy.filter(|_| name == "http_proxy").map(str::to_owned);
    let endpoint = Endpoint::with_environment(server, variable).unwrap();
    HttpTransport::with_endpoint(Arc::new(endpoint))
}

fn send(server: &Server, batch: &Batch) -> Attempt {
    HttpTransport::new(server).unwrap().send(batch)
}

/// The disposition of a batch that gets this reply.
fn disposition_of(reply: &'static str) -> Disposition {
    send(&server(answer(reply).0), &Batch::of("db", &["m f=1"])).disposition
}

/// The cause and the reason of a failure of the server.
#[track_caller]
fn waits(disposition: Disposition) -> (Cause, String) {
    match disposition {
        Disposition::Retry(Failure { cause, scope: Scope::Server, reason, .. }) => (cause, reason),
        other => panic!("{other:?}"),
    }
}

fn large_batch(bytes: usize) -> Batch {
    let line = format!("m s=\"{}\" 1", "x".repeat(1000));
    Batch::of("db", &vec![line.as_str(); bytes / line.len() + 1])
}
