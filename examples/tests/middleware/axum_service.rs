//! A service made with axum.

use std::convert::Infallible;
use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::extract::{ConnectInfo, Path};
use axum::response::Response;
use axum::routing::{self, post};
use axum::{Extension, Router};
use http_body::Frame;
use sprockets_influxdb::Client;
use sprockets_influxdb::middleware::tower::{InfluxDbLayer, RequestMeasurement};
use test_support::LONG;
use tokio::net::TcpListener;

use super::exchange::{get, websocket};
use super::{Recorded, Service, entered};

pub(crate) struct Axum;

impl Service for Axum {
    fn start(client: Client, database: &str) -> SocketAddr {
        serve(routes().layer(InfluxDbLayer::new(client, database, "request")))
    }
}

pub(crate) fn serve(routes: Router) -> SocketAddr {
    let runtime = super::runtime();
    let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).expect("a port");
    let address = listener.local_addr().expect("bound");
    let service = routes.into_make_service_with_connect_info::<SocketAddr>();
    std::thread::spawn(move || runtime.block_on(axum::serve(listener, service).into_future()));
    address
}

pub(crate) fn routes() -> Router {
    Router::new()
        .route("/", routing::get(async || "Hello, world"))
        .route("/users/{id}", routing::get(show_user))
        .route("/upload", post(async |body: Bytes| body.len().to_string()))
        .route("/stream", routing::get(async || Body::new(Chunks { left: 3 })))
        .route("/endless", routing::get(async || Body::new(Chunks { left: usize::MAX })))
        .route("/never", routing::get(never))
        .route("/panic", routing::get(panics))
        .route("/panic-in-body", routing::get(async || Body::new(Panics)))
        .route("/websocket", routing::get(upgrade))
        .route("/websocket-unheld", routing::get(upgrade_unheld))
}

async fn show_user(Path(id): Path<u32>, measurement: RequestMeasurement) -> String {
    let _timed = measurement
        .set_tag("kind", "user")
        .set_tag("id", "7")
        .set_field("id", id)
        .duration("query");
    format!("user {id}")
}

async fn never(ConnectInfo(client): ConnectInfo<SocketAddr>) {
    entered::note(client);
    pending().await
}

async fn panics() {
    panic!("on purpose");
}

async fn upgrade(
    upgrade: WebSocketUpgrade,
    Extension(measurement): Extension<RequestMeasurement>,
) -> Response {
    upgrade.on_upgrade(async move |mut socket: WebSocket| {
        while let Some(Ok(_)) = socket.recv().await {}
        measurement.set_field("closed", true);
    })
}

async fn upgrade_unheld(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(
        async move |mut socket: WebSocket| {
            while let Some(Ok(_)) = socket.recv().await {}
        },
    )
}

/// A body of a thousand bytes at a time.
struct Chunks {
    left: usize,
}

impl http_body::Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(left) = self.left.checked_sub(1) else { return Poll::Ready(None) };
        self.left = left;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b'x'; 1_000])))))
    }
}

struct Panics;

impl http_body::Body for Panics {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        panic!("on purpose");
    }
}

#[test]
fn a_websocket_that_nobody_measures_is_recorded_when_it_is_there() {
    let recorded = Recorded::new();
    let service = Axum::start(recorded.client.clone(), "example");
    let open = websocket(service, "/websocket-unheld");
    assert_eq!(recorded.point().tag("status_code"), Some("101"));
    drop(open);
    assert!(recorded.client.flush(LONG).is_complete());
    assert_eq!(recorded.client.stats().added, 1);
}

#[test]
fn the_routes_of_nested_routers_are_whole() {
    let recorded = Recorded::new();
    let layer = InfluxDbLayer::new(recorded.client.clone(), "example", "request");
    let api = Router::new().nest("/v1", routes()).fallback(async || "none");
    let service = serve(Router::new().nest("/api", api).layer(layer));
    assert!(get(service, "/api/v1/users/7").ends_with("user 7"));
    assert_eq!(recorded.point().tag("endpoint"), Some("/api/v1/users/{id}"));
    assert!(get(service, "/api/v2/users/7").ends_with("none"));
    assert_eq!(recorded.point().tag("endpoint"), Some("(unmatched)"));
}
