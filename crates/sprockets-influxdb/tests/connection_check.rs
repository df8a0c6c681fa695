//! `Client::check` reports what a server would do with a write, and stores nothing.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use Finding::{Failed, Passed, Unknown};
use sprockets_influxdb::testing::{Fault, Server};
use sprockets_influxdb::{Api, Check, Client, Config, Finding};

fn check(server: &Server, config: Config, database: Option<&str>) -> Check {
    Client::new(config.url(&server.url())).unwrap().check(database)
}

fn says(finding: &Finding) -> &str {
    match finding {
        Failed(message) | Unknown(message) => message,
        _ => "",
    }
}

#[test]
fn the_check_of_each_api_stores_nothing() {
    let server = Server::start();
    for (config, is_known) in [
        (Config::new(), true),
        (Config::new().org("o").token("t"), true),
        (Config::new().token("t"), false),
    ] {
        let found = check(&server, config.clone(), Some("db"));
        assert_eq!((&found.connection, &found.authentication), (&Passed, &Passed));
        assert_eq!(found.database == Passed, is_known, "{found:?}");
        assert!(found.is_passed() && found.server.starts_with("InfluxDB 1.8.10 at "));
        let found = check(&server, config, None);
        assert_eq!((&found.connection, &found.authentication), (&Passed, &Passed));
        assert_eq!(says(&found.database), "no database was named");
    }
    assert_eq!(server.count("db"), 0);
    assert!(server.databases().is_empty(), "{:?}", server.databases());
}

#[test]
fn a_missing_token_and_a_missing_permission_are_distinguished() {
    let server = Server::start();
    server.require_token("right");
    for (config, advice) in [
        (Config::new().api(Api::V3), "none is set: set INFLUXDB_TOKEN"),
        (Config::new().token("wrong"), "refused the credentials: check"),
        (Config::new().token("wrong").org("o"), "refused the credentials: check"),
    ] {
        let found = check(&server, config, Some("db"));
        assert_eq!(found.connection, Passed);
        assert!(says(&found.authentication).contains(advice), "{found:?}");
        assert!(!found.is_passed() && matches!(found.database, Unknown(_)));
    }
    for config in [Config::new().token("right"), Config::new().token("right").org("o")] {
        server.inject(Fault::error(403, "forbidden"));
        let found = check(&server, config, Some("db"));
        assert_eq!((&found.connection, &found.authentication), (&Passed, &Passed));
        assert!(says(&found.database).contains("no permission to write to"), "{found:?}");
    }
}

#[test]
fn another_server_and_a_proxy_are_distinguished_from_influxdb() {
    let server = Server::start();
    for (reply, says_so) in [
        (
            "200 OK\r\nServer: nginx/1.2",
            "is no InfluxDB, or a proxy that has none behind it (Server: nginx/1.2)",
        ),
        ("405 Method Not Allowed\r\nServer: nginx", "it replied 405 to a write"),
        ("501 Unsupported method\r\nVia: 1.1 squid", "(Via: 1.1 squid)"),
        ("502 Bad Gateway", "is no InfluxDB, or a proxy"),
        ("404 Not Found", "it may be a proxy before it"),
        ("407 Proxy Authentication Required", "the proxy wants credentials"),
        (
            "302 Found\r\nLocation: https://login.example/?token=secret",
            "redirects to https://login.example/,",
        ),
    ] {
        let reply = format!("HTTP/1.1 {reply}\r\nContent-Length: 0\r\n\r\n");
        server.inject(Fault::raw(reply.as_bytes()));
        let found = check(&server, Config::new(), Some("db"));
        assert!(says(&found.connection).contains(says_so), "{found:?}");
        assert!(found.connection.is_failed() && !found.is_passed());
        assert!(!format!("{found:?}").contains("secret"));
    }
    server.inject(Fault::raw(b"HTTP/1.1 401 No\r\nServer: nginx\r\nContent-Length: 0\r\n\r\n"));
    let found = check(&server, Config::new(), Some("db"));
    assert_eq!(found.connection, Passed);
    let message = says(&found.authentication);
    assert!(
        message.contains("none are set") && message.contains("(Server: nginx): it may be a proxy"),
        "{message}"
    );
}

#[test]
fn without_a_reply_the_check_says_where_to_look() {
    let server = Server::start();
    for fault in [Fault::close(), Fault::black_hole()] {
        server.inject_always(fault);
        let found = check(&server, Config::new().set("timeout", "50"), Some("db"));
        let message = says(&found.connection);
        assert!(
            found.connection.is_failed() && message.contains("look into the server's log"),
            "{message}"
        );
        assert_eq!(says(&found.database), "there is no connection");
        server.clear_faults();
    }
}

/// Plays what InfluxDB 3.6 answers to queries, and notes the first line of each request.
struct InfluxDb3 {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl InfluxDb3 {
    /// `reply` gives the status and the body for a path.
    fn start(reply: impl Fn(&str) -> (&'static str, &'static str) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let noted = requests.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                // A request without a body for each connection.
                let stream = stream.unwrap();
                let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
                let Some(request) = lines.next() else { continue };
                lines.find(String::is_empty);
                let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
                noted.lock().unwrap().push(request);
                answer(&stream, reply(&path));
            }
        });
        Self { url, requests }
    }

    fn check(&self, config: Config, database: Option<&str>) -> Check {
        Client::new(config.url(&self.url)).unwrap().check(database)
    }
}

fn answer(mut stream: &TcpStream, (status, body): (&str, &str)) {
    let version = if status == "200 OK" && body.contains("3.6.0") {
        "X-Influxdb-Build: Core\r\nX-Influxdb-Version: 3.6.0\r\n"
    } else {
        ""
    };
    let length = body.len();
    let reply = format!(
        "HTTP/1.1 {status}\r\n{version}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    // The client may be gone.
    let _ = stream.write_all(reply.as_bytes());
}

fn configs() -> [Config; 3] {
    [
        Config::new().credentials("user", "token"),
        Config::new().org("o").token("token"),
        Config::new().token("token"),
    ]
}

const PING: &str = r#"{"version":"3.6.0","revision":"0","process_id":"0"}"#;
const DATABASES: &str = r#"[{"iox::database":"_internal"},{"iox::database":"db"}]"#;

#[test]
fn an_influxdb_3_is_known_on_every_api_and_is_never_written_to() {
    let server = InfluxDb3::start(|path| match path {
        "/ping" => ("200 OK", PING),
        "/api/v3/configure/database?format=json" => ("200 OK", DATABASES),
        _ => ("204 No Content", ""),
    });
    for config in configs() {
        let found = server.check(config.clone(), Some("db"));
        assert!(found.server.starts_with("InfluxDB 3.6.0 at 127.0.0.1:"), "{found:?}");
        assert_eq!((&found.connection, &found.authentication), (&Passed, &Passed));
        assert_eq!(found.database, Passed);
        let found = server.check(config.clone(), Some("dbb"));
        assert!(says(&found.database).contains("\"dbb\" does not exist yet"), "{found:?}");
        assert!(found.is_passed());
        let found = server.check(config, None);
        assert_eq!(says(&found.database), "no database was named");
    }
    let policy = Config::new().retention_policy("week");
    let found = server.check(policy, Some("db"));
    assert!(says(&found.database).contains("\"db/week\" does not exist yet"), "{found:?}");
    let requests = server.requests.lock().unwrap();
    assert!(requests.iter().all(|request| request.starts_with("GET ")), "{requests:?}");
}

#[test]
fn an_influxdb_3_behind_a_proxy_that_hides_its_ping_is_known() {
    let server = InfluxDb3::start(|path| match path {
        "/ping" => ("404 Not Found", ""),
        _ => ("200 OK", DATABASES),
    });
    let found = server.check(Config::new(), Some("db"));
    assert!(found.server.starts_with("an InfluxDB 3 at ") && found.is_passed(), "{found:?}");
    assert_eq!(found.database, Passed);
}

#[test]
fn credentials_that_an_influxdb_3_refuses_are_reported() {
    let malformed = r#"{"error": "Authorization header was malformed, the request was not in…"}"#;
    let unreadable = InfluxDb3::start(move |_| ("400 Bad Request", malformed));
    let refused = InfluxDb3::start(|path| match path {
        "/ping" => ("200 OK", PING),
        _ => ("401 Unauthorized", ""),
    });
    for config in configs() {
        let found = unreadable.check(config.clone(), Some("db"));
        let advice = says(&found.authentication);
        assert!(advice.contains("could not read the credentials: check INFLUXDB_"), "{advice}");
        let found = refused.check(config, Some("db"));
        let advice = says(&found.authentication);
        assert!(advice.contains("refused the credentials: check INFLUXDB_"), "{advice}");
        assert!(matches!(found.database, Unknown(_)) && !found.is_passed());
    }
    let found = refused.check(Config::new(), Some("db"));
    assert!(says(&found.authentication).contains("none is set: set INFLUXDB_TOKEN"), "{found:?}");
}
