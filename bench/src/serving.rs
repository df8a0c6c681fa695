//! A service: it answers requests over sockets, and records each. No framework is as small, so
//! what recording and delivering cost is the largest part of it that there can be.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use sprockets_influxdb::{Client, Config, Measurement, Overflow};

use crate::delivering::processor_seconds;
use crate::sample;

/// The first argument of a process that serves.
pub const CHILD: &str = "serve";

pub const REQUESTS: usize = 200_000;
const CONNECTIONS: usize = 4;

const REQUEST: &[u8] = b"GET /users/7 HTTP/1.1\r\nHost: localhost\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, world!";

/// The processor seconds of a service that delivers to this server.
pub fn processor_of_service(url: &str, database: &str) -> f64 {
    let program = std::env::current_exe().expect("this program's path");
    let mut service = Command::new(program)
        .args([CHILD, url, database])
        .stdout(Stdio::piped())
        .spawn()
        .expect("a process");
    let mut lines = BufReader::new(service.stdout.take().expect("a pipe")).lines();
    let mut line = || lines.next().expect("a line").expect("text");
    let address = line();
    thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| make_requests(&address));
        }
    });
    let seconds = line().parse().expect("a number");
    assert!(service.wait().expect("ended").success());
    seconds
}

fn make_requests(address: &str) {
    let mut stream = TcpStream::connect(address).expect("connected");
    stream.set_nodelay(true).expect("a socket");
    let mut response = [0; RESPONSE.len()];
    for _ in 0..REQUESTS / CONNECTIONS {
        stream.write_all(REQUEST).expect("sent");
        stream.read_exact(&mut response).expect("a response");
    }
}

pub fn run_child(arguments: &[String]) {
    let [url, database] = arguments else { panic!("expected: URL, database") };
    let config = Config::new().url(url).tag_hostname(false).gzip(false);
    let config = config.overflow(Overflow::Block).block_timeout(Duration::from_secs(600));
    let client = Client::new(config).expect("a client");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    println!("{}", listener.local_addr().expect("bound"));
    let before = processor_seconds();
    thread::scope(|scope| {
        for stream in listener.incoming().take(CONNECTIONS) {
            scope.spawn(|| serve(stream.expect("a connection"), &client, database));
        }
    });
    let report = client.shutdown(Duration::from_secs(600));
    assert!(report.is_complete(), "{report:?}");
    println!("{}", processor_seconds() - before);
}

fn serve(mut stream: TcpStream, client: &Client, database: &str) {
    stream.set_nodelay(true).expect("a socket");
    let mut request = [0; REQUEST.len()];
    let mut measurement = Measurement::new(database, sample::NAME);
    while stream.read_exact(&mut request).is_ok() {
        measurement.restart(database, sample::NAME);
        sample::fill(&mut measurement);
        client.add_measurement(&measurement).expect("added");
        stream.write_all(RESPONSE).expect("sent");
    }
}
