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
use axum::routing::{get, post};
use axum::{Extension, Router};
use http_body::Frame;
use sprockets_influxdb::tower::InfluxDbLayer;
use sprockets_influxdb::{Client, RequestMeasurement};
use tokio::net::TcpListener;

use super::entered;

pub(crate) struct Axum;

impl super::Service for Axum {
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
        .route("/", get(async || "Hello, world"))
        .route("/users/{id}", get(show_user))
        .route("/upload", post(async |body: Bytes| body.len().to_string()))
        .route("/stream", get(async || Body::new(Chunks { left: 3 })))
        .route("/endless", get(async || Body::new(Chunks { left: usize::MAX })))
        .route("/never", get(never))
        .route("/panic", get(panics))
        .route("/panic-in-body", get(async || Body::new(Panics)))
        .route("/websocket", get(upgrade))
        .route("/websocket-unheld", get(upgrade_unheld))
}

async fn show_user(
    Path(id): Path<u32>,
    Extension(measurement): Extension<RequestMeasurement>,
) -> String {
    let _timed = measurement.set_tag("kind", "user").set_field("id", id).duration("query");
    format!("user {id}")
}

async fn never(ConnectInfo(client): ConnectInfo<SocketAddr>) {
    entered::note(client);
    pending().await
}

async fn panics() {
    panic!("as asked");
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
        panic!("as asked");
    }
}
