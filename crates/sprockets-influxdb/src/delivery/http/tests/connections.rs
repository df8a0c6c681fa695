//! Connections, announced bodies, and proxies.

use super::*;

#[test]
fn one_connection_serves_all_batches() {
    let (sender, receiver) = channel();
    let address = listen(move |mut peer| {
        sender.send(()).unwrap();
        while peer.request().is_some() {
            peer.reply(
                "HTTP/1.1 400 Bad Request\r\nX-Influxdb-Version: 1.8.10\r\n\
                 Content-Length: 22\r\n\r\n{\"error\":\"no reason\"}\n",
            );
        }
    });
    let transport = HttpTransport::new(&server(address)).unwrap();
    for _ in 0..3 {
        assert!(matches!(
            transport.send(&Batch::of("db", &["m f=1"])).disposition,
            Disposition::Rejected(_)
        ));
    }
    assert_eq!(receiver.try_iter().count(), 1);
}

#[test]
fn a_forked_process_has_connections_of_its_own() {
    let (sender, receiver) = channel();
    let address = listen(move |mut peer| {
        sender.send(()).unwrap();
        peer.request().unwrap();
        peer.reply(NO_CONTENT);
    });
    let transport = HttpTransport::new(&server(address)).unwrap();
    let lines = Batch::of("db", &["m f=1"]);
    assert_eq!(transport.send(&lines).disposition, Disposition::Delivered);
    assert_eq!(transport.after_fork().send(&lines).disposition, Disposition::Delivered);
    assert_eq!(receiver.try_iter().count(), 2);
}

#[test]
fn a_batch_is_resent_when_the_idle_connection_was_closed() {
    let mut served = 0;
    let (sender, receiver) = channel();
    let address = listen(move |mut peer| {
        while peer.request().is_some() {
            served += 1;
            sender.send(served).unwrap();
            if served == 2 {
                return;
            }
            peer.reply(NO_CONTENT);
        }
    });
    let transport = HttpTransport::new(&server(address)).unwrap();
    let lines = Batch::of("db", &["m f=1"]);
    assert_eq!(transport.send(&lines).disposition, Disposition::Delivered);
    let attempt = transport.send(&lines);
    assert_eq!((attempt.disposition, attempt.bytes_sent), (Disposition::Delivered, 12));
    assert_eq!(receiver.try_iter().last(), Some(3));
}

#[test]
fn a_connection_closed_without_a_reply_is_not_repeated_at_once() {
    let (sender, receiver) = channel();
    let address = listen(move |mut peer| {
        peer.request();
        sender.send(()).unwrap();
    });
    let (cause, reason) = waits(send(&server(address), &Batch::of("db", &["m f=1"])).disposition);
    assert_eq!(
        (cause, reason),
        (Cause::Unknown, format!("{address} closed the connection before it replied"))
    );
    assert_eq!(receiver.try_iter().count(), 1);
}

#[test]
fn a_server_that_refuses_an_announced_body_is_understood() {
    let address = listen(|mut peer| {
        peer.head();
        peer.reply(
            "HTTP/1.1 413 Request Entity Too Large\r\n\
             Connection: close\r\nContent-Length: 5\r\n\r\nlarge",
        );
    });
    let attempt = send(&server(address), &large_batch(5_000_000));
    let Disposition::TooLarge { is_from_server: false, reason } = attempt.disposition else {
        panic!("{:?}", attempt.disposition);
    };
    assert!(reason.contains("413: large"), "{reason}");
    assert_eq!(attempt.bytes_sent, 0);
}

#[test]
fn a_final_reply_to_an_announced_body_is_read_while_the_connection_stays_open() {
    for (head, timeout) in [("Connection: close\r\n", 20), ("", 20), ("Server: x\r\n", 3)] {
        let (done, is_done) = channel::<()>();
        let mut is_done = Some(is_done);
        let address = listen(move |mut peer| {
            peer.head();
            peer.reply(format!(
                "HTTP/1.1 413 Request Entity Too Large\r\n{head}Content-Length: 5\r\n\r\nlarge"
            ));
            let _ = is_done.take().unwrap().recv_timeout(Duration::from_secs(10));
        });
        let server = Server { timeout: Duration::from_secs(timeout), ..server(address) };
        let started = Instant::now();
        let attempt = send(&server, &large_batch(5_000_000));
        assert!(
            matches!(attempt.disposition, Disposition::TooLarge { is_from_server: false, .. }),
            "{attempt:?}"
        );
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
        drop(done);
    }
}

#[test]
fn a_final_reply_in_pieces_to_an_announced_body_is_read() {
    let address = listen(move |mut peer| {
        peer.head();
        for piece in ["HTTP/1.1 413 Too", " Large\r\nServer: x\r\n", "Content-Length: 5\r\n\r\n"] {
            peer.reply(piece);
            std::thread::sleep(Duration::from_millis(20));
        }
        peer.reply("large");
        let _ = peer.head();
    });
    let attempt = send(&server(address), &large_batch(5_000_000));
    assert!(
        matches!(attempt.disposition, Disposition::TooLarge { is_from_server: false, .. }),
        "{attempt:?}"
    );
}

#[test]
fn a_large_body_is_sent_after_100_continue() {
    let (address, requests) = answer(NO_CONTENT);
    let lines = large_batch(5_000_000);
    let attempt = send(&server(address), &lines);
    assert_eq!(
        (attempt.disposition, attempt.bytes_sent),
        (Disposition::Delivered, lines.len() as u64)
    );
    let (head, body) = requests.recv().unwrap();
    assert!(head.contains("\r\nexpect: 100-continue\r\n"), "{head}");
    assert!(lines.chunks().flatten().eq(&body));
}

#[test]
fn bodies_are_not_announced_again_where_that_failed() {
    for refusal in ["417 Expectation Failed\r\nContent-Length: 0", "100 Continue\r\nServer: old"] {
        let (sender, receiver) = channel();
        let address = listen(move |mut peer| {
            while let Some(head) = peer.head() {
                let announced = head.contains("expect: ");
                sender.send(announced).unwrap();
                if announced {
                    return peer.reply(format!("HTTP/1.1 {refusal}\r\n\r\n"));
                }
                let length =
                    head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
                io::copy(&mut peer.0.by_ref().take(length.parse().unwrap()), &mut io::sink())
                    .unwrap();
                peer.reply(NO_CONTENT);
            }
        });
        let transport = HttpTransport::new(&server(address)).unwrap();
        for _ in 0..2 {
            assert_eq!(
                transport.send(&large_batch(300_000)).disposition,
                Disposition::Delivered,
                "{refusal}"
            );
        }
        assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [true, false, false]);
    }
}

#[test]
fn success_before_the_body_was_sent_is_a_failure() {
    let address = listen(|mut peer| {
        peer.head();
        peer.reply(NO_CONTENT);
    });
    let (cause, reason) = waits(send(&server(address), &large_batch(300_000)).disposition);
    assert_eq!(
        (cause, reason),
        (Cause::Unknown, format!("{address} said 204 before it had the batch"))
    );
}

#[test]
fn requests_go_through_a_tunnel_of_the_proxy() {
    let (sender, receiver) = channel();
    let address = listen(move |mut peer| {
        sender.send(peer.head().unwrap()).unwrap();
        peer.reply("HTTP/1.1 200 OK\r\n\r\n");
        while peer.request().is_some() {
            peer.reply(NO_CONTENT);
        }
    });
    let server = Server { url: "http://db.invalid:8086/write".to_owned(), ..server(address) };
    let transport = through(Some(&format!("http://me:secret@{address}")), &server);
    assert_eq!(transport.send(&Batch::of("db", &["m f=1"])).disposition, Disposition::Delivered);
    assert!(receiver.recv().unwrap().starts_with("CONNECT db.invalid:8086 HTTP/1.1\r\n"));
}

#[test]
fn a_proxy_that_refuses_waits_for_the_operator() {
    let address = listen(|mut peer| {
        peer.head();
        peer.reply("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
    });
    let server = Server { url: "http://db.invalid:8086/write".to_owned(), ..server(address) };
    let transport = through(Some(&format!("http://me:secret@{address}")), &server);
    let (cause, reason) = waits(transport.send(&Batch::of("db", &["m f=1"])).disposition);
    assert_eq!(cause, Cause::Configuration);
    assert!(reason.contains(&format!("db.invalid:8086 through the proxy {address}")), "{reason}");
    assert!(reason.contains("407") && !reason.contains("secret"), "{reason}");
}
