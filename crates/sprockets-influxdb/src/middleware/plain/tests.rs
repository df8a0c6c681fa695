use std::thread;

use super::*;
use crate::config::Config;
use crate::measurement::Measurement;
use crate::middleware::attributes::Names;
use crate::middleware::options::{RequestOptions, attributes};
use crate::stats::DropReason;
use crate::testing::Server;

const LONG: Duration = Duration::from_secs(30);

fn request(endpoint: &str) -> PlainRequest<'_> {
    PlainRequest {
        database: "db",
        name: "request",
        handler: "",
        endpoint,
        method: "GET",
        remote_ip: "192.0.2.1",
        correlation_id: "",
        nanoseconds: crate::clock::unique_stamp_before(LONG),
    }
}

fn record(client: &Client, attributes: &Attributes, request: &PlainRequest<'_>) -> bool {
    let mut outcome = Outcome::new("GET");
    outcome.respond(200, Duration::from_millis(1));
    outcome.sent(512);
    record_plain(client, None, attributes, request, &outcome, || Duration::from_millis(2))
}

fn default_attributes() -> Attributes {
    attributes(&RequestOptions::new())
}

#[test]
fn records_and_measurements_are_counted_and_delivered_alike() {
    let server = Server::start();
    let config = Config::new().url(&server.url()).max_batch_size(300).trigger_size(5_000);
    let client = Client::new(config).unwrap();
    let attributes = default_attributes();
    for n in 1..=1_000 {
        assert!(record(&client, &attributes, &request("/users")));
        if n % 3 == 0 {
            client.add_measurement(&Measurement::new("db", "own").field("n", n)).unwrap();
        }
        if n % 7 == 0 {
            let other = PlainRequest { database: "other", ..request("/") };
            assert!(record(&client, &attributes, &other));
        }
        let stats = client.stats();
        assert_eq!((stats.added, stats.pending), ((n + n / 3 + n / 7) as u64, stats.added));
    }
    assert!(client.flush(LONG).is_complete());
    let points = server.points("db");
    assert_eq!(points.iter().filter(|point| point.measurement == "request").count(), 1_000);
    assert_eq!(points.iter().filter(|point| point.measurement == "own").count(), 333);
    assert_eq!(server.points("other").len(), 142);
    let stats = client.stats();
    assert_eq!((stats.added, stats.delivered, stats.pending), (1_475, 1_475, 0));
}

#[test]
fn the_names_of_both_conventions_make_records() {
    for names in [Names::Sprockets, Names::OpenTelemetry] {
        let server = Server::start();
        let client = Client::new(Config::new().url(&server.url())).unwrap();
        let attributes = attributes(&RequestOptions::new().names(names));
        assert!(record(&client, &attributes, &request("/")));
    }
}

#[test]
fn after_a_shutdown_records_are_dropped() {
    let server = Server::start();
    let client = Client::new(Config::new().url(&server.url())).unwrap();
    client.shutdown(LONG);
    let attributes = default_attributes();
    for _ in 0..10 {
        assert!(record(&client, &attributes, &request("/")));
    }
    let stats = client.stats();
    assert_eq!((stats.added, stats.dropped.count(DropReason::Closed), stats.pending), (10, 10, 0));
}

#[test]
fn records_are_bounded_like_lines() {
    // Nobody listens there.
    let config = Config::new().url("http://127.0.0.1:1").max_buffer_size(100).trigger_size(100);
    let client = Client::new(config).unwrap();
    let attributes = default_attributes();
    for _ in 0..150 {
        assert!(record(&client, &attributes, &request("/")));
    }
    let stats = client.stats();
    assert_eq!(
        (stats.added, stats.dropped.count(DropReason::Newest), stats.pending),
        (150, 50, 100)
    );
    client.shutdown(Duration::ZERO);
}

#[test]
fn a_record_has_the_base_tags_of_its_time() {
    let server = Server::start();
    let config = Config::new().url(&server.url()).tag_hostname(false).base_tag("zone", "a");
    let client = Client::new(config).unwrap();
    let attributes = default_attributes();
    assert!(record(&client, &attributes, &request("/")));
    client.reconfigure(|config| config.base_tag("zone", "b")).unwrap();
    assert!(record(&client, &attributes, &request("/")));
    // Names of values are for the measurement to sort out.
    client.reconfigure(|config| config.base_tag("duration", "x")).unwrap();
    assert!(!record(&client, &attributes, &request("/")));
    assert!(client.flush(LONG).is_complete());
    let mut points = server.points("db");
    points.sort_by_key(|point| point.tag("zone").map(str::to_owned));
    let zones: Vec<_> = points.iter().map(|point| point.tag("zone")).collect();
    assert_eq!(zones, [Some("a"), Some("b")]);
    for point in &points {
        assert_eq!(point.tag("endpoint"), Some("/"));
        assert_eq!(point.tag("status_code"), Some("200"));
        assert!(point.field("client_ip").is_some());
    }
}

#[test]
fn with_a_spool_records_are_on_disk_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let config = Config::new().url("http://127.0.0.1:1").spool(directory.path());
    let client = Client::new(config).unwrap();
    let attributes = default_attributes();
    for n in 1..=100 {
        assert!(record(&client, &attributes, &request("/")));
        let stats = client.stats();
        assert_eq!((stats.pending, stats.spooled), (n, n));
    }
    client.shutdown(Duration::ZERO);
}

#[test]
fn records_of_many_threads_all_arrive() {
    let server = Server::start();
    let client = Client::new(Config::new().url(&server.url())).unwrap();
    let attributes = default_attributes();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for n in 0..500 {
                    let endpoint = ["/a", "/b", "/c"][n % 3];
                    assert!(record(&client, &attributes, &request(endpoint)));
                }
            });
        }
    });
    assert!(client.shutdown(LONG).is_complete());
    assert_eq!(server.count("db"), 2_000);
}
