//! The service: an ordinary axum application that pretends to work, and the middleware that records its requests. The
//! middleware is what an application takes over.

use std::future::IntoFuture;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::body::HttpBody;
use axum::extract::{MatchedPath, Path, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use sprockets_influxdb::{Client, Measurement};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// The measurement that requests are recorded in.
pub(crate) const MEASUREMENT: &str = "requests";
pub(crate) const ROUTES: &str = "GET /users/{id}, GET and POST /orders, GET /search, GET /flaky";
/// What nobody has a route for is one endpoint: made of paths, the tag would have as many values as clients can think of.
const UNMATCHED: &str = "(unmatched)";

/// Where the middleware records.
#[derive(Clone)]
pub(crate) struct Recorder {
    pub(crate) client: Client,
    pub(crate) database: String,
}

/// Records one measurement for each request, once it is answered.
async fn record(State(recorder): State<Recorder>, request: Request, next: Next) -> Response {
    let endpoint = request.extensions().get().map_or(UNMATCHED, MatchedPath::as_str);
    let mut measurement = Measurement::new(&recorder.database, MEASUREMENT)
        .tag("endpoint", endpoint)
        .tag("method", request.method());
    let timed = measurement.duration("duration");
    let response = next.run(request).await;
    drop(timed);
    measurement.set_tag("status_code", response.status().as_str());
    if let Some(Handler(name)) = response.extensions().get() {
        measurement.set_tag("handler", name);
    }
    if let Some(length) = response.body().size_hint().exact() {
        measurement.set_field("content_length", length);
    }
    // An error is for what no server could store; the books count that as well.
    let _ = recorder.client.add_measurement(&measurement);
    response
}

/// A running service. It answers from the moment that it is there.
pub(crate) struct Service {
    address: SocketAddr,
    end: oneshot::Sender<()>,
    serving: JoinHandle<io::Result<()>>,
}

impl Service {
    pub(crate) fn start(runtime: &Runtime, recorder: Recorder) -> io::Result<Self> {
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr()?;
        let (end, ended) = oneshot::channel();
        let serving = axum::serve(listener, routes(recorder)).with_graceful_shutdown(async {
            // That the sender is gone is as good.
            let _ = ended.await;
        });
        Ok(Self { address, end, serving: runtime.spawn(serving.into_future()) })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers what was asked, and stops.
    pub(crate) fn end(self, runtime: &Runtime) -> io::Result<()> {
        let _ = self.end.send(());
        // Nobody has a request under way any more; only an open connection could take its time.
        match runtime.block_on(async { timeout(Duration::from_secs(2), self.serving).await }) {
            Ok(served) => served?,
            Err(_) => Ok(()),
        }
    }
}

fn routes(recorder: Recorder) -> Router {
    Router::new()
        .route("/users/{id}", get(show_user))
        .route("/orders", get(list_orders).post(create_order))
        .route("/search", get(search))
        .route("/flaky", get(flaky))
        .fallback(not_found)
        .layer(middleware::from_fn_with_state(recorder, record))
}

async fn show_user(Path(id): Path<u32>) -> Answer {
    work(2.0).await;
    if id % 50 == 0 {
        return Answer("show_user", StatusCode::NOT_FOUND, format!("there is no user {id}"));
    }
    Answer("show_user", StatusCode::OK, format!("user {id}"))
}

async fn list_orders() -> Answer {
    work(6.0).await;
    Answer("list_orders", StatusCode::OK, "an order\n".repeat(fastrand::usize(1..50)))
}

async fn create_order(order: String) -> Answer {
    work(12.0).await;
    if fastrand::u8(..100) < 3 {
        let problem = "the warehouse does not answer".to_owned();
        return Answer("create_order", StatusCode::GATEWAY_TIMEOUT, problem);
    }
    Answer("create_order", StatusCode::CREATED, format!("created: {order}"))
}

async fn search() -> Answer {
    work(20.0).await;
    Answer("search", StatusCode::OK, "a hit\n".repeat(fastrand::usize(..100)))
}

async fn flaky() -> Answer {
    work(8.0).await;
    match fastrand::u8(..10) {
        0 => Answer("flaky", StatusCode::INTERNAL_SERVER_ERROR, "it broke".to_owned()),
        1 => Answer("flaky", StatusCode::SERVICE_UNAVAILABLE, "not now".to_owned()),
        _ => Answer("flaky", StatusCode::OK, "lucky".to_owned()),
    }
}

async fn not_found() -> Answer {
    Answer("not_found", StatusCode::NOT_FOUND, "there is nothing here".to_owned())
}

/// Takes as long as such work does: never less than a half, mostly about this many milliseconds, now and then far more.
async fn work(milliseconds: f64) {
    let tail = -fastrand::f64().max(1e-4).ln();
    sleep(Duration::from_secs_f64(milliseconds * (0.5 + 0.7 * tail) / 1e3)).await;
}

/// A handler's name, its status and its text. Only the handler knows its name: it travels with the response.
struct Answer(&'static str, StatusCode, String);

#[derive(Clone)]
struct Handler(&'static str);

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let Self(handler, status, text) = self;
        (status, Extension(Handler(handler)), text).into_response()
    }
}
