//! What is sent, and what cannot be.

use flate2::read::GzDecoder;

use super::*;

#[test]
fn each_api_has_its_own_url_and_credentials() {
    let (address, requests) = answer(NO_CONTENT);
    let lines = Batch::of("data & base/ü", &["m f=1 1", "m f=2 2"]);
    let rest = [
        "content-length: 16".to_owned(),
        "content-type: text/plain; charset=utf-8".to_owned(),
        format!("host: {address}"),
        concat!("user-agent: sprockets-influxdb/v", env!("CARGO_PKG_VERSION")).to_owned(),
    ];
    let query = Some("consistency=any&p=a%20b&&x".to_owned());
    let v1 = Server {
        auth: Auth::Basic { user: "me".to_owned(), password: Secret::new("pass:word") },
        retention_policy: Some("one week".to_owned()),
        query,
        ..server(address)
    };
    let v2 = Server {
        url: format!("http://{address}/api/v2/write"),
        api: Api::V2,
        auth: Auth::Token(Secret::new("t0ken==")),
        org: Some("my org".to_owned()),
        ..server(address)
    };
    let v3 = Server { api: Api::V3, auth: Auth::Token(Secret::new("t0ken")), ..server(address) };
    let whole = Server { query: Some("accept_partial=false".to_owned()), ..v3.clone() };
    let table = [
        (
            v1,
            "/write?db=data%20%26%20base%2F%C3%BC&precision=ns&rp=one%20week\
             &consistency=any&p=a%20b&x",
            Some("authorization: Basic bWU6cGFzczp3b3Jk"),
        ),
        (
            v2,
            "/api/v2/write?bucket=data%20%26%20base%2F%C3%BC&precision=ns&org=my%20org",
            Some("authorization: Token t0ken=="),
        ),
        (
            v3,
            "/write?db=data%20%26%20base%2F%C3%BC&precision=nanosecond&accept_partial=true",
            Some("authorization: Bearer t0ken"),
        ),
        (
            whole,
            "/write?db=data%20%26%20base%2F%C3%BC&precision=nanosecond&accept_partial=false",
            Some("authorization: Bearer t0ken"),
        ),
        (server(address), "/write?db=data%20%26%20base%2F%C3%BC&precision=ns", None),
    ];
    for (server, url, authorization) in table {
        let attempt = send(&server, &lines);
        assert_eq!((attempt.disposition, attempt.bytes_sent), (Disposition::Delivered, 16));
        let authorization: Vec<_> = authorization.map(str::to_owned).into_iter().collect();
        let (head, body) = requests.recv().unwrap();
        let mut headers: Vec<_> = head.lines().map(str::to_owned).collect();
        assert_eq!(headers.remove(0), format!("POST {url} HTTP/1.1"));
        headers.sort();
        // The first is the empty line at the end.
        assert_eq!(headers, [&[String::new()], authorization.as_slice(), &rest].concat());
        assert_eq!(body, b"m f=1 1\nm f=2 2\n");
    }
}

#[test]
fn large_bodies_are_compressed() {
    let (address, requests) = answer(NO_CONTENT);
    let lines = ["m,tag=value f=1 1"; 100];
    let attempt = send(&Server { gzip: true, ..server(address) }, &Batch::of("db", &lines));
    assert_eq!(attempt.disposition, Disposition::Delivered);
    let (head, body) = requests.recv().unwrap();
    assert!(head.contains("\r\ncontent-encoding: gzip\r\n"), "{head}");
    assert_eq!(attempt.bytes_sent, body.len() as u64);
    let mut plain = String::new();
    GzDecoder::new(body.as_slice()).read_to_string(&mut plain).unwrap();
    assert_eq!(plain, lines.map(|line| format!("{line}\n")).concat());
}

#[test]
fn a_database_name_too_long_for_a_url_is_rejected() {
    let (address, _requests) = answer(NO_CONTENT);
    let attempt = send(&server(address), &Batch::of(&"ü".repeat(20_000), &["m f=1"]));
    assert!(matches!(
        attempt.disposition,
        Disposition::Rejected(Rejection { lines: RejectedLines::All, rest_stored: false, .. })
    ));
}

#[test]
fn new_refuses_settings_that_cannot_work() {
    let address = SocketAddr::from(([127, 0, 0, 1], 1));
    let refused = |server: Server| match HttpTransport::new(&server) {
        Ok(_) => panic!("accepted"),
        Err(error) => error.to_string(),
    };
    let token = Auth::Token(Secret::new("sec\nret"));
    let reason = refused(Server { auth: token, ..server(address) });
    assert!(
        reason.starts_with("INFLUXDB_TOKEN has a character") && !reason.contains("sec"),
        "{reason}"
    );
    let reason = refused(Server { url: "http://".to_owned(), ..server(address) });
    assert!(reason.starts_with("the server's URL cannot be used"), "{reason}");
}
