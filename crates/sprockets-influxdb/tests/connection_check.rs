//! `Client::check` reports what a server would do with a write, and stores nothing.

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
