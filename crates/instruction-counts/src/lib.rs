//! What `make bench` and `make instructions` record: a measurement of 7 tags, 2 fields and 240
//! bytes of line protocol, and a request.

use std::hint::black_box;

use sprockets_influxdb::Measurement;
use sprockets_influxdb::middleware::{Recorder, RequestHead};

/// Its database.
pub const DATABASE: &str = "bench";
/// Its name.
pub const NAME: &str = "request";
/// Its tags.
pub const TAGS: [(&str, &str); 7] = [
    ("handler", "app.handlers.RequestHandler"),
    ("endpoint", "/api/v1/users/{id}/orders"),
    ("method", "GET"),
    ("status_code", "200"),
    ("hostname", "web-17.example.com"),
    ("environment", "production"),
    ("correlation", "a1b2c3d4e5f6"),
];
/// Its field of an integer.
pub const BYTES: (&str, i64) = ("content_length", 51_234);
/// Its field of a float.
pub const SECONDS: (&str, f64) = ("duration", 0.023_456_789);

/// Sets the tags and fields.
#[inline]
pub fn fill(measurement: &mut Measurement) {
    for (name, value) in black_box(TAGS) {
        measurement.set_tag(name, value);
    }
    measurement.set_field(BYTES.0, BYTES.1);
    measurement.set_field(SECONDS.0, SECONDS.1);
}

/// The measurement.
pub fn measurement() -> Measurement {
    let mut measurement = Measurement::new(DATABASE, NAME);
    fill(&mut measurement);
    measurement
}

/// Records a request of a route, from its head to its end.
#[inline]
pub fn record_request(recorder: &Recorder) {
    let mut request = recorder.begin(black_box(&Get)).expect("recorded");
    request.endpoint(black_box("/api/v1/users/{id}"));
    request.remote_ip("192.0.2.17");
    request.respond(200);
    request.sent(black_box(512));
    request.end();
}

struct Get;

impl RequestHead for Get {
    fn method(&self) -> &str {
        "GET"
    }

    fn path(&self) -> &str {
        "/api/v1/users/7"
    }

    fn header(&self, _: &str) -> Option<&[u8]> {
        None
    }
}
