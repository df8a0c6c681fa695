//! Which bytes are the reply to which request.

use super::*;

/// A reply whose connection is used again.
const BUSY: &str = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n";

/// Sends two batches. The first request on each connection gets `first`, all others get 503.
fn send_two(first: String) -> [Disposition; 2] {
    let address = listen(move |mut peer| {
        let mut reply = first.as_str();
        while peer.request().is_some() {
            peer.reply(std::mem::replace(&mut reply, BUSY));
        }
    });
    let transport = HttpTransport::new(&server(address)).unwrap();
    let lines = Batch::of("db", &["m f=1"]);
    [transport.send(&lines).disposition, transport.send(&lines).disposition]
}

fn is_delivered(disposition: &Disposition) -> bool {
    *disposition == Disposition::Delivered
}

#[test]
fn no_bytes_after_a_reply_are_taken_for_the_next_reply() {
    let length = |status: &str, length: usize| {
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{NO_CONTENT}")
    };
    let chunked = |rest: &str| {
        format!("HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n{rest}{NO_CONTENT}")
    };
    let rows = [
        ("two replies", format!("{NO_CONTENT}{NO_CONTENT}")),
        ("a body of a 204", length("204 No Content", NO_CONTENT.len())),
        ("a body of a 304", length("304 Not Modified", NO_CONTENT.len())),
        ("an error and a reply", format!("{BUSY}{NO_CONTENT}")),
        ("early hints", format!("HTTP/1.1 103 Early Hints\r\n\r\n{BUSY}{NO_CONTENT}")),
        ("continue", format!("HTTP/1.1 100 Continue\r\n\r\n{BUSY}{NO_CONTENT}")),
        ("chunks", chunked("\r\n3\r\nabc\r\n0\r\n\r\n")),
        ("chunks with trailers", chunked("\r\n3\r\nabc\r\n0\r\nX-Trailer: 1\r\n\r\n")),
        ("chunks and a length", chunked("Content-Length: 2\r\n\r\n0\r\n\r\n")),
        ("HTTP/1.0", format!("HTTP/1.0 503 Busy\r\nContent-Length: 0\r\n\r\n{NO_CONTENT}")),
        (
            "close",
            format!(
                "HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 0\r\n\r\n{NO_CONTENT}"
            ),
        ),
    ];
    for (name, first) in rows {
        // The second request is the first on a new connection, which gets the row's reply, too.
        let is_confirmed = first.starts_with("HTTP/1.1 204");
        let [first, second] = send_two(first);
        assert_eq!(is_delivered(&first), is_confirmed, "{name}: {first:?}");
        assert_eq!(is_delivered(&second), is_confirmed, "{name}: {second:?}");
    }
}

#[test]
fn informational_replies_come_before_the_reply() {
    for status in ["100 Continue", "102 Processing", "103 Early Hints\r\nLink: </x>", "199 Odd"] {
        let first = format!("HTTP/1.1 {status}\r\n\r\n{NO_CONTENT}");
        let [first, second] = send_two(first);
        assert!(is_delivered(&first) && !is_delivered(&second), "{status}: {first:?} {second:?}");
    }
}

#[test]
fn a_connection_is_used_again_after_chunks_and_trailers() {
    let (sender, receiver) = channel();
    let address = listen(move |mut peer| {
        let _ = sender.send(());
        while peer.request().is_some() {
            peer.reply(
                "HTTP/1.1 400 Bad Request\r\nX-Influxdb-Version: 2.7.12\r\n\
                 Transfer-Encoding: chunked\r\nTrailer: X-Trailer\r\n\r\n\
                 12\r\n{\"message\":\"no f\"}\r\n1\r\n\n\r\n0\r\nX-Trailer: 1\r\n\r\n",
            );
        }
    });
    let transport = HttpTransport::new(&server(address)).unwrap();
    for _ in 0..3 {
        let found = transport.send(&Batch::of("db", &["m f=1"])).disposition;
        assert_eq!(found.reason(), "400: no f", "{found:?}");
    }
    assert_eq!(receiver.try_iter().count(), 1);
}

/// The rest of a body that was announced, and refused, is not sent as the next request.
#[test]
fn a_connection_whose_announced_body_was_rejected_is_not_used_again() {
    let address = listen(move |mut peer| {
        while let Some(head) = peer.head() {
            assert!(head.starts_with("POST /write?"), "{head}");
            peer.reply("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let transport = HttpTransport::new(&server(address)).unwrap();
    for _ in 0..3 {
        let attempt = transport.send(&large_batch(300_000));
        assert!(matches!(attempt.disposition, Disposition::TooLarge { .. }), "{attempt:?}");
        assert_eq!(attempt.bytes_sent, 0);
    }
}
