//! Secrets that a server or a proxy echoes show up nowhere.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{fs, io};

use sprockets_influxdb::{Api, Client, Config};

use super::raw::{RawServer, add_lines, no_content, reply};
use test_support::{LONG, flush_until};

const SECRETS: [&str; 4] = ["hunter2", "bWU6aHVudGVyMg", "secret-token", "c2VjcmV0LXRva2Vu"];

#[track_caller]
fn shows_no_secret(text: &str) {
    assert!(!SECRETS.iter().any(|secret| text.contains(secret)), "{text}");
}

/// Repeats the request's credentials.
fn echo(status: &'static str) -> impl FnMut(&str, &str) -> String + Send {
    move |head: &str, _: &str| {
        let credentials = head.lines().find(|line| line.starts_with("authorization: ")).unwrap();
        let headers = format!("Server: {credentials}\nContent-Type: text/plain");
        reply(status, &headers, &format!("a bad request\r\n{credentials}\r\n"))
    }
}

#[test]
fn what_a_server_echoes_of_the_credentials_is_masked() {
    for api in [Api::V1, Api::V2, Api::V3] {
        for status in ["200 OK", "400 Bad Request", "404 Not Found", "413 Large", "502 Bad Gateway"]
        {
            let server = RawServer::start(echo(status));
            let client = Client::new(server.config(api)).unwrap();
            add_lines(&client, 1);
            let stats = flush_until(&client, |stats| stats.last_error.is_some());
            let error = stats.last_error.unwrap();
            assert!(error.contains("***"), "{status}: {error}");
            shows_no_secret(&error);
            let found = client.check(Some("db"));
            shows_no_secret(&format!("{found:?}"));
            server.script(|_, _| no_content());
            flush_until(&client, |stats| stats.pending == 0);
        }
    }
}

#[test]
fn the_reason_of_a_rejected_line_is_masked() {
    let reasons = Arc::new(Mutex::new(String::new()));
    let log = reasons.clone();
    let server = RawServer::start(|head, _| {
        let words = head.split_whitespace().collect::<Vec<_>>().join(" ");
        let error = format!(r#"{{"error":"partial write: bad {words} dropped=1"}}"#);
        reply("400 Bad Request", "X-Influxdb-Version: 1.8.10", &error)
    });
    let config = server.config(Api::V1).on_rejected(move |rejected| {
        log.lock().unwrap().push_str(rejected.reason());
    });
    let client = Client::new(config).unwrap();
    add_lines(&client, 1);
    assert_eq!(client.flush(LONG).rejected, 1);
    let reasons = reasons.lock().unwrap();
    assert!(reasons.contains("***"), "{reasons}");
    shows_no_secret(&reasons);
}

/// The error of each version, with the request's head in the reasons of the lines.
fn rejection(api: Api, head: &str) -> String {
    let echo = head.split_whitespace().collect::<Vec<_>>().join(" ");
    let body = match api {
        Api::V1 => format!(r#"{{"error":"partial write: unable to parse 'm n=0i 1': {echo}"}}"#),
        Api::V2 => {
            format!(r#"{{"code":"invalid","message":"unable to parse 'm n=0i 1': {echo}"}}"#)
        }
        _ => format!(
            r#"{{"error":"partial write of line protocol occurred",
                "data":[{{"error_message":"{echo}","line_number":1}}]}}"#
        ),
    };
    reply("400 Bad Request", "X-Influxdb-Version: 1.8.10", &body)
}

/// The content of all files.
fn read_all(directory: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        content.extend(if path.is_dir() { read_all(&path)? } else { fs::read(path)? });
    }
    Ok(content)
}

#[test]
fn the_files_of_the_spool_have_no_secret() {
    for api in [Api::V1, Api::V2, Api::V3] {
        let spool = tempfile::tempdir().unwrap();
        let server = RawServer::start(move |head, body| match body.contains("n=0i") {
            true => rejection(api, head),
            false => echo("503 Service Unavailable")(head, body),
        });
        let client = Client::new(server.config(api).spool(spool.path())).unwrap();
        add_lines(&client, 1);
        assert_eq!(client.flush(LONG).rejected, 1, "{api}: {:?}", client.stats());
        // Another line waits on disk.
        client
            .add_measurement(&sprockets_influxdb::Measurement::new("db", "m").field("a", 1))
            .unwrap();
        flush_until(&client, |stats| stats.last_error.as_ref().unwrap().contains("503"));
        assert_eq!(client.shutdown(Duration::ZERO).pending, 1);
        let quarantine = read_all(&spool.path().join("quarantine")).unwrap();
        let quarantine = String::from_utf8_lossy(&quarantine);
        assert!(quarantine.contains("m n=0i 1") && quarantine.contains("***"), "{quarantine}");
        shows_no_secret(&String::from_utf8_lossy(&read_all(spool.path()).unwrap()));
    }
}

/// Keeps the records of the HTTP library that have a secret in them, and counts the others.
struct Watch {
    records: AtomicUsize,
    leaks: Mutex<Vec<String>>,
}

impl log::Log for Watch {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let text = record.args().to_string();
        self.records.fetch_add(1, Ordering::Relaxed);
        if ["hunter3", "bWU6aHVudGVyMw"].iter().any(|secret| text.contains(secret)) {
            self.leaks.lock().unwrap().push(text);
        }
    }

    fn flush(&self) {}
}

static WATCH: Watch = Watch { records: AtomicUsize::new(0), leaks: Mutex::new(Vec::new()) };

#[test]
fn the_debug_log_of_the_http_library_has_no_secret() {
    log::set_logger(&WATCH).unwrap();
    log::set_max_level(log::LevelFilter::Debug);
    let server = RawServer::start(|_, _| no_content());
    // Other tests of this process have other secrets, and servers that echo them.
    let url = format!("{}/write?u=me&p=hunter3", server.url());
    for config in [
        Config::new().url(&url),
        server.config(Api::V1).credentials("me", "hunter3"),
        server.config(Api::V2).token("hunter3"),
        server.config(Api::V3).token("hunter3"),
    ] {
        let client = Client::new(config).unwrap();
        add_lines(&client, 1);
        assert!(client.flush(LONG).is_complete());
    }
    log::set_max_level(log::LevelFilter::Off);
    assert!(WATCH.records.load(Ordering::Relaxed) > 0);
    let leaks = WATCH.leaks.lock().unwrap();
    assert!(leaks.is_empty(), "{leaks:?}");
}

#[test]
fn credentials_in_the_query_of_a_url_are_sent_in_a_header() {
    let heads = Arc::new(Mutex::new(String::new()));
    let log = heads.clone();
    let server = RawServer::start(move |head, _| {
        log.lock().unwrap().push_str(head);
        no_content()
    });
    let url = format!("{}/write?u=me&p=hunter2&consistency=all", server.url());
    let client = Client::new(Config::new().url(&url).tag_hostname(false)).unwrap();
    add_lines(&client, 1);
    assert!(client.flush(Duration::from_secs(60)).is_complete());
    let heads = heads.lock().unwrap();
    assert!(heads.contains("authorization: Basic bWU6aHVudGVyMg==\r\n"), "{heads}");
    let line = heads.lines().next().unwrap();
    assert_eq!(line, "POST /write?db=db&precision=ns&consistency=all HTTP/1.1");
}
