//! Carries batches to an InfluxDB over HTTP/1.1: one pool of connections, blocking, each request within its timeout
//! whatever the server does. What a reply means is `verdict`'s to say; what the lack of one means is said here.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use ureq::http::Response;
use ureq::http::header::{EXPECT, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use ureq::tls::TlsConfig;
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, ProxyProtocol, SendBody, Timeout};

use super::body::Body;
use super::resolver::{Ignorant, Remembering};
use super::tls;
use super::transport::{Attempt, Cause, Scope, Transport, Verdict, Which};
use super::verdict::{Reply, verdict};
use super::way::Way;
use super::words::clean;
use crate::buffer::Batch;
use crate::config::Server;
use crate::error::Result;

const USER_AGENT: &str = concat!("sprockets-influxdb/v", env!("CARGO_PKG_VERSION"));

const INFLUXDB_ERROR: HeaderName = HeaderName::from_static("x-influxdb-error");

/// Three tries of the kernel's to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// VictoriaMetrics closes a connection that was idle for a minute, InfluxDB later or never.
const IDLE_AGE: Duration = Duration::from_secs(50);

/// More than there are senders: each keeps its connection.
const IDLE_CONNECTIONS: usize = 1024;

/// A server that refuses a request before it has read the body may close the connection on what is still being sent, and
/// the reply is lost. More than this is announced first, and waits for the server's consent: one more round trip.
const ANNOUNCED: u64 = 256 * 1024;

/// As much of a reply as is read; influxd 1.x repeats every bad line in it.
const REPLY_LIMIT: usize = 64 * 1024;

/// Of a reply's status line and headers, of which influxd's error is at most 1,024 bytes.
const HEADER_LIMIT: usize = 16 * 1024;

/// What is written at once: larger than any request line, which has to fit in it whole.
const BUFFER: usize = 128 * 1024;

/// Sends batches to one server.
pub(crate) struct HttpTransport {
    way: Arc<Way>,
    /// Made at the first batch: to read the platform's roots takes milliseconds, and the application may be waiting for
    /// `new`.
    agent: OnceLock<Agent>,
    /// Whether a connection may wait in the pool that the server has closed meanwhile.
    pooled: AtomicBool,
    /// Whether large bodies are announced: until something on the way shows that it cannot.
    announces: AtomicBool,
}

/// Has the HTTP library make now what all requests share. It is made at the first of them, under a lock: a process that is
/// forked at that moment would wait for it for ever.
fn make_what_is_made_once() {
    let config = Agent::config_builder().proxy(None).build();
    let agent = Agent::with_parts(config, DefaultConnector::default(), Ignorant);
    // It ends where it would need an address.
    let _ = agent.get("http://localhost/").call();
}

impl HttpTransport {
    pub(crate) fn new(server: &Server) -> Result<Self> {
        Way::new(server).map(|way| Self::along(Arc::new(way)))
    }

    /// What connections are made to, for a person.
    pub(super) fn shown(&self) -> String {
        self.way.shown()
    }

    fn along(way: Arc<Way>) -> Self {
        make_what_is_made_once();
        let (pooled, announces) = (AtomicBool::new(false), AtomicBool::new(true));
        Self { way, agent: OnceLock::new(), pooled, announces }
    }

    /// The connections, made when they are first needed.
    fn agent(&self) -> Result<&Agent, Verdict> {
        if let Some(agent) = self.agent.get() {
            return Ok(agent);
        }
        let mut config = Agent::config_builder()
            .accept("")
            .http_status_as_error(false)
            .input_buffer_size(2 * HEADER_LIMIT)
            .max_idle_age(IDLE_AGE)
            .max_idle_connections(IDLE_CONNECTIONS)
            .max_idle_connections_per_host(IDLE_CONNECTIONS)
            .max_redirects(0)
            .max_response_header_size(HEADER_LIMIT)
            .output_buffer_size(BUFFER)
            .proxy(self.way.proxy.clone())
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(self.way.timeout))
            .timeout_resolve(Some(CONNECT_TIMEOUT))
            .user_agent(USER_AGENT);
        if self.way.https
            || self.way.proxy.as_ref().is_some_and(|proxy| proxy.protocol() == ProxyProtocol::Https)
        {
            let roots = tls::roots(&self.way.authorities)
                .map_err(|todo| retry(Cause::Configuration, todo))?;
            config = config.tls_config(TlsConfig::builder().root_certs(roots).build());
        }
        let connector = DefaultConnector::default();
        let make = || Agent::with_parts(config.build(), connector, <Remembering>::default());
        Ok(self.agent.get_or_init(make))
    }

    /// One request, and what came of it. `timeout` is what the first of two has left to the second. `look` sees the reply's
    /// head.
    fn exchange(
        &self,
        agent: &Agent,
        url: &str,
        batch: &Batch,
        body: &Body,
        timeout: Option<Duration>,
        look: &mut dyn FnMut(&Response<ureq::Body>),
    ) -> Exchange {
        let mut request = self.way.request(url, body);
        if body.length() > ANNOUNCED && self.announces.load(Ordering::Relaxed) {
            request = request.header(EXPECT, "100-continue");
        }
        let mut reader = body.reader(batch);
        let result = match request.body(SendBody::from_reader(&mut reader)) {
            Ok(request) => match timeout {
                None => agent.run(request),
                Some(left) => {
                    agent.run(agent.configure_request(request).timeout_global(Some(left)).build())
                }
            },
            Err(error) => Err(error.into()),
        };
        let bytes_sent = reader.taken();
        let whole = bytes_sent == body.length();
        let (again, verdict) = match result {
            Ok(reply) => {
                look(&reply);
                (self.is_unannounceable(&reply), self.read(reply, batch, whole))
            }
            Err(error) => (self.is_passing(&error), self.lost(&error, whole)),
        };
        Exchange { again, attempt: Attempt { verdict, bytes_sent } }
    }

    /// What a reply means, of which the status and the headers are here and the text is still to come.
    fn read(&self, reply: Response<ureq::Body>, batch: &Batch, whole: bool) -> Verdict {
        let (head, body) = reply.into_parts();
        let (text, truncated) = read_text(body.into_reader());
        // A connection whose reply was read to its end goes back to the pool.
        self.pooled.fetch_or(!truncated, Ordering::Relaxed);

        let status = head.status.as_u16();
        if head.status.is_success() && !whole {
            return retry(
                Cause::Unknown,
                format!("{} said {status} before it had the batch", self.way.peer),
            );
        }
        let header = |name| head.headers.get::<HeaderName>(name);
        let reply = Reply {
            api: self.way.api,
            status,
            retry_after: header(RETRY_AFTER).and_then(|value| value.to_str().ok()),
            location: header(LOCATION).and_then(|value| value.to_str().ok()),
            error_header: header(INFLUXDB_ERROR).map(HeaderValue::as_bytes),
            body: &text,
            truncated,
            now: SystemTime::now(),
        };
        verdict(&reply, batch)
    }

    /// Whether a server or a proxy could not be asked for its consent, which it will not be again.
    fn is_unannounceable(&self, reply: &Response<ureq::Body>) -> bool {
        reply.status().as_u16() == 417 && self.announces.swap(false, Ordering::Relaxed)
    }

    /// Whether the same request may succeed at once: the server had closed the connection that it went out on, or gave
    /// its consent with headers, which are not understood.
    fn is_passing(&self, error: &ureq::Error) -> bool {
        match error {
            ureq::Error::Io(error) if is_disconnect(error.kind()) => {
                self.pooled.swap(false, Ordering::Relaxed)
            }
            ureq::Error::Protocol(error)
                if error.to_string().starts_with("received headers with 100-continue") =>
            {
                self.announces.swap(false, Ordering::Relaxed)
            }
            _ => false,
        }
    }

    /// What it means that no reply came. `whole` says whether all of the body was sent.
    fn lost(&self, error: &ureq::Error, whole: bool) -> Verdict {
        let peer = self.way.shown();
        let unknown = |reason| retry(Cause::Unknown, reason);
        let configuration = |todo| retry(Cause::Configuration, todo);
        let connect_timeout = CONNECT_TIMEOUT.min(self.way.timeout);
        match error {
            ureq::Error::Timeout(Timeout::Resolve) => {
                unknown(format!("no address for {peer} within {connect_timeout:?}"))
            }
            ureq::Error::Timeout(Timeout::Connect) => {
                unknown(format!("no connection to {peer} within {connect_timeout:?}"))
            }
            ureq::Error::Timeout(_) => {
                unknown(format!("no reply from {peer} within {:?}", self.way.timeout))
            }
            ureq::Error::HostNotFound => {
                unknown(format!("no address for {peer}: check INFLUXDB_HOST"))
            }
            ureq::Error::Io(error) => match (tls::refusal(error, &self.way.peer), error.kind()) {
                (Some(todo), _) => configuration(todo),
                (None, io::ErrorKind::ConnectionRefused) => unknown(format!(
                    "no server at {peer}: connection refused; start it, or check INFLUXDB_HOST and INFLUXDB_PORT"
                )),
                (None, kind) if is_disconnect(kind) => {
                    unknown(format!("{peer} closed the connection before it replied"))
                }
                (None, _) => unknown(format!("no connection to {peer}: {error}")),
            },
            ureq::Error::Tls(_) | ureq::Error::Rustls(_) => {
                configuration(format!("no TLS with {peer}: {error}"))
            }
            ureq::Error::ConnectProxyFailed(answer) => {
                let todo = if answer.contains("responded 407") {
                    "; put its credentials into the proxy's URL"
                } else {
                    "; check the proxy that the environment names"
                };
                let reason = format!("no connection to {peer}: {}{todo}", clean(answer));
                // "proxy server responded 407/407"
                if answer.contains("responded 4") { configuration(reason) } else { unknown(reason) }
            }
            ureq::Error::Protocol(error) => match error
                .to_string()
                .strip_prefix("http parse fail: ")
            {
                Some("invalid HTTP version" | "invalid response status") => configuration(format!(
                    "what answers at {peer} does not speak HTTP: check INFLUXDB_HOST, INFLUXDB_PORT and INFLUXDB_SCHEME"
                )),
                Some(fault) if whole => Verdict::Unparsable {
                    reason: format!("the reply of {peer} cannot be read: {fault}"),
                },
                _ => unknown(format!("the reply of {peer} cannot be read: {error}")),
            },
            ureq::Error::LargeResponseHeader(..) => {
                unknown(format!("the reply of {peer} has headers without end"))
            }
            // Its text may have the URL in it.
            _ => unknown(format!("no request to {peer} could be made")),
        }
    }

    /// As [`Transport::send`]; `look` sees the head of each reply.
    pub(super) fn send_and_look(
        &self,
        batch: &Batch,
        look: &mut dyn FnMut(&Response<ureq::Body>),
    ) -> Attempt {
        let Some(url) = self.way.url(batch) else {
            let reason =
                clean(&format!("no URL can hold the name of database {:?}", batch.database()));
            return unsent(Verdict::Rejected { which: Which::All, rest_stored: false, reason });
        };
        let agent = match self.agent() {
            Ok(agent) => agent,
            Err(verdict) => return unsent(verdict),
        };
        let body = Body::of(batch, self.way.gzip);
        let started = Instant::now();
        let first = self.exchange(agent, &url, batch, &body, None, look);
        let left = self.way.timeout.saturating_sub(started.elapsed());
        if !first.again || left.is_zero() {
            return first.attempt;
        }
        let second = self.exchange(agent, &url, batch, &body, Some(left), look).attempt;
        Attempt { bytes_sent: first.attempt.bytes_sent + second.bytes_sent, ..second }
    }
}

impl Transport for HttpTransport {
    fn send(&self, batch: &Batch) -> Attempt {
        self.send_and_look(batch, &mut |_| {})
    }

    fn afresh(&self) -> Arc<dyn Transport> {
        Arc::new(Self::along(self.way.clone()))
    }
}

struct Exchange {
    attempt: Attempt,
    /// Whether to try once more at once.
    again: bool,
}

fn unsent(verdict: Verdict) -> Attempt {
    Attempt { verdict, bytes_sent: 0 }
}

fn retry(cause: Cause, reason: String) -> Verdict {
    Verdict::Retry { cause, scope: Scope::Server, after: None, reason }
}

fn is_disconnect(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof,
    };
    matches!(kind, BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof)
}

/// What there is of a text, and whether it goes on after that. A connection with more on it is closed when the reader is
/// dropped: draining it would take as long as the server likes.
fn read_text(reader: impl Read) -> (Vec<u8>, bool) {
    let mut text = Vec::new();
    let cut = reader.take(REPLY_LIMIT as u64 + 1).read_to_end(&mut text).is_err();
    let truncated = cut || text.len() > REPLY_LIMIT;
    text.truncate(REPLY_LIMIT);
    (text, truncated)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::sync::mpsc::{Receiver, channel};

    use flate2::read::GzDecoder;
    use ureq::Proxy;

    use super::*;
    use crate::config::{Api, Auth, Authorities, Secret};

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
            query: None,
            api: Api::V1,
            auth: Auth::None,
            org: None,
            retention_policy: None,
            gzip: false,
            timeout: Duration::from_secs(20),
            authorities: Authorities::default(),
        }
    }

    /// Listens, and plays `serve` on each connection, one after another, until the test ends.
    fn listen(mut serve: impl FnMut(Peer) + Send + 'static) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            listener.incoming().for_each(|stream| serve(Peer(BufReader::new(stream.unwrap()))))
        });
        address
    }

    /// Answers every request with `reply`, and tells of it.
    fn answer(reply: &'static str) -> (SocketAddr, Receiver<(String, Vec<u8>)>) {
        let (tell, told) = channel();
        let address = listen(move |mut peer| {
            while let Some(request) = peer.request() {
                let _ = tell.send(request);
                peer.reply(reply);
            }
        });
        (address, told)
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

    /// The transport with this proxy, whatever the environment names.
    fn through(proxy: Option<&str>, server: &Server) -> HttpTransport {
        let mut way = Way::new(server).unwrap();
        way.proxy = proxy.map(|proxy| Proxy::new(proxy).unwrap());
        HttpTransport::along(Arc::new(way))
    }

    fn send(server: &Server, batch: &Batch) -> Attempt {
        HttpTransport::new(server).unwrap().send(batch)
    }

    /// The verdict on a batch of one line that is answered so.
    fn verdict_of(reply: &'static str) -> Verdict {
        send(&server(answer(reply).0), &Batch::of("db", &["m f=1"])).verdict
    }

    /// Its cause and its reason, of a verdict that is to wait for the whole server.
    #[track_caller]
    fn waits(verdict: Verdict) -> (Cause, String) {
        match verdict {
            Verdict::Retry { cause, scope: Scope::Server, reason, .. } => (cause, reason),
            other => panic!("{other:?}"),
        }
    }

    fn large_batch(bytes: usize) -> Batch {
        let line = format!("m s=\"{}\" 1", "x".repeat(1000));
        Batch::of("db", &vec![line.as_str(); bytes / line.len() + 1])
    }

    #[test]
    fn the_request_of_each_version() {
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
        let v3 =
            Server { api: Api::V3, auth: Auth::Token(Secret::new("t0ken")), ..server(address) };
        let whole = Server { query: Some("accept_partial=false".to_owned()), ..v3.clone() };
        let table = [
            (
                v1,
                "/write?db=data%20%26%20base%2F%C3%BC&precision=ns&rp=one%20week&consistency=any&p=a%20b&x",
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
            assert_eq!((attempt.verdict, attempt.bytes_sent), (Verdict::Delivered, 16));
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
        assert_eq!(attempt.verdict, Verdict::Delivered);
        let (head, body) = requests.recv().unwrap();
        assert!(head.contains("\r\ncontent-encoding: gzip\r\n"), "{head}");
        assert_eq!(attempt.bytes_sent, body.len() as u64);
        let mut plain = String::new();
        GzDecoder::new(body.as_slice()).read_to_string(&mut plain).unwrap();
        assert_eq!(plain, lines.map(|line| format!("{line}\n")).concat());
    }

    #[test]
    fn one_connection_serves_all_batches() {
        let (tell, told) = channel();
        let address = listen(move |mut peer| {
            tell.send(()).unwrap();
            while peer.request().is_some() {
                peer.reply("HTTP/1.1 400 Bad Request\r\nContent-Length: 22\r\n\r\n{\"error\":\"no reason\"}\n");
            }
        });
        let transport = HttpTransport::new(&server(address)).unwrap();
        for _ in 0..3 {
            assert!(matches!(
                transport.send(&Batch::of("db", &["m f=1"])).verdict,
                Verdict::Rejected { .. }
            ));
        }
        assert_eq!(told.try_iter().count(), 1);
    }

    #[test]
    fn a_forked_process_has_connections_of_its_own() {
        let (tell, told) = channel();
        let address = listen(move |mut peer| {
            tell.send(()).unwrap();
            peer.request().unwrap();
            peer.reply(NO_CONTENT);
        });
        let transport = HttpTransport::new(&server(address)).unwrap();
        let lines = Batch::of("db", &["m f=1"]);
        assert_eq!(transport.send(&lines).verdict, Verdict::Delivered);
        assert_eq!(transport.afresh().send(&lines).verdict, Verdict::Delivered);
        assert_eq!(told.try_iter().count(), 2);
    }

    #[test]
    fn a_connection_that_the_server_has_given_up_is_replaced() {
        let mut served = 0;
        let (tell, told) = channel();
        let address = listen(move |mut peer| {
            while peer.request().is_some() {
                served += 1;
                tell.send(served).unwrap();
                if served == 2 {
                    return;
                }
                peer.reply(NO_CONTENT);
            }
        });
        let transport = HttpTransport::new(&server(address)).unwrap();
        let lines = Batch::of("db", &["m f=1"]);
        assert_eq!(transport.send(&lines).verdict, Verdict::Delivered);
        let attempt = transport.send(&lines);
        assert_eq!((attempt.verdict, attempt.bytes_sent), (Verdict::Delivered, 12));
        assert_eq!(told.try_iter().last(), Some(3));
    }

    #[test]
    fn a_server_that_hangs_up_is_not_asked_twice() {
        let (tell, told) = channel();
        let address = listen(move |mut peer| {
            peer.request();
            tell.send(()).unwrap();
        });
        let (cause, reason) = waits(send(&server(address), &Batch::of("db", &["m f=1"])).verdict);
        assert_eq!(
            (cause, reason),
            (Cause::Unknown, format!("{address} closed the connection before it replied"))
        );
        assert_eq!(told.try_iter().count(), 1);
    }

    #[test]
    fn a_reply_before_the_body_is_read() {
        let address = listen(|mut peer| {
            peer.head();
            peer.reply("HTTP/1.1 413 Request Entity Too Large\r\nConnection: close\r\nContent-Length: 5\r\n\r\nlarge");
        });
        let attempt = send(&server(address), &large_batch(5_000_000));
        assert_eq!(attempt.verdict, Verdict::TooLarge { reason: "413: large".to_owned() });
        assert_eq!(attempt.bytes_sent, 0);
    }

    #[test]
    fn a_large_body_is_sent_after_consent() {
        let (address, requests) = answer(NO_CONTENT);
        let lines = large_batch(5_000_000);
        let attempt = send(&server(address), &lines);
        assert_eq!((attempt.verdict, attempt.bytes_sent), (Verdict::Delivered, lines.len() as u64));
        let (head, body) = requests.recv().unwrap();
        assert!(head.contains("\r\nexpect: 100-continue\r\n"), "{head}");
        assert!(lines.chunks().flatten().eq(&body));
    }

    #[test]
    fn a_server_that_cannot_consent_is_not_asked_again() {
        for refusal in
            ["417 Expectation Failed\r\nContent-Length: 0", "100 Continue\r\nServer: old"]
        {
            let (tell, told) = channel();
            let address = listen(move |mut peer| {
                while let Some(head) = peer.head() {
                    let announced = head.contains("expect: ");
                    tell.send(announced).unwrap();
                    if announced {
                        return peer.reply(format!("HTTP/1.1 {refusal}\r\n\r\n"));
                    }
                    let length = head
                        .lines()
                        .find_map(|line| line.strip_prefix("content-length: "))
                        .unwrap();
                    io::copy(&mut peer.0.by_ref().take(length.parse().unwrap()), &mut io::sink())
                        .unwrap();
                    peer.reply(NO_CONTENT);
                }
            });
            let transport = HttpTransport::new(&server(address)).unwrap();
            for _ in 0..2 {
                assert_eq!(
                    transport.send(&large_batch(300_000)).verdict,
                    Verdict::Delivered,
                    "{refusal}"
                );
            }
            assert_eq!(told.try_iter().collect::<Vec<_>>(), [true, false, false]);
        }
    }

    #[test]
    fn success_before_the_body_is_none() {
        let address = listen(|mut peer| {
            peer.head();
            peer.reply(NO_CONTENT);
        });
        let (cause, reason) = waits(send(&server(address), &large_batch(300_000)).verdict);
        assert_eq!(
            (cause, reason),
            (Cause::Unknown, format!("{address} said 204 before it had the batch"))
        );
    }

    #[test]
    fn a_control_byte_in_a_header_makes_a_reply_unparsable() {
        for byte in ["\u{1}", "\0", "\u{7f}"] {
            let reply: &str =
                format!("HTTP/1.1 400 Bad Request\r\nX-Influxdb-Error: a{byte}b\r\n\r\n").leak();
            assert!(matches!(verdict_of(reply), Verdict::Unparsable { .. }));
        }
    }

    #[test]
    fn what_does_not_speak_http_is_a_matter_of_configuration() {
        for reply in [
            "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
            "\u{15}\u{3}\u{1}\0\u{2}\u{2}\n",
            "-ERR unknown command\r\n",
        ] {
            let (cause, reason) = waits(verdict_of(reply));
            assert_eq!(cause, Cause::Configuration);
            assert!(reason.contains("does not speak HTTP: check INFLUXDB_HOST"), "{reason}");
        }
    }

    #[test]
    fn an_endless_reply_is_cut_short() {
        let (tell, told) = channel();
        let address = listen(move |mut peer| {
            peer.request();
            let text =
                format!("{{\"error\":\"partial write: unable to parse '{}", "x".repeat(7_000_000));
            peer.reply(format!(
                "HTTP/1.1 400 Bad Request\r\nContent-Length: {}\r\n\r\n",
                text.len()
            ));
            tell.send(peer.0.get_mut().write_all(text.as_bytes()).is_err()).unwrap();
        });
        let found = send(&server(address), &Batch::of("db", &["m f=1"])).verdict;
        let which = Which::Unknown { count: None };
        assert!(
            matches!(&found, Verdict::Rejected { which: w, rest_stored: true, .. } if *w == which),
            "{found:?}"
        );
        assert!(told.recv().unwrap(), "the connection is closed");
    }

    #[test]
    fn a_text_that_stops_does_not_hide_the_status() {
        let address = listen(|mut peer| {
            peer.request();
            peer.reply(
                "HTTP/1.1 503 Unavailable\r\nContent-Length: 99\r\nRetry-After: 3\r\n\r\nbus",
            );
        });
        let found = send(&server(address), &Batch::of("db", &["m f=1"])).verdict;
        let after = Some(Duration::from_secs(3));
        let reason = "503: bus".to_owned();
        assert_eq!(
            found,
            Verdict::Retry { cause: Cause::Busy, scope: Scope::Server, after, reason }
        );
    }

    #[test]
    fn a_black_hole_holds_no_batch_beyond_the_timeout() {
        // It accepts, reads nothing and says nothing.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        for lines in [Batch::of("db", &["m f=1"]), large_batch(20_000_000)] {
            let server = Server { timeout: Duration::from_millis(50), ..server(address) };
            let (cause, reason) = waits(send(&server, &lines).verdict);
            assert_eq!(
                (cause, reason),
                (Cause::Unknown, format!("no reply from {address} within 50ms"))
            );
        }
    }

    #[test]
    fn no_server_is_an_unknown_cause() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (cause, reason) = waits(send(&server(address), &Batch::of("db", &["m f=1"])).verdict);
        let told = format!("no server at {address}: connection refused; start it, or check ");
        assert!(cause == Cause::Unknown && reason.starts_with(&told), "{reason}");

        let unknown =
            Server { url: "http://no-such-host.invalid:1/write".to_owned(), ..server(address) };
        let transport = through(None, &unknown);
        let (cause, reason) = waits(transport.send(&Batch::of("db", &["m f=1"])).verdict);
        assert_eq!(cause, Cause::Unknown);
        assert!(reason.contains("no-such-host.invalid:1"), "{reason}");
    }

    #[test]
    fn redirects_are_not_followed() {
        let (cause, reason) = waits(verdict_of(
            "HTTP/1.1 307 Moved\r\nLocation: http://127.0.0.1:1/x?p=secret\r\nContent-Length: 0\r\n\r\n",
        ));
        assert_eq!(cause, Cause::Configuration);
        assert!(
            reason.starts_with("the server redirects to http://127.0.0.1:1/x, and"),
            "{reason}"
        );
    }

    #[test]
    fn tls_to_a_plain_port_says_so() {
        let address =
            listen(|mut peer| peer.reply("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"));
        let tls = Server {
            url: format!("https://{address}/write"),
            authorities: Authorities::of_pem(CA),
            ..server(address)
        };
        let found = send(&tls, &Batch::of("db", &["m f=1"])).verdict;
        let reason =
            format!("the server at {address} does not speak TLS: set INFLUXDB_SCHEME=http");
        assert_eq!(waits(found), (Cause::Configuration, reason));
    }

    #[test]
    fn a_proxy_is_asked_for_a_tunnel() {
        let (tell, told) = channel();
        let address = listen(move |mut peer| {
            tell.send(peer.head().unwrap()).unwrap();
            peer.reply("HTTP/1.1 200 OK\r\n\r\n");
            while peer.request().is_some() {
                peer.reply(NO_CONTENT);
            }
        });
        let server = Server { url: "http://db.invalid:8086/write".to_owned(), ..server(address) };
        let transport = through(Some(&format!("http://me:secret@{address}")), &server);
        assert_eq!(transport.send(&Batch::of("db", &["m f=1"])).verdict, Verdict::Delivered);
        assert!(told.recv().unwrap().starts_with("CONNECT db.invalid:8086 HTTP/1.1\r\n"));
    }

    #[test]
    fn a_proxy_that_refuses_is_a_matter_of_configuration() {
        let address = listen(|mut peer| {
            peer.head();
            peer.reply("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
        });
        let server = Server { url: "http://db.invalid:8086/write".to_owned(), ..server(address) };
        let transport = through(Some(&format!("http://me:secret@{address}")), &server);
        let (cause, reason) = waits(transport.send(&Batch::of("db", &["m f=1"])).verdict);
        assert_eq!(cause, Cause::Configuration);
        assert!(
            reason.contains(&format!("db.invalid:8086 through the proxy {address}")),
            "{reason}"
        );
        assert!(reason.contains("407") && !reason.contains("secret"), "{reason}");
    }

    #[test]
    fn a_name_that_no_url_holds_is_rejected() {
        let (address, _requests) = answer(NO_CONTENT);
        let attempt = send(&server(address), &Batch::of(&"ü".repeat(20_000), &["m f=1"]));
        assert!(matches!(
            attempt.verdict,
            Verdict::Rejected { which: Which::All, rest_stored: false, .. }
        ));
    }

    #[test]
    fn what_cannot_work_is_refused_at_once() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
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
}
