//! Proxies from environment variables. Those belong to a process, so each client runs in its own.

use std::io::{BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use sprockets_influxdb::testing::Server;
use sprockets_influxdb::{Client, Config};
use test_support::flush_until;
use test_support::ports::unused_address;
use test_support::process::remove_settings;
use test_support::tcp::{listen, pump, read_head};

use super::add;
use super::tls_server::Authority;

/// A name that only a proxy can resolve.
const HOST: &str = "db.invalid";

/// A proxy that connects to one server, whatever name a request has, and records requests.
struct Proxy {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn before(server: SocketAddr) -> Self {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let log = requests.clone();
        let address = listen(move |client| {
            let mut client = BufReader::new(client);
            log.lock().unwrap().push(read_head(&mut client)?);
            let client = client.into_inner();
            (&client).write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
            let server = TcpStream::connect(server)?;
            let (from_client, to_server) = (client.try_clone()?, server.try_clone()?);
            thread::spawn(move || carry(&from_client, &to_server));
            carry(&server, &client);
            Ok(())
        });
        Self { address, requests }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn carry(from: &TcpStream, mut to: &TcpStream) {
    // Whatever fails, the other side sees the end of the data.
    let _ = pump(from, |piece| to.write_all(piece).map(|()| piece.len()));
    let _ = to.shutdown(Shutdown::Write);
}

/// The result for ten measurements in a process with these variables and no other settings.
fn outcome(variables: &[(&str, &str)]) -> Value {
    let mut process = Command::new(std::env::current_exe().unwrap());
    process.args(["--exact", "proxy::client_process", "--ignored", "--nocapture"]);
    let output = remove_settings(&mut process).envs(variables.iter().copied()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let outcome = text
        .lines()
        .find_map(|line| line.split_once("outcome: "))
        .unwrap_or_else(|| panic!("{output:?}"));
    serde_json::from_str(outcome.1).unwrap()
}

#[test]
#[ignore = "started by the other tests, in a process of its own"]
#[allow(clippy::print_stdout)]
fn client_process() {
    let config = Config::from_env().unwrap().shutdown_timeout(Duration::ZERO);
    let client = Client::new(config).unwrap();
    add(&client, 10);
    let stats = flush_until(&client, |stats| stats.pending == 0 || stats.last_error.is_some());
    println!("outcome: {}", json!([stats.delivered, stats.pending, stats.last_error]));
}

#[test]
fn a_host_that_only_the_proxy_can_reach_is_reached_through_it() {
    let server = Server::start();
    let proxy = Proxy::before(server.address());
    let with_credentials = format!("http://me:secret@{}", proxy.address);
    let url = format!("http://{HOST}:8086");
    let outcome = outcome(&[("INFLUXDB_URL", &url), ("HTTP_PROXY", &with_credentials)]);
    assert_eq!(outcome, json!([10, 0, null]));
    assert_eq!(server.count("db"), 10);
    let requests = proxy.requests();
    assert_eq!(requests.len(), 1);
    assert!(requests[0].starts_with("CONNECT db.invalid:8086 HTTP/1.1\r\n"), "{requests:?}");
    assert!(
        requests[0].contains("\r\nProxy-Authorization: Basic bWU6c2VjcmV0\r\n"),
        "{requests:?}"
    );
}

#[test]
fn a_proxy_cannot_read_what_is_for_a_server_with_tls() {
    let server = Server::start();
    let authority = Authority::new();
    let front = authority.identity(HOST, |_| {}).serve_before(&server);
    let proxy = Proxy::before(front);
    let file = authority.file();
    let outcome = outcome(&[
        ("INFLUXDB_HOST", HOST),
        ("INFLUXDB_CA_FILE", file.to_str().unwrap()),
        ("HTTPS_PROXY", &proxy.url()),
        ("HTTP_PROXY", "http://127.0.0.1:1"),
    ]);
    assert_eq!(outcome, json!([10, 0, null]));
    assert_eq!((server.count("db"), proxy.requests().len()), (10, 1));
}

/// On Unix the unspecified address reaches this machine, and is not a loopback address by name.
#[cfg(unix)]
#[test]
fn a_host_in_no_proxy_is_reached_directly() {
    let server = Server::start();
    let proxy = Proxy::before(server.address());
    let url = format!("http://0.0.0.0:{}", server.port());
    let variables = [("INFLUXDB_URL", &*url), ("http_proxy", &proxy.url())];
    assert_eq!(outcome(&variables), json!([10, 0, null]));
    assert_eq!(proxy.requests().len(), 1);
    let excepted = [variables[0], variables[1], ("NO_PROXY", "elsewhere.example, 0.0.0.0/8")];
    assert_eq!(outcome(&excepted), json!([10, 0, null]));
    assert_eq!((server.count("db"), proxy.requests().len()), (20, 1));
}

#[test]
fn a_server_on_this_machine_is_reached_directly() {
    let server = Server::start();
    let proxy = Proxy::before(server.address());
    let outcome = outcome(&[("INFLUXDB_URL", &server.url()), ("ALL_PROXY", &proxy.url())]);
    assert_eq!(outcome, json!([10, 0, null]));
    assert_eq!((server.count("db"), proxy.requests().len()), (10, 0));
}

#[test]
fn the_error_names_a_proxy_that_fails_and_everything_waits() {
    let refusing = listen(|client| {
        read_head(&mut BufReader::new(&client))?;
        (&client)
            .write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
    });
    let absent = unused_address();
    for (proxy, says) in [(refusing, "407"), (absent, "connection refused")] {
        let with_credentials = format!("http://me:secret@{proxy}");
        let url = format!("http://{HOST}:8086");
        let outcome = outcome(&[("INFLUXDB_URL", &url), ("ALL_PROXY", &with_credentials)]);
        assert_eq!((&outcome[0], &outcome[1]), (&json!(0), &json!(10)));
        let error = outcome[2].as_str().unwrap();
        assert!(error.contains(&format!("{HOST}:8086 through the proxy {proxy}")), "{error}");
        assert!(error.contains(says) && !error.contains("secret"), "{error}");
    }
}
