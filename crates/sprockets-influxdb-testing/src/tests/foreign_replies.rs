//! Servers that are no InfluxDB, slow ones, and those that reply before the body is sent.

use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::{Fault, ForeignReply, Product};

const TARGETS: [&str; 3] =
    ["/write?db=d&u=ann&p=pass", "/api/v2/write?org=o&bucket=d", "/api/v3/write_lp?db=d"];

#[test]
fn no_foreign_reply_stores_or_has_a_header_of_influxdbs() {
    let server = Server::start();
    for foreign in ForeignReply::ALL {
        for target in TARGETS {
            server.clear_faults();
            server.inject(Fault::foreign_reply(*foreign));
            let reply = Client::new(&server).post(target, "", "m f=1 1");
            let own = reply.headers.iter().find(|(name, _)| name.starts_with("x-influxdb"));
            assert_eq!(own, None, "{foreign}");
            assert_eq!(server.writes().last().unwrap().status(), Some(reply.status), "{foreign}");
        }
    }
    assert_eq!(server.count("d"), 0);
}

#[test]
fn foreign_replies_have_the_pages_of_their_servers() {
    for (foreign, status, server_header, start) in [
        (ForeignReply::CaptivePortal, 200, None, "<!DOCTYPE html>"),
        (ForeignReply::CaptivePortal511, 511, None, "<!DOCTYPE html>"),
        (ForeignReply::SignInPage, 200, None, "<!DOCTYPE html>\n<html>\n<head><title>Sign in"),
        (ForeignReply::NginxWelcome, 200, Some("nginx/1.22.1"), "<!DOCTYPE html>"),
        (ForeignReply::ErrorInOk, 200, None, "{\"error\":"),
        (ForeignReply::InfluxDb2Listing, 200, None, "{\"authorizations\":"),
        (ForeignReply::Empty(206), 206, None, ""),
        (ForeignReply::Text(299), 299, None, "accepted"),
        (ForeignReply::Maintenance(405), 405, None, "<!DOCTYPE html>"),
        (
            ForeignReply::Nginx(413),
            413,
            Some("nginx/1.22.1"),
            "<html>\r\n<head><title>413 Request Entity Too Large</title></head>\r\n<body>\r\n",
        ),
        (
            ForeignReply::Nginx(504),
            504,
            Some("nginx/1.22.1"),
            "<html>\r\n<head><title>504 Gateway Time-out</title></head>",
        ),
        (
            ForeignReply::HaProxy(400),
            400,
            None,
            "<html><body><h1>400 Bad request</h1>\nYour browser sent an invalid request.\n\
             </body></html>\n",
        ),
        (ForeignReply::HaProxy(503), 503, None, "<html><body><h1>503 Service Unavailable</h1>\n"),
        (ForeignReply::FastApi422, 422, Some("uvicorn"), "{\"detail\":["),
    ] {
        let server = Server::start();
        server.inject(Fault::foreign_reply(foreign));
        let mut client = Client::new(&server);
        let reply = client.post(TARGETS[0], "", "m f=1 1");
        assert_eq!(reply.status, status, "{foreign}");
        assert_eq!(reply.header("server").as_deref(), server_header, "{foreign}");
        assert!(reply.text().starts_with(start), "{foreign}: {}", reply.text());
        let closes = matches!(foreign, ForeignReply::HaProxy(_) | ForeignReply::Nginx(413));
        assert_eq!(reply.header("connection").is_some(), closes, "{foreign}");
        assert!(!closes || client.is_closed(), "{foreign}");
    }
}

#[test]
fn a_foreign_reply_repeats_the_credentials_of_the_request() {
    let server = Server::start();
    server.inject(Fault::foreign_reply(ForeignReply::Redirect(302)));
    server.inject(Fault::foreign_reply(ForeignReply::Redirect(308)));
    server.inject(Fault::foreign_reply(ForeignReply::Echo(400)));
    let mut client = Client::new(&server);
    let basic = STANDARD.encode("ann:pass");
    let reply =
        client.post("/write?db=d&p=pass", &format!("Authorization: Basic {basic}\r\n"), "m f=1 1");
    let location = "http://ann:pass@sign-in.example/login?db=d&p=pass";
    assert_eq!((reply.status, reply.header("location").as_deref()), (302, Some(location)));
    let reply = client.post("/api/v3/write_lp?db=d", "Authorization: Bearer secret\r\n", "m f=1 1");
    let location = "http://token:secret@sign-in.example/login?db=d";
    assert_eq!((reply.status, reply.header("location").as_deref()), (308, Some(location)));
    let reply =
        client.post("/write?db=d&p=pass", &format!("Authorization: Basic {basic}\r\n"), "m f=1 1");
    assert!(reply.text().contains(&format!("Authorization: Basic {basic}\n")), "{}", reply.text());
    assert!(reply.text().starts_with("cannot handle POST /write?db=d&p=pass\n"));
}

#[test]
fn foreign_replies_have_names() {
    for foreign in ForeignReply::ALL {
        assert_eq!(foreign.name().parse(), Ok(*foreign));
    }
    assert_eq!("nginx-499".parse(), Ok(ForeignReply::Nginx(499)));
    for name in ["nginx", "nginx-42", "nginx-x", "apache-400", "captive-portal-200"] {
        assert!(name.parse::<ForeignReply>().is_err(), "{name}");
    }
}

#[test]
fn a_fault_can_be_for_every_request() {
    for product in Product::ALL {
        let server = Server::start_as(*product);
        server.inject_always(Fault::foreign_reply(ForeignReply::CaptivePortal).for_every_request());
        let mut client = Client::new(&server);
        for line in ["GET /ping", "GET /health", "GET /unknown", "POST /write?db=d"] {
            client.send(format!("{line} HTTP/1.1\r\n\r\n")).unwrap();
            let reply = client.reply().unwrap();
            assert!(reply.text().starts_with("<!DOCTYPE html>"), "{product} {line}");
            assert_eq!(reply.header("x-influxdb-version"), None, "{product} {line}");
        }
        // Without the modifier only writes are hit.
        server.clear_faults();
        server.inject_always(Fault::foreign_reply(ForeignReply::CaptivePortal));
        client.send("GET /ping HTTP/1.1\r\n\r\n").unwrap();
        assert_ne!(client.rest_of_head().lines().next(), None);
        assert_eq!(server.requests().last().unwrap().path(), "/ping");
    }
}

#[test]
fn a_slow_server_takes_longer_for_more_lines() {
    let server = Server::start();
    let millisecond = Duration::from_millis(1);
    server.inject_always(Fault::slow(10 * millisecond, 2 * millisecond));
    let mut client = Client::new(&server);
    let lines: String = (0..100).map(|time| format!("m f=1 {time}\n")).collect();
    let started = Instant::now();
    assert_eq!(client.post(TARGETS[0], "", "m f=1 1").status, 204);
    let one = started.elapsed();
    let started = Instant::now();
    assert_eq!(client.post(TARGETS[0], "", &lines).status, 204);
    let hundred = started.elapsed();
    assert!(one >= 12 * millisecond && hundred >= 210 * millisecond, "{one:?} {hundred:?}");
    assert_eq!(server.count("d"), 100);
}

#[test]
fn an_early_reply_comes_before_the_body_and_the_connection_stays_open() {
    for (announced, expected) in [(true, Some("close".to_owned())), (false, None)] {
        let server = Server::start();
        let linger = Duration::from_millis(300);
        let fault = Fault::foreign_reply(ForeignReply::Nginx(404))
            .lingering(linger)
            .when_body_exceeds(1000);
        let fault = if announced { fault } else { fault.unannounced() };
        server.inject_always(fault);
        let mut client = Client::new(&server);
        assert_eq!(client.post(TARGETS[0], "", "m f=1 1").status, 204);

        let head = "Expect: 100-continue\r\nContent-Length: 1001\r\n\r\n";
        client.send(format!("POST {} HTTP/1.1\r\n{head}", TARGETS[0])).unwrap();
        let reply = client.reply().unwrap();
        let replied = Instant::now();
        assert_eq!((reply.status, reply.header("connection")), (404, expected));
        assert!(client.is_closed());
        assert!(replied.elapsed() >= linger / 2, "{:?}", replied.elapsed());
        assert_eq!(server.count("d"), 1);
    }
}

#[test]
fn a_length_that_is_not_announced_is_known_at_the_end() {
    let server = Server::start();
    server.inject_always(Fault::status(413, "").when_body_exceeds(10));
    let mut client = Client::new(&server);
    for (lines, status) in [("m f=1 1", 204), ("m f=1 10000", 413)] {
        let length = lines.len();
        let body = format!("{length:x}\r\n{lines}\r\n0\r\n\r\n");
        let head = "Transfer-Encoding: chunked\r\n\r\n";
        client.send(format!("POST /write?db=d HTTP/1.1\r\n{head}{body}")).unwrap();
        assert_eq!(client.reply().unwrap().status, status, "{lines}");
    }
}
