//! Replies that are odd, cut short or missing.

use super::*;

#[test]
fn a_control_byte_in_a_header_makes_a_reply_malformed() {
    for byte in ["\u{1}", "\0", "\u{7f}"] {
        let reply: &str =
            format!("HTTP/1.1 400 Bad Request\r\nX-Influxdb-Error: a{byte}b\r\n\r\n").leak();
        assert!(matches!(disposition_of(reply), Disposition::MalformedReply { .. }));
    }
}

#[test]
fn a_server_that_does_not_speak_http_waits_for_the_operator() {
    for reply in [
        "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
        "\u{15}\u{3}\u{1}\0\u{2}\u{2}\n",
        "-ERR unknown command\r\n",
    ] {
        let (cause, reason) = waits(disposition_of(reply));
        assert_eq!(cause, Cause::Configuration);
        assert!(reason.contains("does not speak HTTP: check INFLUXDB_SCHEME"), "{reason}");
    }
}

#[test]
fn an_endless_reply_is_cut_short() {
    let (sender, receiver) = channel();
    let address = listen(move |mut peer| {
        peer.request();
        let text =
            format!("{{\"error\":\"partial write: unable to parse '{}", "x".repeat(7_000_000));
        peer.reply(format!("HTTP/1.1 400 Bad Request\r\nContent-Length: {}\r\n\r\n", text.len()));
        sender.send(peer.0.get_mut().write_all(text.as_bytes()).is_err()).unwrap();
    });
    let found = send(&server(address), &Batch::of("db", &["m f=1"])).disposition;
    let unnamed = RejectedLines::Unnamed { count: None };
    assert!(
        matches!(
            &found,
            Disposition::Rejected(Rejection { lines, rest_stored: true, .. }) if *lines == unnamed
        ),
        "{found:?}"
    );
    assert!(receiver.recv().unwrap(), "the connection is closed");
}

#[test]
fn a_reply_cut_in_its_body_keeps_its_status_and_retry_after() {
    let address = listen(|mut peer| {
        peer.request();
        peer.reply("HTTP/1.1 503 Unavailable\r\nContent-Length: 99\r\nRetry-After: 3\r\n\r\nbus");
    });
    let found = send(&server(address), &Batch::of("db", &["m f=1"])).disposition;
    let after = Some(Duration::from_secs(3));
    let reason = "503: bus".to_owned();
    assert_eq!(
        found,
        Disposition::Retry(Failure { cause: Cause::Busy, scope: Scope::Server, after, reason })
    );
}

#[test]
fn a_server_that_never_replies_holds_no_batch_beyond_the_timeout() {
    // It accepts, reads nothing and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    for lines in [Batch::of("db", &["m f=1"]), large_batch(20_000_000)] {
        let server = Server { timeout: Duration::from_millis(50), ..server(address) };
        let (cause, reason) = waits(send(&server, &lines).disposition);
        assert_eq!(
            (cause, reason),
            (Cause::Timeout, format!("no reply from {address} within 50ms"))
        );
    }
}

#[test]
fn a_server_without_a_connection_is_unreachable() {
    let address = SocketAddr::from(([127, 0, 0, 1], 1));
    let (cause, reason) = waits(send(&server(address), &Batch::of("db", &["m f=1"])).disposition);
    let expected = format!("no server at {address}: connection refused; start it, or check ");
    assert!(cause == Cause::Unreachable && reason.starts_with(&expected), "{reason}");

    let unknown =
        Server { url: "http://no-such-host.invalid:1/write".to_owned(), ..server(address) };
    let transport = through(None, &unknown);
    let (cause, reason) = waits(transport.send(&Batch::of("db", &["m f=1"])).disposition);
    assert_eq!(cause, Cause::Unreachable);
    assert!(reason.contains("no-such-host.invalid:1"), "{reason}");
}

#[test]
fn redirects_are_not_followed() {
    let (cause, reason) = waits(disposition_of(
        "HTTP/1.1 307 Moved\r\n\
         Location: http://127.0.0.1:1/x?p=secret\r\nContent-Length: 0\r\n\r\n",
    ));
    assert_eq!(cause, Cause::Configuration);
    assert!(reason.starts_with("the server redirects to http://127.0.0.1:1/x, and"), "{reason}");
}

#[test]
fn https_to_a_plain_http_port_names_the_setting() {
    let address =
        listen(|mut peer| peer.reply("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"));
    let tls = Server {
        url: format!("https://{address}/write"),
        authorities: Authorities::of_pem(CA),
        ..server(address)
    };
    let found = send(&tls, &Batch::of("db", &["m f=1"])).disposition;
    let reason = format!("the server at {address} does not speak TLS: set INFLUXDB_SCHEME=http");
    assert_eq!(waits(found), (Cause::Configuration, reason));
}
