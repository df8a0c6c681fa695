//! The endpoints of services and scopes, and the status of requests that time out.

use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse, fn_service};
use actix_web::middleware::{self as of_actix, from_fn};
use actix_web::{App, HttpResponse, HttpServer, error, guard, web};
use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sprockets_influxdb::middleware::RequestOptions;
use sprockets_influxdb::middleware::actix::{self, InfluxDb};
use sprockets_influxdb::middleware::tower::{InfluxDbLayer, RequestMeasurement};
use sprockets_influxdb::testing::Point;

use super::Recorded;
use super::axum_service::serve;
use super::exchange::get as ask;

const TIMEOUT: Duration = Duration::from_millis(20);

fn layer(recorded: &Recorded) -> InfluxDbLayer {
    InfluxDbLayer::new(recorded.client.clone(), "example", "request")
}

fn tags(point: &Point) -> [Option<&str>; 2] {
    ["endpoint", "status_code"].map(|tag| point.tag(tag))
}

#[test]
fn the_endpoint_of_a_nested_axum_service_is_where_it_is_nested() {
    let recorded = Recorded::new();
    let files = || get(async || "file");
    let inner = Router::new().nest_service("/deep", files()).route("/near", get(async || "near"));
    let service = Router::new()
        .nest_service("/files", files())
        .nest("/api", inner)
        .route("/users/{id}", get(async || "user"));
    let service = serve(service.layer(layer(&recorded)));
    for (path, endpoint, status_code) in [
        ("/files/a/b", "/files/{*rest}", "200"),
        ("/files/", "/files/", "200"),
        ("/files", "/files", "200"),
        ("/api/deep/a", "/api/deep/{*rest}", "200"),
        ("/api/near", "/api/near", "200"),
        ("/users/7", "/users/{id}", "200"),
        ("/nothing", "(unmatched)", "404"),
        ("/api/nothing", "(unmatched)", "404"),
    ] {
        ask(service, path);
        assert_eq!(tags(&recorded.point()), [Some(endpoint), Some(status_code)], "{path}");
    }
}

#[test]
fn a_layer_inside_a_nested_axum_service_records_the_whole_route() {
    let recorded = Recorded::new();
    let users = Router::new().route("/users/{id}", get(async || "user"));
    let service =
        serve(Router::new().nest_service("/api/{version}", users.layer(layer(&recorded))));
    ask(service, "/api/v1/users/7");
    assert_eq!(tags(&recorded.point()), [Some("/api/{version}/users/{id}"), Some("200")]);
}

#[test]
fn requests_that_are_skipped_or_have_no_layer_have_an_inert_measurement_under_axum() {
    let recorded = Recorded::new();
    let handler = async |measurement: RequestMeasurement| {
        measurement.set_field("rows", 3).is_recording().to_string()
    };
    let routes = || Router::new().route("/", get(handler));
    let skip = RequestOptions::new().skip(|_| true);
    let skipping = InfluxDbLayer::with_options(recorded.client.clone(), "example", "request", skip);
    for routes in [routes(), routes().layer(skipping)] {
        let answer = ask(serve(routes), "/");
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("false"), "{answer}");
    }
    assert_eq!(recorded.client.stats().added, 0);
    assert!(ask(serve(routes().layer(layer(&recorded))), "/").ends_with("true"));
    assert_eq!(recorded.client.stats().added, 1);
}

async fn time_out(request: Request, next: Next) -> Response {
    match tokio::time::timeout(TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => StatusCode::REQUEST_TIMEOUT.into_response(),
    }
}

/// The layer cannot see why its future is dropped.
#[test]
fn a_timeout_inside_the_axum_layer_is_recorded_and_one_outside_is_a_disconnection() {
    let recorded = Recorded::new();
    let routes = || Router::new().route("/never", get(pending::<()>));
    let timeout = || axum::middleware::from_fn(time_out);
    let inside = serve(routes().layer(timeout()).layer(layer(&recorded)));
    let outside = serve(routes().layer(layer(&recorded)).layer(timeout()));
    for (service, status_code) in [(inside, "408"), (outside, "499")] {
        assert!(ask(service, "/never").starts_with("HTTP/1.1 408 "));
        assert_eq!(tags(&recorded.point()), [Some("/never"), Some(status_code)]);
    }
}

fn serve_actix(configure: fn(&mut web::ServiceConfig, InfluxDb), requests: InfluxDb) -> SocketAddr {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        let service = move || {
            let requests = requests.clone();
            App::new().configure(|config| configure(config, requests))
        };
        let server = HttpServer::new(service).workers(1).disable_signals().listen(listener);
        actix_web::rt::System::new().block_on(server.expect("a server").run())
    });
    address
}

fn requests(recorded: &Recorded) -> InfluxDb {
    InfluxDb::new(recorded.client.clone(), "example", "request")
}

async fn answer(request: ServiceRequest) -> Result<ServiceResponse, actix_web::Error> {
    Ok(request.into_response(HttpResponse::Ok().body("service")))
}

#[test]
fn the_endpoints_of_actix_scopes_services_and_default_services_are_patterns() {
    let recorded = Recorded::new();
    let configure = |config: &mut web::ServiceConfig, requests: InfluxDb| {
        let deep = web::scope("/deep/{version}")
            .route("/users/{id}", web::get().to(async || "user"))
            .default_service(web::to(async || HttpResponse::NotFound().body("none")));
        let all = web::scope("")
            .wrap(requests)
            .service(deep)
            .service(web::service("/files/{tail}*").guard(guard::Get()).finish(fn_service(answer)))
            .service(web::resource("/only-get").route(web::get().to(async || "get")))
            .default_service(web::to(async || HttpResponse::NotFound().body("none")));
        config.service(all);
    };
    let service = serve_actix(configure, requests(&recorded));
    for (path, endpoint, status_code) in [
        ("/deep/v1/users/7", "/deep/{version}/users/{id}", "200"),
        ("/files/a/b", "/files/{tail}*", "200"),
        ("/only-get", "/only-get", "200"),
        ("/deep/v1/nothing", "(unmatched)", "404"),
        ("/nothing", "(unmatched)", "404"),
    ] {
        ask(service, path);
        assert_eq!(tags(&recorded.point()), [Some(endpoint), Some(status_code)], "{path}");
    }
}

#[test]
fn requests_that_are_skipped_or_have_no_middleware_have_an_inert_measurement_under_actix() {
    async fn handler(measurement: actix::RequestMeasurement) -> String {
        measurement.set_field("rows", 3).is_recording().to_string()
    }
    let recorded = Recorded::new();
    let skip = RequestOptions::new().skip(|request| request.path() == "/wrapped/skipped");
    let requests = InfluxDb::with_options(recorded.client.clone(), "example", "request", skip);
    let configure = |config: &mut web::ServiceConfig, requests: InfluxDb| {
        let wrapped = web::scope("/wrapped").wrap(requests);
        let wrapped = wrapped.default_service(web::to(handler));
        config.service(wrapped).default_service(web::to(handler));
    };
    let service = serve_actix(configure, requests);
    for path in ["/wrapped/skipped", "/bare"] {
        let answer = ask(service, path);
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("false"), "{answer}");
    }
    assert_eq!(recorded.client.stats().added, 0);
    assert!(ask(service, "/wrapped/recorded").ends_with("true"));
    assert_eq!(recorded.point().field("rows"), Some(&3i64.into()));
}

async fn time_out_actix<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: of_actix::Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    match tokio::time::timeout(TIMEOUT, next.call(request)).await {
        Ok(response) => response,
        Err(_) => Err(error::ErrorRequestTimeout("too slow")),
    }
}

#[test]
fn a_timeout_inside_the_actix_middleware_is_recorded_and_one_outside_is_a_disconnection() {
    let recorded = Recorded::new();
    let configure = |config: &mut web::ServiceConfig, requests: InfluxDb| {
        let never = || web::resource("/never").route(web::get().to(pending::<HttpResponse>));
        let (inside, outside) = (from_fn(time_out_actix), from_fn(time_out_actix));
        let inside = web::scope("/inside").service(never()).wrap(inside).wrap(requests.clone());
        let outside = web::scope("/outside").service(never()).wrap(requests).wrap(outside);
        config.service(inside).service(outside);
    };
    let service = serve_actix(configure, requests(&recorded));
    for (path, status_code) in [("/inside/never", "408"), ("/outside/never", "499")] {
        assert!(ask(service, path).starts_with("HTTP/1.1 408 "), "{path}");
        assert_eq!(tags(&recorded.point()), [Some(path), Some(status_code)]);
    }
}
