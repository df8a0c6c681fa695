//! Lines that InfluxDB 3 refuses, or takes: what becomes of each, and that of its neighbours
//! nothing is lost. `influxdb3.rs` has the replies about whole requests.

use sprockets_influxdb::testing::{Product, Server};
use sprockets_influxdb::{Api, Client, Measurement, Precision, RawLine};
use test_support::{LONG, balanced};

use super::influxdb3::{APIS, PRODUCTS};
use super::table::with_api;

/// Good lines before and after the one of the row.
const GOOD: usize = 8;

/// Sends the lines between good ones, over each API of each edition. `rejected` is how many of
/// them the edition refuses, and `reason` a part of its reply.
#[track_caller]
fn send(lines: &[String], rejected: impl Fn(Product) -> u64, reason: &str) {
    for product in PRODUCTS {
        for api in APIS {
            // v1 has no unsigned integers: the client refuses them.
            if api == Api::V1 && lines.iter().any(|line| parse(line).has_unsigned()) {
                continue;
            }
            let name = format!("{product} over {api}: {reason}");
            let server = Server::start_as(product);
            let client = Client::new(with_api(api, &server)).unwrap();
            add(&client, "m,t=a f=0.5,s=\"a\" 1");
            assert!(client.flush(LONG).is_complete(), "{name}");
            for n in 0..2 * GOOD {
                if n == GOOD {
                    lines.iter().for_each(|line| add(&client, line));
                }
                add(&client, &format!("m,t=a f=0.5,s=\"a\" {}", n + 2));
            }
            assert!(client.flush(LONG).is_complete(), "{name}: {:?}", client.stats());
            let (stats, rejected) = (balanced(&client), rejected(product));
            let delivered = (1 + 2 * GOOD + lines.len()) as u64 - rejected;
            assert_eq!(
                (stats.rejected, stats.delivered),
                (rejected, delivered),
                "{name}: {stats:?}"
            );
            assert_eq!(server.count("db") as u64, delivered, "{name}");
            match stats.last_error {
                Some(error) => {
                    assert!(!reason.is_empty() && error.contains(reason), "{name}: {error}");
                    assert!(rejected > 0, "{name}: {error}");
                }
                None => assert_eq!(rejected, 0, "{name}"),
            }
        }
    }
}

fn parse(line: &str) -> RawLine<'_> {
    RawLine::parse(line.as_bytes(), Precision::Nanoseconds).unwrap()
}

fn add(client: &Client, line: &str) {
    client.add_line("db", &parse(line)).unwrap();
}

#[test]
fn each_line_that_influxdb_3_refuses_is_rejected_alone() {
    let got = "got iox::column_type::field";
    for (line, says) in [
        ("m f=1i 50", format!("expected iox::column_type::field::float, {got}::integer")),
        ("m f=1u 50", format!("expected iox::column_type::field::float, {got}::uinteger")),
        ("m s=t 50", format!("expected iox::column_type::field::string, {got}::boolean")),
        ("m,f=a g=1 50", "expected iox::column_type::field::float, got iox::col".to_owned()),
        ("m t=1 50", format!("expected iox::column_type::tag, {got}::float")),
        ("new time=1 50", "'time' is a reserved column".to_owned()),
        ("new,time=a f=1 50", "'time' is a reserved column".to_owned()),
        ("m time=1i 50", format!("expected iox::column_type::timestamp, {got}::integer")),
        ("m f\rx=1 50", "field key cannot contain control characters".to_owned()),
        ("m f=0.5,f=0.5 50", "multiple instances of 'f' field found".to_owned()),
    ] {
        send(&[line.to_owned()], |_| 1, &says);
    }
}

/// The server keeps the types of the columns of a line that it refused.
#[test]
fn a_line_after_one_that_was_refused_is_judged_by_the_same_types() {
    let lines = ["new a=1i,time=1 50", "new a=1i 51", "new a=0.5 52"].map(str::to_owned);
    send(&lines, |_| 2, "column");
}

#[test]
fn a_line_that_is_too_long_for_an_edition_is_rejected_alone() {
    let long = "x".repeat(70_000);
    for line in [
        format!("{long} f=0.5 50"),
        format!("m,t={long} f=0.5 50"),
        format!("m s=\"{long}\" 50"),
        format!("m {long}=0.5 50"),
    ] {
        let reason = "String is greater than 64KB";
        send(&[line], |product| u64::from(product == Product::InfluxDb3_6), reason);
    }
}

#[test]
fn every_time_and_every_value_that_can_be_written_is_taken() {
    let lines = [
        format!("m f=0.5 {}", i64::MIN + 2),
        format!("m f=0.5 {}", i64::MAX - 1),
        "m f=0.5 -1".to_owned(),
        "m f=1e308 60".to_owned(),
        "m i=-9223372036854775808i 61".to_owned(),
        "m,t=a\rb f=0.5 62".to_owned(),
        "m s=\"a\nb\" 63".to_owned(),
    ];
    send(&lines, |_| 0, "");
    send(&["m u=18446744073709551615u 50".to_owned()], |_| 0, "");
}

/// `Measurement` repairs what no server can represent.
#[test]
fn a_measurement_with_reserved_or_odd_names_is_stored() {
    for product in PRODUCTS {
        for api in APIS {
            let name = format!("{product} over {api}");
            let server = Server::start_as(product);
            let client = Client::new(with_api(api, &server)).unwrap();
            for line in [
                Measurement::new("db", "a").field("time", 1),
                Measurement::new("db", "b").tag("time", "x").field("f", 1),
                Measurement::new("db", "c").field("f\n\r\t\u{1}x", 1),
                Measurement::new("db", "d").tag("t\n\u{1}", "\r\n").field("f", 1),
                Measurement::new("db", "e\n\u{1}").field("f", 1),
            ] {
                client.add_measurement(&line).unwrap();
            }
            assert!(client.flush(LONG).is_complete(), "{name}: {:?}", client.stats());
            let stats = balanced(&client);
            assert_eq!((stats.delivered, stats.rejected), (5, 0), "{name}: {stats:?}");
            assert_eq!(server.count("db"), 5, "{name}");
        }
    }
}

/// Names that no database can have, in the words of each endpoint.
#[test]
fn each_name_that_no_database_can_have_rejects_its_lines() {
    for name in ["_a", "a/b/c", "a/", "ä", "a.b", &"x".repeat(600)] {
        for product in PRODUCTS {
            for api in [Api::V1, Api::V2, Api::V3] {
                let case = format!("{product} over {api}: {name}");
                let server = Server::start_as(product);
                let client = Client::new(with_api(api, &server)).unwrap();
                for database in [name, "db"] {
                    let line = Measurement::new(database, "m").field("f", 1);
                    client.add_measurement(&line).unwrap();
                }
                assert!(client.flush(LONG).is_complete(), "{case}: {:?}", client.stats());
                let stats = balanced(&client);
                assert_eq!((stats.delivered, stats.rejected), (1, 1), "{case}: {stats:?}");
                assert_eq!(server.count("db"), 1, "{case}");
            }
        }
    }
}
