//! Paths, methods and headers of somebody who looks for a way in: no series comes of them, and each
//! request is answered as without the middleware.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use fastrand::Rng;
use test_support::LONG;
use test_support::influxd::Influxd;

use super::actix_service::Actix;
use super::axum_service::Axum;
use super::exchange::{exchange, get};
use super::{Recorded, Service, client};

const REQUESTS: usize = 10_000;

/// A request that somebody makes up.
fn invented(rng: &mut Rng, is_last: bool) -> Vec<u8> {
    const METHODS: [&str; 12] = [
        "GET", "POST", "HEAD", "OPTIONS", "PROPFIND", "get", "TRACE", "M-SEARCH", "DEBUG", "TRACK",
        "BREW", "PATCH",
    ];
    const PATHS: [&str; 12] = [
        "/.env",
        "/.git/config",
        "/wp-login.php",
        "/users/",
        "//",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/users/%00",
        "/users/7%0a",
        "/cgi-bin/%%32%65",
        "/index.php?a=b,c=d e",
        "/*",
        "/{id}",
    ];
    let method = match rng.u8(..4) {
        0 => (0..rng.usize(1..12)).map(|_| rng.uppercase()).collect(),
        _ => METHODS[rng.usize(..METHODS.len())].to_owned(),
    };
    let mut path = PATHS[rng.usize(..PATHS.len())].to_owned();
    if rng.bool() {
        let _ = write!(path, "/{:x}", rng.u64(..));
    }
    let mut request = format!("{method} {path} HTTP/1.1\r\nhost: test\r\n").into_bytes();
    for name in ["correlation-id", "user-agent", "x-forwarded-for", "content-type"] {
        request.extend(name.bytes().chain(*b": "));
        let value = std::iter::repeat_with(|| rng.u8(..)).take(40);
        request.extend(value.filter(|byte| *byte >= b' ' && *byte != 0x7f));
        request.extend(b"\r\n");
    }
    request.extend(if is_last { &b"connection: close\r\n\r\n"[..] } else { b"\r\n" });
    request
}

/// Makes so many requests, a few on each connection. A server may close one of them at any time.
fn scan(service: SocketAddr, rng: &mut Rng, requests: usize) {
    for _ in 0..requests / 10 {
        let mut stream = TcpStream::connect(service).expect("a connection");
        let burst: Vec<_> = (0..10).flat_map(|index| invented(rng, index == 9)).collect();
        let _ = stream.write_all(&burst);
        let _ = stream.read_to_end(&mut Vec::new());
    }
}

fn series(influxd: &Influxd) -> usize {
    let result = influxd.query("example", "SHOW SERIES");
    result["results"][0]["series"][0]["values"].as_array().map_or(0, Vec::len)
}

/// The series of all that there is, and after it those of a scan.
fn a_scan_makes_no_series<S: Service>() {
    let Some(influxd) = Influxd::start() else { return };
    let client = client(&influxd.url());
    client.reconfigure(|config| config.trigger_size(5_000)).expect("reconfigured");
    influxd.create("example");
    let service = S::start(client.clone(), "example");
    let mut rng = Rng::with_seed(7);
    // Whatever methods there are, matched or not: a scan of some hundred has them all.
    get(service, "/");
    scan(service, &mut rng, 1_000);
    assert!(client.flush(LONG).is_complete());
    let (before, recorded) = (series(&influxd), client.stats().added);
    assert!(before > 10, "{before} series");

    scan(service, &mut rng, REQUESTS);
    assert!(client.flush(LONG).is_complete());
    assert_eq!(series(&influxd), before);
    assert!(client.stats().added > recorded + REQUESTS as u64 / 2);
    assert_eq!(client.stats().delivered, client.stats().added);
}

#[test]
fn a_scan_of_an_axum_service_makes_no_series() {
    a_scan_makes_no_series::<Axum>();
}

#[test]
fn a_scan_of_an_actix_service_makes_no_series() {
    a_scan_makes_no_series::<Actix>();
}

/// What differs from one answer to the next anyway is left out.
fn answer(service: SocketAddr, request: &[u8]) -> BTreeSet<String> {
    let answer = exchange(service, request);
    answer.lines().filter(|line| !line.starts_with("date: ")).map(str::to_owned).collect()
}

fn each_request_is_answered_as_without_it<S: Service>() {
    let recorded = Recorded::new();
    let with = S::start(recorded.client.clone(), "example");
    let without = S::start(recorded.client.clone(), "");
    let mut rng = Rng::with_seed(8);
    for _ in 0..300 {
        let request = invented(&mut rng, true);
        let (with, without) = (answer(with, &request), answer(without, &request));
        assert_eq!(with, without, "{}", String::from_utf8_lossy(&request));
    }
    assert!(recorded.client.stats().added > 100);
}

#[test]
fn an_axum_service_answers_as_without_it() {
    each_request_is_answered_as_without_it::<Axum>();
}

#[test]
fn an_actix_service_answers_as_without_it() {
    each_request_is_answered_as_without_it::<Actix>();
}
