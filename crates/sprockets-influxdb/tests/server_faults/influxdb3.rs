//! What InfluxDB 3 answers, played by the scripted server as 3.6.0 and 3.10.1, and its effect on
//! the lines. `influxdb3_lines.rs` has what it says of single lines; `poison.rs` and `partial.rs`
//! have the lines that break the server down, and many bad ones.

use std::time::Duration;

use sprockets_influxdb::testing::{Fault, Product, Server, ServerError};
use sprockets_influxdb::{Api, Client, Config, Measurement, Precision};
use test_support::{LONG, balanced, flush_until};

use super::table::with_api;

pub(crate) const PRODUCTS: [Product; 2] = [Product::InfluxDb3_6, Product::InfluxDb3_10];
pub(crate) const APIS: [Api; 3] = [Api::V1, Api::V2, Api::V3];

/// Good lines of each row.
const GOOD: u64 = 8;

/// Plays a row on both editions and all APIs: a server, and a client that has good lines already.
/// The table has a row, so that the column `f` is a float.
#[track_caller]
fn each(
    configure: impl Fn(Api, Config) -> Config,
    prepare: impl Fn(&Server),
    play: impl Fn(&Server, &Client, &str),
) {
    for product in PRODUCTS {
        for api in APIS {
            let server = Server::start_as(product);
            let client = Client::new(with_api(api, &server)).unwrap();
            client.add_measurement(&good(-1)).unwrap();
            assert!(client.flush(LONG).is_complete());
            prepare(&server);
            let client = Client::new(configure(api, with_api(api, &server))).unwrap();
            (0..GOOD as i64).for_each(|n| client.add_measurement(&good(n)).unwrap());
            play(&server, &client, &format!("{product} over {api}"));
        }
    }
}

fn good(n: i64) -> Measurement {
    Measurement::new("db", "m").field("f", 0.5).timestamp(n + 2)
}

/// All lines wait, with this error, while the condition lasts. Then all are stored.
#[track_caller]
fn keep(
    says: &'static str,
    configure: impl Fn(Api, Config) -> Config,
    prepare: impl Fn(&Server),
    correct: impl Fn(&Server, &Client),
) {
    each(configure, prepare, |server, client, name| {
        let stats = flush_until(client, |stats| stats.last_error.is_some());
        let decided = (stats.delivered, stats.rejected, stats.pending);
        assert_eq!(decided, (0, 0, GOOD), "{name}: {stats:?}");
        let error = stats.last_error.unwrap();
        assert!(error.contains(says), "{name}: {error}");
        correct(server, client);
        let stats = flush_until(client, |stats| stats.pending == 0);
        assert_eq!((stats.delivered, stats.rejected), (GOOD, 0), "{name}: {stats:?}");
        assert_eq!(server.count("db") as u64, GOOD + 1, "{name}");
    });
}

/// The one bad line is rejected with this reason, and the others are stored.
#[track_caller]
fn reject(says: &str, bad: &Measurement) {
    each(
        no_change,
        |_| {},
        |server, client, name| {
            client.add_measurement(bad).unwrap();
            (0..GOOD as i64).for_each(|n| client.add_measurement(&good(100 + n)).unwrap());
            assert!(client.flush(LONG).is_complete(), "{name}: {:?}", client.stats());
            let stats = balanced(client);
            assert_eq!((stats.delivered, stats.rejected), (2 * GOOD, 1), "{name}: {stats:?}");
            assert_eq!(server.count("db") as u64, 2 * GOOD + 1, "{name}");
            let error = stats.last_error.unwrap();
            assert!(error.contains(says), "{name}: {error}");
        },
    );
}

fn no_change(_: Api, config: Config) -> Config {
    config
}

#[test]
fn errors_of_the_server_itself_keep_the_data() {
    for &error in ServerError::ALL {
        let says = match error {
            ServerError::FullDisk => "No space left on device",
            ServerError::Catalog => "object store error",
            ServerError::Shutdown => "wal is shutdown",
            other => panic!("add the message of {other}"),
        };
        let prepare = |server: &Server| server.inject_always(Fault::server_error(error));
        keep(says, no_change, prepare, |server, _| server.clear_faults());
    }
    let overloaded = Fault::error(429, "this service is overloaded, please try again later");
    let prepare = |server: &Server| server.inject_always(overloaded.clone());
    keep("429", no_change, prepare, |server, _| server.clear_faults());
}

/// The disk's error comes after 11 s, beyond the default timeout of 10 s.
#[test]
fn an_error_of_the_server_that_comes_too_late_keeps_the_data() {
    let late = Fault::server_error(ServerError::FullDisk).after(Duration::from_secs(60));
    let configure = |_, config: Config| config.timeout(Duration::from_millis(50));
    let prepare = |server: &Server| server.inject_always(late.clone());
    keep("no reply from", configure, prepare, |server, client| {
        server.clear_faults();
        client.reconfigure(|config| config.timeout(LONG)).unwrap();
    });
}

/// The server answers 500 to such a header, 3.6 without a text: so the client does not send it.
#[test]
fn a_token_that_is_not_ascii_is_refused_by_the_client() {
    let server = Server::start_as(Product::InfluxDb3_6);
    let error = Client::new(with_api(Api::V3, &server).token("tökén")).unwrap_err();
    assert!(error.to_string().contains("expected printable ASCII"), "{error}");
}

#[test]
fn credentials_that_are_refused_keep_the_data() {
    let malformed = |api, config: Config| match api {
        Api::V1 => config.credentials("user", "to:ken"),
        _ => config.token("to ken"),
    };
    let says = "cannot read the credentials";
    keep(
        says,
        malformed,
        |_| {},
        |_, client| {
            client.reconfigure(|config| config.token("token")).unwrap();
        },
    );
    let prepare = |server: &Server| server.require_token("token");
    let wrong = |_, config: Config| config.token("wrong");
    keep("rejected the credentials", wrong, prepare, |_, client| {
        client.reconfigure(|config| config.token("token")).unwrap();
    });
}

#[test]
fn a_limit_of_databases_keeps_the_data() {
    for product in PRODUCTS {
        for api in APIS {
            let name = format!("{product} over {api}");
            let server = Server::start_as(product);
            let limit = if product == Product::InfluxDb3_6 { 5 } else { 100 };
            (0..limit).for_each(|n| server.create_database(&format!("db{n}")));
            let client = Client::new(with_api(api, &server)).unwrap();
            (0..GOOD as i64).for_each(|n| client.add_measurement(&good(n)).unwrap());
            client.flush(Duration::from_millis(300));
            let stats = balanced(&client);
            assert_eq!((stats.pending, server.writes().len()), (GOOD, 1), "{name}: {stats:?}");
            assert!(stats.last_error.unwrap().contains("raise the limit"), "{name}");
            // Other databases do not wait.
            client.add_measurement(&Measurement::new("db1", "m").field("f", 1)).unwrap();
            flush_until(&client, |stats| stats.delivered == 1);
            server.play(Product::Strict);
            let stats = flush_until(&client, |stats| stats.pending == 0);
            assert_eq!((stats.delivered, stats.rejected), (GOOD + 1, 0), "{name}: {stats:?}");
            assert_eq!(server.count("db") as u64, GOOD, "{name}");
        }
    }
}

#[test]
fn a_limit_of_tables_keeps_the_data_that_needs_another_table() {
    for product in PRODUCTS {
        for api in APIS {
            let name = format!("{product} over {api}");
            let server = Server::start_as(product);
            let client = Client::new(with_api(api, &server)).unwrap();
            let limit = if product == Product::InfluxDb3_6 { 2_000 } else { 4_000 };
            for n in 0..limit {
                let table = Measurement::new("db", &format!("t{n}")).field("f", 1).timestamp(1);
                client.add_measurement(&table).unwrap();
            }
            assert!(client.flush(LONG).is_complete(), "{name}");
            (0..GOOD as i64).for_each(|n| client.add_measurement(&good(n)).unwrap());
            let stats = flush_until(&client, |stats| stats.last_error.is_some());
            assert_eq!((stats.rejected, stats.pending), (0, GOOD), "{name}: {stats:?}");
            assert!(stats.last_error.unwrap().contains("raise the limit"), "{name}");
            server.play(Product::Strict);
            let stats = flush_until(&client, |stats| stats.pending == 0);
            assert_eq!((stats.delivered, stats.rejected), (limit + GOOD, 0), "{name}: {stats:?}");
            assert_eq!(server.count("db") as u64, limit + GOOD, "{name}");
        }
    }
}

#[test]
fn a_line_with_too_many_columns_is_rejected_alone() {
    // 500 columns, of which one is the time.
    let line = Measurement::new("db", "m").timestamp(50);
    let wide = (0..500).fold(line, |line, n| line.field(format!("f{n}"), 0.5));
    reject("number of columns per table limit", &wide);
}

/// Blank lines in strings shift the text by which 3.6 names a line, but not its number.
#[test]
fn a_bad_line_after_strings_with_line_feeds_is_rejected_alone() {
    each(
        no_change,
        |_| {},
        |server, client, name| {
            for n in 0..20 {
                let line = Measurement::new("db", "m").timestamp(100 + n);
                let line = match n {
                    13 => line.field("f", 1),
                    _ => line.field("s", "a\n\nm f=1i 1\n# b").field("f", 0.5),
                };
                client.add_measurement(&line).unwrap();
            }
            assert!(client.flush(LONG).is_complete(), "{name}");
            let stats = balanced(client);
            assert_eq!((stats.delivered, stats.rejected), (GOOD + 19, 1), "{name}: {stats:?}");
            assert_eq!(server.count("db") as u64, GOOD + 20, "{name}");
        },
    );
}

#[test]
fn a_body_that_is_too_large_is_halved() {
    let prepare = |server: &Server| server.max_body_size(40);
    each(no_change, prepare, |server, client, name| {
        assert!(client.flush(LONG).is_complete(), "{name}: {:?}", client.stats());
        let stats = balanced(client);
        assert_eq!((stats.delivered, stats.rejected), (GOOD, 0), "{name}: {stats:?}");
        assert_eq!(server.count("db") as u64, GOOD + 1, "{name}");
        assert!(stats.last_error.unwrap().contains("max request size (40 bytes)"), "{name}");
    });
}

#[test]
fn every_precision_encoding_and_time_is_stored() {
    for precision in [
        Precision::Nanoseconds,
        Precision::Microseconds,
        Precision::Milliseconds,
        Precision::Seconds,
    ] {
        for gzip in [false, true] {
            let configure = |_, config: Config| {
                config.precision(precision).gzip(gzip).max_batch_size(10_000).trigger_size(10_000)
            };
            each(
                configure,
                |_| {},
                |server, client, name| {
                    for n in 0..2_000 {
                        let text = format!("{}{n}", "x".repeat(100));
                        let line = Measurement::new("other", "m").tag("n", n.to_string());
                        let line = line.field("s", text).timestamp(1_700_000_000_000_000_000 + n);
                        client.add_measurement(&line).unwrap();
                    }
                    let report = client.flush(LONG);
                    assert!(report.is_complete() && report.rejected == 0, "{name}: {report:?}");
                    assert_eq!(server.count("other"), 2_000, "{name}, {precision:?}, {gzip}");
                },
            );
        }
    }
}
