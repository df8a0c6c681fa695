//! `Client::check` reports what a server would do with a write, and stores nothing.

use Finding::{Failed, Passed, Unknown};
use sprockets_influxdb::testing::{Fault, ForeignReply, Product, Server};
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
        assert!(says(&found.database).starts_with("no database was named: "), "{found:?}");
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
        (Config::new().token("wrong"), "rejected the credentials: check"),
        (Config::new().token("wrong").org("o"), "rejected the credentials: check"),
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

/// Both editions of InfluxDB 3, each with the database `db`.
fn influxdb3() -> impl Iterator<Item = (&'static str, Server)> {
    [("3.6.0", Product::InfluxDb3_6), ("3.10.1", Product::InfluxDb3_10)].into_iter().map(
        |(version, product)| {
            let server = Server::start_as(product);
            server.create_database("db");
            (version, server)
        },
    )
}

/// A configuration for each API, all with the same token.
fn configs(token: &str) -> [Config; 3] {
    [
        Config::new().credentials("user", token),
        Config::new().org("o").token(token),
        Config::new().token(token),
    ]
}

#[test]
fn an_influxdb_3_is_known_on_every_api_and_is_never_written_to() {
    for (version, server) in influxdb3() {
        let name = format!("InfluxDB {version} at 127.0.0.1:");
        server.require_token("token");
        for config in configs("token") {
            let found = check(&server, config.clone(), Some("db"));
            assert!(found.server.starts_with(&name), "{found:?}");
            assert_eq!((&found.connection, &found.authentication), (&Passed, &Passed));
            assert_eq!(found.database, Passed);
            let found = check(&server, config.clone(), Some("dbb"));
            assert!(says(&found.database).contains("\"dbb\" does not exist yet"), "{found:?}");
            assert!(found.is_passed());
            let found = check(&server, config, None);
            assert!(says(&found.database).starts_with("no database was named: "), "{found:?}");
        }
        let policy = Config::new().credentials("user", "token").retention_policy("week");
        let found = check(&server, policy, Some("db"));
        assert!(says(&found.database).contains("\"db/week\" does not exist yet"), "{found:?}");
        assert_eq!(server.created_databases(), ["db"]);
        assert!(server.writes().is_empty());
        assert!(server.requests().iter().all(|request| request.method() == "GET"));
    }
}

#[test]
fn an_influxdb_3_behind_a_proxy_that_hides_its_ping_is_known() {
    for (_, server) in influxdb3() {
        server.inject(Fault::foreign_reply(ForeignReply::Nginx(404)).for_every_request());
        let found = check(&server, Config::new(), Some("db"));
        assert!(found.server.starts_with("an InfluxDB 3 at ") && found.is_passed(), "{found:?}");
        assert_eq!(found.database, Passed);
        assert_eq!(server.created_databases(), ["db"]);
    }
}

#[test]
fn credentials_that_an_influxdb_3_refuses_are_reported() {
    for (_, server) in influxdb3() {
        server.require_token("token");
        for is_ping_open in [false, true] {
            server.open_paths(is_ping_open.then_some("/ping"));
            for (config, advice) in [
                (Config::new().credentials("user", "to:ken"), "that were passed, expected"),
                (Config::new().org("o").token("to ken"), "the argument token, expected"),
                (Config::new().token("to ken"), "the argument token, expected"),
            ] {
                let found = check(&server, config, Some("db"));
                let message = says(&found.authentication);
                assert!(message.contains("could not read the credentials"), "{found:?}");
                assert!(message.contains(advice), "{found:?}");
            }
            for config in configs("wrong") {
                let found = check(&server, config, Some("db"));
                let advice = says(&found.authentication);
                assert!(advice.contains("rejected the credentials: check the "), "{found:?}");
                assert!(matches!(found.database, Unknown(_)) && !found.is_passed(), "{found:?}");
            }
        }
        let found = check(&server, Config::new().api(Api::V3), Some("db"));
        let message = says(&found.authentication);
        assert!(message.contains("none is set: set INFLUXDB_TOKEN"), "{found:?}");
        assert_eq!(server.created_databases(), ["db"]);
    }
}
