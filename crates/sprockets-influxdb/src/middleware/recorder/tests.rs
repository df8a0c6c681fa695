use std::time::Duration;

use super::*;
use crate::config::Config;
use crate::middleware::handle::RequestMeasurement;
use crate::testing::Server;

struct Get;

impl RequestHead for Get {
    fn method(&self) -> &str {
        "GET"
    }

    fn path(&self) -> &str {
        "/"
    }

    fn header(&self, _name: &str) -> Option<&[u8]> {
        None
    }
}

#[test]
fn requests_without_a_database_are_recorded_in_the_default_one() {
    let server = Server::start();
    let config = Config::new().url(&server.url());
    let begin = |config| {
        let client = Client::new(config).unwrap();
        let recorder = Recorder::new(client.clone(), "", "request", RequestOptions::new());
        (client, recorder.begin(&Get))
    };
    assert!(begin(config.clone()).1.is_none());
    let (client, guard) = begin(config.database("usual"));
    drop(guard.unwrap());
    assert!(client.flush(Duration::from_secs(30)).is_complete());
    assert_eq!(server.points("usual").len(), 1);
}

#[test]
fn a_request_has_nothing_of_the_one_before() {
    let server = Server::start();
    let client = Client::new(Config::new().url(&server.url()).tag_hostname(false)).unwrap();
    let recorder = Recorder::new(client.clone(), "db", "request", RequestOptions::new());
    type Handle = fn(RequestGuard, RequestMeasurement);
    let handlers: [Handle; 8] = [
        |mut guard, _| guard.fail("a failure"),
        |mut guard, _| {
            guard.grpc("/package.Service/Method");
            guard.grpc_status(0);
            guard.respond(200);
        },
        |_, measurement| measurement.discard(),
        |_, measurement| _ = measurement.set_tag("colour", "red").set_field("rows", 3),
        |mut guard, _| guard.count_request().add(7),
        |mut guard, _| {
            guard.endpoint("/before");
            guard.handler("before");
            guard.remote_ip("192.0.2.1");
            guard.request_length(7);
            guard.sent(7);
        },
        |guard, _| guard.upgrade(),
        |guard, _| std::thread::spawn(move || drop(guard)).join().unwrap(),
    ];
    for handle in handlers {
        let guard = recorder.begin(&Get).unwrap();
        let measurement = guard.measurement();
        handle(guard, measurement);
        let mut plain = recorder.begin(&Get).unwrap();
        plain.endpoint("/plain");
        plain.respond(204);
    }
    assert!(client.flush(Duration::from_secs(30)).is_complete());
    let points = server.points("db");
    let plain: Vec<_> =
        points.iter().filter(|point| point.tag("endpoint") == Some("/plain")).collect();
    assert_eq!((plain.len(), points.len()), (8, 15));
    for point in plain {
        let tags: Vec<_> = point.tags.iter().map(|(name, _)| name.as_str()).collect();
        let fields: Vec<_> = point.fields.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(tags, ["endpoint", "method", "status_code"], "{point:?}");
        assert_eq!(fields, ["content_length", "duration", "time_to_first_byte"], "{point:?}");
        assert_eq!(point.tag("status_code"), Some("204"));
    }
}

#[test]
fn a_default_guard_records_nothing() {
    let mut guard = RequestGuard::default();
    guard.respond(200);
    guard.fail("a failure");
    assert!(!guard.measurement().is_recording() && !guard.is_grpc());
    guard.upgrade();
}
