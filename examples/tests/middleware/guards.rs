//! What records a request when nobody is left to see to it: no connection, no executor, just
//! futures that are dropped.

use std::convert::Infallible;
use std::future::{Future, pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use axum::body::{Body, Bytes};
use http::{Request, Response};
use http_body::{Body as _, Frame, SizeHint};
use sprockets_influxdb::middleware::tower::InfluxDbLayer;
use sprockets_influxdb::middleware::{
    Attribute, Names, Recorder, RequestMeasurement, RequestOptions,
};
use tower_layer::Layer;
use tower_service::Service;

use super::Recorded;
use super::shared_tests::seconds;

type Answer = Result<Response<Body>, String>;

/// A service that does nothing but call a function.
#[derive(Clone)]
struct Handler<F>(F);

impl<F, A> Service<Request<Body>> for Handler<F>
where
    F: FnMut(Request<Body>) -> A,
    A: Future<Output = Answer>,
{
    type Response = Response<Body>;
    type Error = String;
    type Future = A;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), String>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> A {
        (self.0)(request)
    }
}

fn request() -> Request<Body> {
    Request::get("/path").body(Body::empty()).expect("a request")
}

fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

#[test]
fn a_future_that_is_dropped_is_recorded() {
    let recorded = Recorded::new();
    let layer = InfluxDbLayer::new(recorded.client.clone(), "example", "request");
    let mut service = layer.layer(Handler(|_| pending::<Answer>()));

    // Never polled, and polled once.
    drop(service.call(request()));
    assert_eq!(recorded.point().tag("status_code"), Some("499"));
    {
        let mut answer = pin!(service.call(request()));
        assert!(answer.as_mut().poll(&mut context()).is_pending());
        assert_eq!(recorded.client.stats().added, 1);
    }
    assert_eq!(recorded.point().tag("status_code"), Some("499"));
}

#[test]
fn a_body_that_is_dropped_is_recorded() {
    let recorded = Recorded::new();
    let layer = InfluxDbLayer::new(recorded.client.clone(), "example", "request");
    let mut service = layer.layer(Handler(|_| ready(Ok(Response::new(Body::from("text"))))));
    let Poll::Ready(Ok(response)) = pin!(service.call(request())).poll(&mut context()) else {
        panic!("no response");
    };
    assert_eq!(recorded.client.stats().added, 0);
    drop(response);
    let point = recorded.point();
    assert_eq!(point.tag("status_code"), Some("200"));
    assert_eq!(point.field("content_length"), Some(&0i64.into()));
}

/// A body of which there is a part or nothing yet, and what is known of its length.
struct Beginning(Poll<&'static [u8]>, SizeHint);

impl http_body::Body for Beginning {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.map(|part| Some(Ok(Frame::data(Bytes::from_static(part)))))
    }

    fn size_hint(&self) -> SizeHint {
        self.1
    }
}

#[test]
fn a_response_in_parts_begins_before_it_ends() {
    let recorded = Recorded::new();
    let layer = InfluxDbLayer::new(recorded.client.clone(), "example", "request");
    let known = SizeHint::with_exact(100);
    for (beginning, length, is_polled) in [
        (Poll::Pending, known, true),
        (Poll::Ready(&b"text"[..]), known, true),
        (Poll::Pending, SizeHint::new(), false),
    ] {
        let body = || Body::new(Beginning(beginning, length));
        let respond = |_| ready(Ok(Response::new(body())));
        let mut service = layer.layer(Handler(respond));
        let Poll::Ready(Ok(response)) = pin!(service.call(request())).poll(&mut context()) else {
            panic!("no response");
        };
        let mut body = response.into_body();
        if is_polled {
            let part = Pin::new(&mut body).poll_frame(&mut context());
            assert_eq!(part.is_ready(), beginning.is_ready());
        }
        // Clocks may be coarse.
        let begun = Instant::now();
        while begun.elapsed().is_zero() {}
        drop(body);
        let point = recorded.point();
        assert!(seconds(&point, "time_to_first_byte") < seconds(&point, "duration"));
    }
}

#[test]
fn an_error_is_recorded() {
    let recorded = Recorded::new();
    let layer = InfluxDbLayer::new(recorded.client.clone(), "example", "request");
    let mut service = layer.layer(Handler(|_| ready(Err("no backend".to_owned()))));
    let answer = pin!(service.call(request())).poll(&mut context());
    assert!(matches!(answer, Poll::Ready(Err(error)) if error == "no backend"));
    let point = recorded.point();
    assert_eq!(point.tag("status_code"), Some("500"));
    assert_eq!(point.field("exception"), Some(&"no backend".into()));
}

#[test]
fn a_panic_is_recorded_by_an_executor_that_keeps_the_future() {
    let recorded = Recorded::new();
    let layer = InfluxDbLayer::new(recorded.client.clone(), "example", "request");

    let mut service = layer.layer(Handler(|_| async { panic!("on purpose") }));
    let mut answer = Box::pin(service.call(request()));
    let poll = || answer.as_mut().poll(&mut context()).is_ready();
    assert!(catch_unwind(AssertUnwindSafe(poll)).is_err());
    drop(answer);
    let point = recorded.point();
    assert_eq!(point.tag("status_code"), Some("500"));
    assert_eq!(point.field("exception"), Some(&"panic".into()));

    // And before there is a future.
    let handler = |_| -> std::future::Ready<Answer> { panic!("on purpose") };
    let mut service = layer.layer(Handler(handler));
    assert!(catch_unwind(AssertUnwindSafe(|| drop(service.call(request())))).is_err());
    assert_eq!(recorded.point().field("exception"), Some(&"panic".into()));
}

#[test]
fn names_and_what_is_left_out_are_as_asked() {
    let recorded = Recorded::new();
    let options = RequestOptions::new()
        .names(Names::OpenTelemetry)
        .leave_out([Attribute::TimeToFirstByte])
        .tag(Attribute::CorrelationId)
        .correlation_id_header("X-Request-Id")
        .remote_ip_header("X-Forwarded-For")
        .skip(|request| request.path() == "/health")
        .endpoint(|request| (request.path() == "/path").then(|| "/{path}".to_owned()));
    let layer = InfluxDbLayer::with_options(recorded.client.clone(), "example", "http", options);
    let mut service = layer.layer(Handler(|_| ready(Ok(Response::new(Body::empty())))));
    let mut call = |request: http::request::Builder| {
        let request = request.body(Body::empty()).expect("a request");
        assert!(pin!(service.call(request)).poll(&mut context()).is_ready());
    };

    call(Request::get("/health"));
    let headers = Request::builder().header("x-request-id", "7");
    call(headers.uri("/path").header("x-forwarded-for", "10.1.2.3, 10.0.0.1").method("BREW"));
    let point = recorded.point();
    assert_eq!(point.measurement, "http");
    let tags: Vec<_> = point.tags.iter().map(|(name, value)| (&**name, &**value)).collect();
    let expected = [
        ("correlation_id", "7"),
        ("http.request.method", "_OTHER"),
        ("http.response.status_code", "200"),
        ("http.route", "/{path}"),
    ];
    assert_eq!(tags, expected);
    let fields: Vec<_> = point.fields.iter().map(|(name, _)| &**name).collect();
    let expected = [
        "client.address",
        "http.server.request.body.size",
        "http.server.request.duration",
        "http.server.response.body.size",
    ];
    assert_eq!(fields, expected);
    assert_eq!(point.field("client.address"), Some(&"10.1.2.3".into()));
}

#[test]
fn what_the_handler_sets_wins_and_what_it_sets_too_late_is_lost() {
    let recorded = Recorded::new();
    let layer = InfluxDbLayer::new(recorded.client.clone(), "example", "request");
    let mut kept = None;
    let mut service = layer.layer(Handler(|request: Request<Body>| {
        let measurement = request.extensions().get::<RequestMeasurement>();
        let measurement = measurement.expect("recorded").clone();
        measurement.set_tag("endpoint", "mine").set_tag("status_code", "fine");
        measurement.set_field("content_length", 7);
        kept = Some(measurement);
        ready::<Answer>(Ok(Response::new(Body::empty())))
    }));
    assert!(pin!(service.call(request())).poll(&mut context()).is_ready());
    drop(service);
    kept.expect("called").set_tag("late", "yes");
    let point = recorded.point();
    assert_eq!(point.tag("endpoint"), Some("mine"));
    assert_eq!(point.tag("status_code"), Some("fine"));
    assert_eq!(point.field("content_length"), Some(&7i64.into()));
    assert_eq!(point.tag("late"), None);
}

#[test]
fn a_client_that_is_turned_off_records_nothing() {
    let recorded = Recorded::new();
    recorded.client.reconfigure(|config| config.enabled(false)).expect("reconfigured");
    let layer = InfluxDbLayer::new(recorded.client.clone(), "example", "request");
    let mut service = layer.layer(Handler(|request: Request<Body>| {
        let measurement = request.extensions().get::<RequestMeasurement>().expect("inert");
        measurement.set_tag("kind", "user").set_field("rows", 3);
        drop(measurement.duration("query"));
        assert!(!measurement.is_recording());
        ready::<Answer>(Ok(Response::new(Body::empty())))
    }));
    assert!(pin!(service.call(request())).poll(&mut context()).is_ready());
    assert_eq!(recorded.client.stats().added, 0);
}

#[test]
fn a_guard_that_ends_without_a_response_is_recorded_as_a_client_that_disconnected() {
    let recorded = Recorded::new();
    let options = RequestOptions::new();
    let recorder = Recorder::new(recorded.client.clone(), "example", "request", options);
    recorder.begin(&request()).expect("recorded").end();
    assert_eq!(recorded.point().tag("status_code"), Some("499"));
    let mut guard = recorder.begin(&request()).expect("recorded");
    guard.fail("no backend");
    guard.end();
    assert_eq!(recorded.point().tag("status_code"), Some("500"));
}

#[test]
fn a_value_that_cannot_be_stored_does_not_change_the_response() {
    let recorded = Recorded::new();
    let layer = InfluxDbLayer::new(recorded.client.clone(), "example", "request");
    let mut rows = u128::MAX;
    let mut service = layer.layer(Handler(|request: Request<Body>| {
        let measurement = request.extensions().get::<RequestMeasurement>().expect("recorded");
        measurement.set_field("rows", rows).set_field("share", f64::NAN);
        rows = 7;
        ready::<Answer>(Ok(Response::new(Body::empty())))
    }));
    for _ in 0..2 {
        let answer = pin!(service.call(request())).poll(&mut context());
        assert!(matches!(answer, Poll::Ready(Ok(response)) if response.status() == 200));
    }
    let point = recorded.point();
    assert_eq!((point.field("rows"), point.field("share")), (Some(&7i64.into()), None));
    assert_eq!(recorded.client.stats().added, 2);
}
