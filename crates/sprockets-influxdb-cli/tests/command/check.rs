//! `check` reports what is wrong, and stores nothing.

use std::io::{BufReader, Write};

use rcgen::{CertificateParams, KeyPair};
use sprockets_influxdb::testing::{Fault, Server};
use test_support::file;
use test_support::influxd::Influxd;
use test_support::ports::unused_address;
use test_support::tcp::{listen, read_head};

use super::{run, run_with};

#[test]
fn credentials_databases_and_permissions_are_distinguished() {
    let Some(influxd) = Influxd::start_with(&[("INFLUXDB_HTTP_AUTH_ENABLED", "true")]) else {
        return;
    };
    influxd.query("", "CREATE USER admin WITH PASSWORD 'admin' WITH ALL PRIVILEGES");
    influxd.create("there");
    influxd.query("", "CREATE USER writer WITH PASSWORD 'hunter2'");
    influxd.query("", "GRANT WRITE ON there TO writer");
    influxd.query("", "CREATE USER reader WITH PASSWORD 'hunter2'");
    influxd.query("", "GRANT READ ON there TO reader");
    let url = influxd.url();
    let check = |user: &str, password: &str, arguments: &[&str]| {
        let variables = [
            ("INFLUXDB_URL", url.as_str()),
            ("INFLUXDB_USER", user),
            ("INFLUXDB_PASSWORD", password),
        ];
        let done = run(&[&["check"], arguments].concat(), &variables);
        assert!(!format!("{done:?}").contains("hunter2"), "{done:?}");
        done
    };

    let done = check("writer", "hunter2", &["--database", "there"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.out.contains("InfluxDB 1."), "{done:?}");
    for line in
        ["ok          connection", "ok          authentication", "ok          database \"there\""]
    {
        assert!(done.out.contains(line), "{done:?}");
    }
    let done = check("writer", "hunter2", &[]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.out.contains("not checked database: no database was named"), "{done:?}");

    for (user, password, database, failed) in [
        (
            "writer",
            "wrong",
            "there",
            "authentication: the server rejected the credentials: check INFLUXDB_USER",
        ),
        (
            "",
            "",
            "there",
            "authentication: the server wants credentials, and none are set: set INFLUXDB_USER",
        ),
        (
            "admin",
            "admin",
            "missing",
            "database \"missing\": database \"missing\" does not exist: create it",
        ),
        (
            "reader",
            "hunter2",
            "there",
            "database \"there\": no permission to write to database \"there\": grant",
        ),
    ] {
        let done = check(user, password, &["--database", database]);
        assert_eq!(done.code, Some(1), "{done:?}");
        assert!(done.out.contains(&format!("failed      {failed}")), "{failed}: {done:?}");
        assert!(done.out.contains("ok          connection"), "{done:?}");
    }
    let done = check("admin", "admin", &["--database", "there", "--set", "retention_policy=none"]);
    assert!(done.out.contains("has no retention policy \"none\": create it"), "{done:?}");

    // One failure among several databases is enough.
    let done = check("admin", "admin", &["--database", "missing", "--database", "there", "--json"]);
    let json = done.json();
    assert_eq!(done.code, Some(1));
    assert_eq!(json["checks"][0]["write"]["result"], "failed");
    assert_eq!(json["checks"][1]["ok"], true);
    assert_eq!(json["settings"]["password"]["value"], "***");
    assert_eq!(json["settings"]["host"]["source"], "INFLUXDB_URL");
    assert_eq!(json["settings"]["timeout"]["origin"], "default");

    let stored = influxd.query("there", "SHOW SERIES");
    assert!(stored["results"][0]["series"].is_null(), "{stored}");
    let databases = influxd.query("", "SHOW DATABASES").to_string();
    assert!(!databases.contains("missing"), "{databases}");
}

#[test]
fn each_setting_is_shown_with_its_origin() {
    let server = Server::start();
    let variables =
        [("INFLUXDB_TIMEOUT", "7000"), ("INFLUXDB_TOKEN", "hunter2"), ("INFLUXDB_ENABLED", "no")];
    let done = run(&["check", "--url", &server.url(), "--set", "max_batch_size=77"], &variables);
    let row = |name: &str| {
        let line = done.out.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(row("timeout"), "timeout 7000 (environment INFLUXDB_TIMEOUT)");
    assert_eq!(row("max_batch_size"), "max_batch_size 77 (argument max_batch_size)");
    assert_eq!(row("token"), "token *** (environment INFLUXDB_TOKEN)");
    assert_eq!(row("host"), "host 127.0.0.1 (argument url)");
    assert_eq!(row("gzip"), "gzip false (default)");
    assert!(done.out.contains("applications record nothing"), "{done:?}");
    assert!(!done.out.contains('\x1b'), "{done:?}");
}

#[test]
fn variables_that_nothing_reads_are_reported_without_their_values() {
    let server = Server::start();
    let url = server.url();
    let variables = [
        ("INFLUXDB_URL", url.as_str()),
        ("INFLUXDB_TIMOUT", "hunter2"),
        ("INFLUXDB_V2_TOKEN", "hunter2"),
    ];
    let done = run(&["check"], &variables);
    assert_eq!(done.code, Some(0), "{done:?}");
    for warning in [
        "warning: INFLUXDB_TIMOUT is set, and nothing reads it: did you mean INFLUXDB_TIMEOUT?",
        "warning: INFLUXDB_V2_TOKEN is set, and nothing reads it: set INFLUXDB_TOKEN",
    ] {
        assert!(done.out.contains(warning), "{warning}: {done:?}");
    }
    assert!(!done.out.contains("hunter2"), "{done:?}");
    let json = run(&["check", "--json"], &variables).json();
    assert_eq!(json["warnings"].as_array().map(Vec::len), Some(2), "{json}");
}

#[test]
fn variables_that_kubernetes_sets_for_a_service_named_influxdb_do_no_harm() {
    let server = Server::start();
    let injected = [
        ("INFLUXDB_PORT", "tcp://10.96.12.7:8086"),
        ("INFLUXDB_PORT_8086_TCP", "tcp://10.96.12.7:8086"),
        ("INFLUXDB_PORT_8086_TCP_ADDR", "10.96.12.7"),
        ("INFLUXDB_PORT_8086_TCP_PORT", "8086"),
        ("INFLUXDB_PORT_8086_TCP_PROTO", "tcp"),
        ("INFLUXDB_SERVICE_HOST", "10.96.12.7"),
        ("INFLUXDB_SERVICE_PORT", "8086"),
    ];
    let done = run(&["check", "--url", &server.url()], &injected);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(!done.out.contains("warning") && !done.out.contains("10.96"), "{done:?}");
    assert_eq!(done.errors, "");

    // Without a URL the port is the default, which the log says once.
    let done = run(&["check", "--set", "host=127.0.0.1", "--set", "timeout=100"], &injected);
    let shown = format!("{}{}", done.out, done.errors);
    assert_eq!(
        shown.matches("INFLUXDB_PORT is not used: \"tcp://10.96.12.7").count(),
        1,
        "{done:?}"
    );
}

#[test]
fn secrets_are_read_from_files() {
    let server = Server::start();
    server.require_basic("me", "hunter2");
    let password = file("hunter2\n");
    let password = password.to_str().unwrap();
    let url = server.url();
    let done = run(&["check", "--url", &url, "--user", "me", "--password-file", password], &[]);
    assert_eq!(done.code, Some(0), "{done:?}");
    server.require_token("hunter2");
    let done = run(&["check", "--url", &url, "--token-file", password, "--database", "db"], &[]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(
        done.out.contains("not checked database \"db\": InfluxDB 3 tells only when"),
        "{done:?}"
    );
    server.inject(Fault::error(403, "forbidden"));
    let arguments =
        ["check", "--url", &url, "--token-file", password, "--org", "o", "--database", "db"];
    let done = run(&arguments, &[]);
    assert!(done.out.contains("no permission to write to bucket \"db\": grant it"), "{done:?}");
}

#[test]
fn a_wrong_address_is_reported_with_advice() {
    let closed = unused_address();
    let other = other_server("HTTP/1.1 200 OK\r\nServer: nginx/1.2\r\nContent-Length: 2\r\n\r\nhi");
    let proxy =
        other_server("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n");
    let through = [("http_proxy", proxy.as_str())];
    for (url, variables, expected) in [
        (
            format!("http://{closed}"),
            &[][..],
            "connection refused; start it, or check the argument url",
        ),
        (
            "http://no-such-host.invalid".to_owned(),
            &[],
            "no address for no-such-host.invalid:80: check the argument url",
        ),
        (other, &[], "is no InfluxDB, or a proxy that has none behind it (Server: nginx/1.2)"),
        (
            "http://db.invalid:8086".to_owned(),
            &through,
            "responded 407/407; put its credentials into the proxy's URL",
        ),
    ] {
        let done = run(&["check", "--url", &url, "--database", "db"], variables);
        assert_eq!(done.code, Some(1), "{done:?}");
        assert!(
            done.out.contains("failed      connection: ") && done.out.contains(expected),
            "{expected}: {done:?}"
        );
        assert!(done.out.contains("not checked authentication: "), "{done:?}");
    }
}

/// The URL of a server that sends the same reply to every request.
fn other_server(reply: &'static str) -> String {
    let address = listen(move |client| {
        let mut client = BufReader::new(client);
        loop {
            read_head(&mut client)?;
            client.get_mut().write_all(reply.as_bytes())?;
        }
    });
    format!("http://{address}")
}

#[test]
fn a_wrong_scheme_and_an_untrusted_certificate_are_reported() {
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
    let (shown, both) = (file(certificate.pem()), file(certificate.pem() + &key.serialize_pem()));
    let path: &'static str = both.to_str().unwrap().to_owned().leak();
    let Some(tls) = Influxd::start_with(&[
        ("INFLUXDB_HTTP_HTTPS_ENABLED", "true"),
        ("INFLUXDB_HTTP_HTTPS_CERTIFICATE", path),
    ]) else {
        return;
    };
    let plain = Influxd::start().unwrap();
    let secure = tls.url().replace("http:", "https:");
    let trusted = shown.to_str().unwrap();
    for (url, arguments, expected) in [
        (
            plain.url().replace("http:", "https:"),
            &[][..],
            "does not speak TLS: write http:// in the argument url",
        ),
        (tls.url(), &[], "the server speaks TLS: write https:// in the argument url"),
        (secure.clone(), &[], "INFLUXDB_CA_FILE"),
        (secure, &["--ca-file", trusted], "database \"db\" does not exist: create it"),
    ] {
        let fixed = ["check", "--url", &url, "--database", "db"];
        let done = run(&[&fixed, arguments].concat(), &[]);
        assert!(done.code == Some(1) && done.out.contains(expected), "{expected}: {done:?}");
    }
}

#[test]
fn the_default_database_is_checked_and_written_to() {
    let server = Server::start();
    let url = server.url();
    for variable in ["INFLUXDB_DATABASE", "INFLUXDB_BUCKET"] {
        let done = run(&["check"], &[("INFLUXDB_URL", url.as_str()), (variable, "usual")]);
        assert!(done.out.contains("ok          database \"usual\""), "{done:?}");
        assert!(!done.out.contains("warning"), "{done:?}");
    }
    let done = run_with(
        &["write", "--url", &url],
        &[("INFLUXDB_DATABASE", "usual")],
        b"m f=1 7\n# DML\n# CONTEXT-DATABASE: named\nm f=1 7\n",
    );
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!((server.points("usual").len(), server.points("named").len()), (1, 1));
    let done = run_with(&["write", "--url", &url], &[], b"m f=1 7\n");
    assert!(done.errors.contains("set INFLUXDB_DATABASE"), "{done:?}");
    assert_eq!(done.code, Some(2), "{done:?}");
}

#[test]
fn the_databases_of_arguments_are_shown_with_their_source() {
    let server = Server::start();
    let variables = [("INFLUXDB_URL", &*server.url()), ("INFLUXDB_DATABASE", "usual")];
    for (arguments, names) in [
        (&["check", "--database", "own"][..], "own"),
        (&["check", "--database", "a", "--database", "b"], "a, b"),
    ] {
        let done = run(arguments, &variables);
        let line = done.out.lines().find(|line| line.starts_with("  database  ")).unwrap();
        let words: Vec<_> = line.split_whitespace().collect();
        assert_eq!(words.join(" "), format!("database {names} (argument --database)"));
        let json = run(&[arguments, &["--json"]].concat(), &variables).json();
        assert_eq!(json["settings"]["database"]["value"], names);
    }
}
