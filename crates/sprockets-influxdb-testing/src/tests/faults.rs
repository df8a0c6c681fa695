//! Every fault, as a client meets it.

use std::thread;
use std::time::{Instant, SystemTime};

use serde_json::json;

use super::*;
use crate::{Fault, Stage};

const V1: &str = "/write?db=d";
const V2: &str = "/api/v2/write?org=o&bucket=d";
const V3: &str = "/api/v3/write_lp?db=d";
const LINE: &str = "m f=1 1";
/// Longer than any time a test means to wait.
const LONG: Duration = Duration::from_secs(3600);

/// A server with one fault, and a client whose request is on its way.
fn sent(fault: Fault) -> (Server, Client) {
    let server = Server::start();
    server.inject(fault);
    let mut client = Client::new(&server);
    client.send(request(V1, "", LINE)).unwrap();
    (server, client)
}

/// The connection that follows a fault works.
fn assert_over(server: &Server) {
    assert_eq!(Client::new(server).post(V1, "", LINE).status, 204);
}

#[test]
fn a_status_comes_with_its_body_and_headers_and_stores_nothing() {
    let fault = Fault::status(503, "request throttled, queue full\n")
        .header("Content-Type", "text/plain")
        .retry_after(7);
    let (server, mut client) = sent(fault);
    let reply = client.reply().unwrap();
    assert_eq!((reply.status, reply.text()), (503, "request throttled, queue full\n".into()));
    assert_eq!(reply.header("retry-after"), Some("7".into()));
    assert_eq!(reply.header("content-type"), Some("text/plain".into()));
    assert_eq!((server.count("d"), server.writes()[0].status()), (0, Some(503)));
    assert_eq!(server.writes()[0].lines(), 1);
    assert_eq!(client.post(V1, "", LINE).status, 204);
    assert_eq!(server.connections(), 1);
}

#[test]
fn an_error_speaks_the_language_of_the_api() {
    let server = Server::start();
    server.inject(Fault::error(500, "timeout").and_store().times(3));
    let mut client = Client::new(&server);
    let reply = client.post(V1, "", LINE);
    assert_eq!((reply.status, reply.json()), (500, json!({ "error": "timeout" })));
    assert_eq!(reply.header("x-influxdb-error"), Some("timeout".into()));
    let expected = json!({ "code": "internal error", "message": "timeout" });
    assert_eq!(client.post(V2, "", LINE).json(), expected);
    assert_eq!(client.post(V3, "", LINE).text(), "timeout");
    assert_eq!((server.count("d"), server.lines_received("d")), (2, 3));
    assert_over(&server);
}

#[test]
fn retry_after_may_be_a_date_or_garbage() {
    let server = Server::start();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    server.inject(Fault::error(429, "slow down").retry_at(time));
    server.inject(Fault::error(429, "slow down").retry_after("in a while"));
    let mut client = Client::new(&server);
    let date = client.post(V1, "", LINE).header("retry-after");
    assert_eq!(date, Some("Tue, 14 Nov 2023 22:13:20 GMT".into()));
    assert_eq!(client.post(V1, "", LINE).header("retry-after"), Some("in a while".into()));
}

#[test]
fn faults_happen_in_the_order_of_their_injection() {
    let server = Server::start();
    server.inject(Fault::error(500, "a").times(2));
    server.inject(Fault::error(501, "never").times(0));
    server.inject(Fault::error(502, "b"));
    let mut client = Client::new(&server);
    let statuses: Vec<_> = (0..4).map(|_| client.post(V1, "", LINE).status).collect();
    assert_eq!(statuses, [500, 500, 502, 204]);
}

#[test]
fn a_fault_for_always_lasts_until_it_is_cleared_and_spares_pings() {
    let server = Server::start();
    server.inject_always(Fault::error(500, "a"));
    let mut client = Client::new(&server);
    assert!((0..5).all(|_| client.post(V1, "", LINE).status == 500));
    client.send("GET /ping HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(client.reply().unwrap().status, 204);
    server.clear_faults();
    assert_eq!(client.post(V1, "", LINE).status, 204);
}

#[test]
fn a_fault_waits_for_the_database_and_the_text_it_is_for() {
    let server = Server::start();
    server.inject(Fault::error(500, "a").for_database("e"));
    server.inject_always(Fault::error(400, "b").when_body_contains("poison"));
    server.inject(Fault::reset(Stage::BeforeBody).for_database("f").when_body_contains("x"));
    let mut client = Client::new(&server);
    assert_eq!(client.post(V1, "", LINE).status, 204);
    assert_eq!(client.post(V1, "", "poison f=1").status, 400);
    assert_eq!(client.post("/write?db=e", "", "poison f=1").status, 500);
    assert_eq!(client.post("/api/v2/write?org=o&bucket=e", "", "m,a=poison f=1").status, 400);
    assert_eq!(client.post("/write?db=f", "", LINE).status, 204);
    client.send(request("/write?db=f", "", "x f=1")).unwrap();
    assert!(client.is_reset());
    assert_over(&server);
}

#[test]
fn a_delay_comes_between_the_storing_and_the_reply() {
    let server = Server::start();
    let delay = Duration::from_millis(50);
    server.inject(Fault::delay(delay));
    let started = Instant::now();
    assert_eq!(Client::new(&server).post(V1, "", LINE).status, 204);
    assert!(started.elapsed() >= delay);

    server.clear();
    server.inject(Fault::delay(LONG));
    let mut client = Client::new(&server);
    client.send(request(V1, "", LINE)).unwrap();
    assert!(server.wait_for_points("d", 1, PATIENCE));
    server.stop();
    assert!(client.reply().is_err());
}

#[test]
fn a_reset_breaks_the_connection_at_any_stage() {
    for (stage, stored) in [
        (Stage::BeforeBody, 0),
        (Stage::MidBody, 0),
        (Stage::BeforeReply, 0),
        (Stage::BeforeReply, 1),
    ] {
        let fault = Fault::reset(stage);
        let fault = if stored == 1 { fault.and_store() } else { fault };
        let (server, mut client) = sent(fault);
        assert!(client.is_reset(), "{stage:?}");
        assert_eq!(server.count("d"), stored, "{stage:?}");
        assert_eq!(server.writes()[0].status(), None);
        assert_over(&server);
    }
}

#[test]
fn a_reset_reaches_a_client_that_has_not_sent_its_body() {
    for headers in ["Content-Length: 9", "Expect: 100-continue\r\nContent-Length: 9", "X: y"] {
        let server = Server::start();
        server.inject(Fault::reset(Stage::BeforeBody));
        let mut client = Client::new(&server);
        client.send(format!("POST {V1} HTTP/1.1\r\n{headers}\r\n\r\n")).unwrap();
        assert!(client.is_reset(), "{headers}");
    }
}

#[test]
fn a_reset_in_the_middle_of_the_body_waits_for_that_much() {
    let chunked = format!("POST {V1} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
    let known = format!("POST {V1} HTTP/1.1\r\nContent-Length: 100\r\n\r\n");
    for (head, part) in [(known, "x".repeat(50)), (chunked, format!("64\r\n{}", "x".repeat(50)))] {
        let server = Server::start();
        server.inject(Fault::reset(Stage::MidBody));
        let mut client = Client::new(&server);
        client.send(head).unwrap();
        assert!(!server.wait_for_requests(1, Duration::from_millis(20)));
        client.send(part).unwrap();
        assert!(client.is_reset());
        assert!(server.wait_for_requests(1, PATIENCE));
    }
}

#[test]
fn a_reset_before_the_reply_reads_the_whole_body() {
    let server = Server::start();
    server.inject(Fault::reset(Stage::BeforeReply).and_store().times(2));
    let body: String = (0..20_000).map(|time| format!("m f=1 {time}\n")).collect();
    let mut client = Client::new(&server);
    client.send(request(V1, "", &body)).unwrap();
    assert!(client.is_reset());
    assert_eq!(server.count("d"), 20_000);

    let mut client = Client::new(&server);
    let chunk = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let head = format!("POST {V1} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send(head + &chunk).unwrap();
    assert!(client.is_reset());
    assert_eq!(server.lines_received("d"), 40_000);
}

#[test]
fn a_close_leaves_the_client_without_a_reply() {
    for (fault, stored) in [(Fault::close(), 0), (Fault::close().and_store(), 1)] {
        let (server, mut client) = sent(fault);
        assert!(client.is_closed());
        assert_eq!((server.count("d"), server.writes()[0].status()), (stored, None));
        assert_over(&server);
    }
}

#[test]
fn a_half_closed_connection_is_still_read() {
    let server = Server::start();
    server.inject(Fault::half_close().and_store());
    let mut client = Client::new(&server);
    client.send(format!("POST {V1} HTTP/1.1\r\nContent-Length: 7\r\n\r\n")).unwrap();
    assert!(client.is_closed());
    client.send(LINE).unwrap();
    assert!(server.wait_for_points("d", 1, PATIENCE));
    client.send("more, which nobody will answer").unwrap();
    drop(client);
    assert_over(&server);
}

#[test]
fn a_black_hole_reads_no_body_and_ends_when_it_is_cleared() {
    let server = Server::start();
    server.inject(Fault::black_hole());
    let mut client = Client::new(&server);
    let large = request(V1, "", vec![b'#'; 64 << 20]);
    client.stream.set_write_timeout(Some(Duration::from_millis(50))).unwrap();
    let stuck = client.send(&large).unwrap_err();
    assert!(matches!(stuck.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{stuck}");
    assert!(server.wait_for_requests(1, PATIENCE));
    assert_over(&server);
    server.clear_faults();
    assert!(client.is_reset());
}

#[test]
fn black_holes_end_when_the_server_stops() {
    let server = Server::start();
    server.inject_always(Fault::black_hole());
    server.inject_always(Fault::error(500, "never"));
    let mut clients: Vec<_> = (0..4).map(|_| Client::new(&server)).collect();
    clients.iter_mut().for_each(|client| client.send(request(V1, "", LINE)).unwrap());
    assert!(server.wait_for_requests(4, PATIENCE));
    drop(server);
    for client in &mut clients {
        assert!(!matches!(client.rest(), Ok(bytes) if !bytes.is_empty()));
    }
}

#[test]
fn a_drip_comes_one_byte_at_a_time() {
    let (_server, mut client) = sent(Fault::drip(Duration::from_millis(1)));
    let started = Instant::now();
    assert_eq!(client.reply().unwrap().status, 204);
    assert!(started.elapsed() >= Duration::from_millis(20));

    let (server, mut client) = sent(Fault::error(500, "x").dripping(LONG));
    let mut first = [0; 64];
    assert_eq!(client.stream.read(&mut first).unwrap(), 1);
    server.stop();
    assert!(client.reply().is_err());
}

#[test]
fn a_reply_may_come_before_the_body() {
    let server = Server::start();
    server.inject(Fault::error(413, "too large").before_body());
    server.inject(Fault::status(401, "").before_body());
    let mut client = Client::new(&server);
    client.send(format!("POST {V1} HTTP/1.1\r\nContent-Length: 9000000\r\n\r\n")).unwrap();
    let reply = client.reply().unwrap();
    assert_eq!((reply.status, reply.header("connection")), (413, Some("close".into())));
    assert!(client.is_closed());

    let mut client = Client::new(&server);
    assert!(client.send(request(V1, "", vec![b'#'; 50_000_000])).is_err());
    assert_eq!(client.reply().unwrap().status, 401);
    assert_eq!(server.writes()[1].body(), b"");
}

#[test]
fn a_reply_may_be_impossible_to_parse() {
    let (_server, mut client) = sent(Fault::unparsable_header());
    let reply = client.reply().unwrap();
    assert_eq!(reply.status, 400);
    assert!(reply.raw_header("x-influxdb-error").unwrap().contains(&1));
    assert!(reply.json()["error"].is_string());

    let (server, mut client) = sent(Fault::raw("SSH-2.0-x\r\n").and_store());
    assert_eq!(client.rest().unwrap(), b"SSH-2.0-x\r\n");
    assert_eq!((server.count("d"), server.writes()[0].status()), (1, None));
}

#[test]
fn an_error_may_be_megabytes_long() {
    let (_server, mut client) = sent(Fault::oversized(400, 3_000_000));
    let reply = client.reply().unwrap();
    assert_eq!(reply.json()["error"].as_str().map(str::len), Some(3_000_000));
    assert_eq!(reply.raw_header("x-influxdb-error").map(<[u8]>::len), Some(1024));

    // Nobody reads it: the server still stops.
    let (server, _client) = sent(Fault::oversized(400, 16_000_000));
    assert!(server.wait_for_requests(1, PATIENCE));
    drop(server);
}

#[test]
fn a_reply_may_be_cut_short() {
    let (_server, mut client) = sent(Fault::error(400, "unable to parse").truncated());
    let error = client.reply().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
}

#[test]
fn lines_may_be_refused_without_being_named() {
    let server = Server::start();
    server.inject_always(Fault::reject_lines_unnamed(|line| line.contains("old")));
    let mut client = Client::new(&server);
    let body = "m,t=old f=1 1\nm,t=new f=1 2\nm,t=old f=1 3";
    let message = "partial write: points beyond retention policy dropped=2";

    let reply = client.post(V1, "", body);
    assert_eq!((reply.status, reply.json()), (400, json!({ "error": message })));
    let reply = client.post(V2, "", body);
    assert_eq!(reply.status, 422);
    let expected = json!(format!("failure writing points to database: {message}"));
    assert_eq!(reply.json()["message"], expected);
    assert_eq!(client.post(V1, "", "m,t=new f=1 4").status, 204);
    assert_eq!(server.count("d"), 2);
}

#[test]
fn a_server_that_turns_a_client_away_does_so_late_if_told() {
    let server = Server::start();
    server.require_token("t");
    server.inject(Fault::delay(Duration::from_millis(30)));
    let started = Instant::now();
    assert_eq!(Client::new(&server).post(V1, "", LINE).status, 401);
    assert!(started.elapsed() >= Duration::from_millis(30));
}

#[test]
fn a_predicate_that_panics_takes_only_its_connection_along() {
    let server = Server::start();
    server.inject(Fault::reject_lines_unnamed(|_| panic!("meant to")));
    let mut client = Client::new(&server);
    client.send(request(V1, "", LINE)).unwrap();
    assert!(client.reply().is_err());
    assert_over(&server);
}

#[test]
fn one_fault_hits_one_of_many_clients() {
    let server = Server::start();
    server.inject(Fault::error(503, "busy").times(3));
    let refused: usize = thread::scope(|scope| {
        let write = |_| {
            scope.spawn(|| {
                let mut client = Client::new(&server);
                (0..5).filter(|_| client.post(V1, "", LINE).status == 503).count()
            })
        };
        let clients: Vec<_> = (0..4).map(write).collect();
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    assert_eq!(refused, 3);
    assert_eq!(server.lines_received("d"), 17);
}
