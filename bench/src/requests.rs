//! Measures recording a request, against other middleware, and against one that does nothing: hello
//! world, without a socket, on one thread.

use std::future::poll_fn;
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Service as _, ServiceResponse};
use actix_web::{App, web};
use axum::Router;
use axum::body::{Body, HttpBody};
use axum::http::Request;
use axum::response::Response;
use axum::routing::get;
use http_body_util::BodyExt;
use instruction_counts::record_request;
use opentelemetry::metrics::MeterProvider;
use opentelemetry_sdk::metrics::{ManualReader, SdkMeterProvider};
use sprockets_influxdb::middleware::actix::InfluxDb;
use sprockets_influxdb::middleware::tower::InfluxDbLayer;
use sprockets_influxdb::middleware::{Recorder, RequestOptions};
use tokio::runtime::{Builder, Runtime};
use tower::util::MapResponseLayer;
use tower_service::Service;

use crate::adding::client_that_sends_nothing;
use crate::rounds::compare;
use crate::sample::DATABASE;
use crate::table::{Goal, nanoseconds, ratio, section, share};

const PATH: &str = "/users/7";
const ROUTE: &str = "/users/{id}";
const CALLS: usize = 2_000;
/// The goal for the time that recording adds to a request, in nanoseconds.
const MAX_ADDED: f64 = 600.0;

pub fn run_axum() {
    let routes = || Router::new().route(ROUTE, get(async || "Hello, world"));
    // Sees the response, and each frame of its body.
    let empty = MapResponseLayer::new(|response: Response| {
        response.map(|body| body.map_frame(|frame| frame))
    });
    // As that, and gives the handler something that it shares with it.
    let shared = Arc::new(());
    let giving = tower::ServiceBuilder::new()
        .map_request(move |mut request: Request<Body>| {
            request.extensions_mut().insert(shared.clone());
            request
        })
        .layer(empty.clone());
    let requests = InfluxDbLayer::new(client_that_sends_nothing(), DATABASE, "request");
    // It starts a task, which is never run here.
    let idle = runtime();
    let prometheus = {
        let _entered = idle.enter();
        axum_prometheus::PrometheusMetricLayer::pair().0
    };
    let provider = SdkMeterProvider::builder().with_reader(ManualReader::builder().build()).build();
    let otel = tower_otel::metrics::HttpLayer::server(&provider.meter("bench"));

    let mut bare = ask_axum(routes());
    let mut empty = ask_axum(routes().layer(empty));
    let mut giving = ask_axum(routes().layer(giving));
    let mut ours = ask_axum(routes().layer(requests));
    let mut prometheus = ask_axum(routes().layer(prometheus));
    let mut otel = ask_axum(routes().layer(otel));
    let recorder =
        Recorder::new(client_that_sends_nothing(), DATABASE, "request", RequestOptions::new());
    let mut recorded = |calls| (0..calls).for_each(|_| record_request(&recorder));
    let mut clock = |calls| (0..calls).for_each(|_| _ = black_box(Instant::now()));
    let taken = compare(CALLS, [&mut recorded, &mut clock]);
    section("A request that is recorded in a loop of its own");
    nanoseconds("begin, endpoint, remote_ip, respond, sent, end", taken[0]);
    nanoseconds("of that, four reads of the clock", 4.0 * taken[1]);

    let [bare, empty, giving, ours, prometheus, otel] =
        compare(CALLS, [&mut bare, &mut empty, &mut giving, &mut ours, &mut prometheus, &mut otel]);
    section("A request to axum, with a middleware that does nothing else");
    nanoseconds("added by one that puts an Arc into the request's extensions", giving - bare);
    print("axum", bare, empty, ours, &[("axum-prometheus", prometheus), ("tower-otel", otel)]);
}

/// Sends requests to a service, and reads the responses.
fn ask_axum(routes: Router) -> impl FnMut(usize) {
    let mut service = routes.into_service::<Body>();
    let runtime = runtime();
    move |calls| {
        runtime.block_on(async {
            for _ in 0..calls {
                let request = Request::get(PATH).body(Body::empty()).expect("a request");
                let response = service.call(request).await.expect("a response");
                let mut body = pin!(response.into_body());
                while let Some(frame) = poll_fn(|context| body.as_mut().poll_frame(context)).await {
                    frame.expect("a frame");
                }
            }
        });
    }
}

pub fn run_actix() {
    /// Sends requests to an application, and reads the responses. A macro, as the type of an
    /// application has no name.
    macro_rules! ask {
        ($app:expr) => {{
            let runtime = runtime();
            let app = $app.route(ROUTE, web::get().to(async || "Hello, world"));
            let service = runtime.block_on(actix_web::test::init_service(app));
            move |calls: usize| {
                runtime.block_on(async {
                    for _ in 0..calls {
                        let request = actix_web::test::TestRequest::get().uri(PATH).to_request();
                        let response = actix_web::test::call_service(&service, request).await;
                        actix_web::test::read_body(response).await;
                    }
                });
            }
        }};
    }
    let requests = InfluxDb::new(client_that_sends_nothing(), DATABASE, "request");
    let prometheus = actix_web_prom::PrometheusMetricsBuilder::new("bench").build();

    let mut bare = ask!(App::new());
    let mut empty = ask!(App::new().wrap_fn(|request, service| {
        let response = service.call(request);
        async {
            response
                .await
                .map(|response: ServiceResponse| response.map_body(|_, body| PassedOn(body)))
        }
    }));
    let mut ours = ask!(App::new().wrap(requests));
    let mut prometheus = ask!(App::new().wrap(prometheus.expect("metrics")));
    let [bare, empty, ours, prometheus] =
        compare(CALLS, [&mut bare, &mut empty, &mut ours, &mut prometheus]);
    print("actix-web", bare, empty, ours, &[("actix-web-prom", prometheus)]);
}

/// A body each part of which is seen.
struct PassedOn(BoxBody);

impl MessageBody for PassedOn {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.0.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<web::Bytes, Self::Error>>> {
        Pin::new(&mut self.0).poll_next(context)
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().build().expect("a runtime")
}

fn print(framework: &str, bare: f64, empty: f64, ours: f64, peers: &[(&str, f64)]) {
    section(&format!("A request to {framework}, \"Hello, world\" without a socket"));
    nanoseconds("bare", bare);
    nanoseconds("added by a middleware that does nothing", empty - bare);
    nanoseconds("added by ours", ours - bare);
    for (peer, taken) in peers {
        nanoseconds(&format!("added by {peer}"), taken - bare);
    }
    share("added by ours / 600 ns", (ours - bare) / MAX_ADDED, Goal::AtMost(1.0));
    for (peer, taken) in peers {
        let what = format!("added by {peer} / added by ours");
        ratio(&what, (taken - bare) / (ours - bare), Goal::Higher);
    }
}
