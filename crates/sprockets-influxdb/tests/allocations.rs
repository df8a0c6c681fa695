//! Adding a measurement allocates nothing once warm.

use sprockets_influxdb::testing::Server;
use sprockets_influxdb::{Client, Config, Measurement, Overflow};
use test_support::LONG;

#[test]
fn recording_and_adding_allocates_nothing_once_warm() {
    let server = Server::start();
    let config = Config::new().url(&server.url()).overflow(Overflow::Block);
    let client = Client::new(config.block_timeout(LONG)).unwrap();
    let mut measurement = Measurement::new("db", "m");
    let mut record = |count: usize| {
        for n in 0..count {
            measurement.restart("db", "requests");
            measurement.set_tag("endpoint", "/api/v1/users").set_tag("method", "GET");
            measurement.set_field("bytes", n).set_field("duration", 0.25);
            client.add_measurement(&measurement).unwrap();
        }
    };
    // Through several triggers, so that everything that is used again has been used.
    record(30_000);
    assert!(client.flush(LONG).is_complete());
    let counted = allocation_counter::measure(|| record(4_000));
    assert_eq!(counted.count_total, 0, "{counted:?}");
    assert!(client.shutdown(LONG).is_complete());
    assert_eq!(server.count("db"), 34_000);
}

#[test]
fn a_prepared_series_allocates_nothing_once_warm() {
    let server = Server::start();
    let config = Config::new().url(&server.url()).overflow(Overflow::Block);
    let client = Client::new(config.block_timeout(LONG)).unwrap();
    let users = client.series("db", "requests").bind("handler", "Users").bind("gone", "x");
    let users = users.bind("gone", "");
    let record = |count: usize| {
        for n in 0..count {
            users.record(|line| _ = line.set_tag("method", "GET").set_field("n", n)).unwrap();
        }
    };
    record(30_000);
    assert!(client.flush(LONG).is_complete());
    let counted = allocation_counter::measure(|| record(4_000));
    assert_eq!(counted.count_total, 0, "{counted:?}");
    assert!(client.shutdown(LONG).is_complete());
    let points = server.points("db");
    assert_eq!(points.len(), 34_000);
    assert_eq!(points[33_999].tag("gone"), None);
    assert_eq!(points[33_999].tag("handler"), Some("Users"));
    assert_eq!(points[33_999].tag("method"), Some("GET"));
}

#[test]
fn a_series_that_is_recorded_within_another_keeps_both() {
    let server = Server::start();
    let client = Client::new(Config::new().url(&server.url())).unwrap();
    let (outer, inner) = (client.series("db", "outer"), client.series("db", "inner"));
    let nothing = outer.record(|_| ()).unwrap_err().to_string();
    assert!(nothing.contains("no field"), "{nothing}");
    for _ in 0..2 {
        let record = |line: &mut Measurement| {
            line.set_field("n", 1);
            inner.record(|line| _ = line.set_field("m", 2)).unwrap();
            line.set_field("o", 3);
        };
        outer.record(record).unwrap();
    }
    assert!(client.shutdown(LONG).is_complete());
    let has = |name: &str, field: &str| {
        let points = server.points("db").into_iter();
        points.filter(|point| point.measurement == name && point.field(field).is_some()).count()
    };
    assert_eq!([has("outer", "n"), has("outer", "o"), has("inner", "m")], [2, 2, 2]);
    assert_eq!([has("outer", "m"), has("inner", "n")], [0, 0]);
}

/// Requests to a service that does nothing, by themselves and in flight together.
#[cfg(feature = "tower")]
mod requests {
    use std::convert::Infallible;
    use std::future::{Future, Ready, ready};
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use http::{Request, Response};
    use sprockets_influxdb::middleware::tower::InfluxDbLayer;
    use sprockets_influxdb::{Client, Config};
    use tower_layer::Layer;
    use tower_service::Service;

    struct Nothing;

    impl Service<Request<String>> for Nothing {
        type Response = Response<String>;
        type Error = Infallible;
        type Future = Ready<Result<Response<String>, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<String>) -> Self::Future {
            ready(Ok(Response::new(String::new())))
        }
    }

    /// What `http` needs for the first extension of a request: a map, its table, a box.
    const OWN: u64 = 3;

    #[test]
    fn a_recorded_request_allocates_an_extension_and_no_more() {
        let mut service = service();
        let mut call = || {
            let mut response = pin!(service.call(Request::new(String::new())));
            assert!(response.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
        };
        (0..100).for_each(|_| call());
        let counted = allocation_counter::measure(|| (0..1_000).for_each(|_| call()));
        // Now and then the buffer needs a chunk.
        assert_eq!(counted.count_total / 1_000, OWN, "{counted:?}");
    }

    #[test]
    fn requests_in_flight_together_allocate_what_each_needs() {
        const COUNT: usize = 10_000;
        let mut service = service();
        let mut together = |count: usize| {
            let calls = (0..count).map(|_| service.call(Request::new(String::new())));
            drop(calls.collect::<Vec<_>>());
        };
        together(100);
        let many = allocation_counter::measure(|| together(COUNT));
        // With the handle and its text, which no request before has left.
        assert!(many.count_total <= (OWN + 2) * COUNT as u64, "{many:?}");
        assert!(many.count_current < 100, "{many:?}");
    }

    fn service() -> impl Service<Request<String>, Response = Response<impl Sized>> {
        let config = Config::new().sample_probability(0.0);
        let client = Client::new(config).unwrap();
        InfluxDbLayer::new(client, "db", "request").layer(Nothing)
    }
}
