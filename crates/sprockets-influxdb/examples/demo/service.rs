//! The service: an axum application that pretends to work, with a layer that records its requests.

use std::future::IntoFuture;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::get;
use sprockets_influxdb::middleware::tower::InfluxDbLayer;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// The measurement that requests are recorded in.
pub(crate) const MEASUREMENT: &str = "requests";
pub(crate) const ROUTES: &str = "GET /users/{id}, GET and POST /orders, GET /search, GET /flaky";

/// A running service. It answers from the moment that it is there.
pub(crate) struct Service {
    address: SocketAddr,
    end: oneshot::Sender<()>,
    serving: JoinHandle<io::Result<()>>,
}

impl Service {
    pub(crate) fn start(runtime: &Runtime, requests: InfluxDbLayer) -> io::Result<Self> {
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr()?;
        let (end, ended) = oneshot::channel();
        let serving = axum::serve(listener, routes(requests)).with_graceful_shutdown(async {
            // That the sender is gone is as good.
            let _ = ended.await;
        });
        Ok(Self { address, end, serving: runtime.spawn(serving.into_future()) })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers the requests, and stops.
    pub(crate) fn end(self, runtime: &Runtime) -> io::Result<()> {
        let _ = self.end.send(());
        // Nobody has a request under way any more; only an open connection could take its time.
        match runtime.block_on(async { timeout(Duration::from_secs(2), self.serving).await }) {
            Ok(served) => served?,
            Err(_) => Ok(()),
        }
    }
}

fn routes(requests: InfluxDbLayer) -> Router {
    Router::new()
        .route("/users/{id}", get(show_user))
        .route("/orders", get(list_orders).post(create_order))
        .route("/search", get(search))
        .route("/flaky", get(flaky))
        .fallback(not_found)
        .layer(requests)
}

async fn show_user(Path(id): Path<u32>) -> Answer {
    work(2.0).await;
    if id % 50 == 0 {
        return (StatusCode::NOT_FOUND, format!("there is no user {id}"));
    }
    (StatusCode::OK, format!("user {id}"))
}

async fn list_orders() -> Answer {
    work(6.0).await;
    (StatusCode::OK, "an order\n".repeat(fastrand::usize(1..50)))
}

async fn create_order(order: String) -> Answer {
    work(12.0).await;
    if fastrand::u8(..100) < 3 {
        let problem = "the warehouse does not answer".to_owned();
        return (StatusCode::GATEWAY_TIMEOUT, problem);
    }
    (StatusCode::CREATED, format!("created: {order}"))
}

async fn search() -> Answer {
    work(20.0).await;
    (StatusCode::OK, "a hit\n".repeat(fastrand::usize(..100)))
}

async fn flaky() -> Answer {
    work(8.0).await;
    match fastrand::u8(..10) {
        0 => (StatusCode::INTERNAL_SERVER_ERROR, "it broke".to_owned()),
        1 => (StatusCode::SERVICE_UNAVAILABLE, "not now".to_owned()),
        _ => (StatusCode::OK, "lucky".to_owned()),
    }
}

async fn not_found() -> Answer {
    (StatusCode::NOT_FOUND, "there is nothing here".to_owned())
}

/// Sleeps as long as such work takes: at least half of this many milliseconds, mostly about as
/// many, and rarely far more.
async fn work(milliseconds: f64) {
    let tail = -fastrand::f64().max(1e-4).ln();
    sleep(Duration::from_secs_f64(milliseconds * (0.5 + 0.7 * tail) / 1e3)).await;
}

/// A status and a text.
type Answer = (StatusCode, String);
