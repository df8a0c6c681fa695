//! One measurement for each request of a [tower](https://docs.rs/tower) service, for example of
//! axum, tonic or hyper.
//!
//! ```
//! use std::net::SocketAddr;
//!
//! use axum::Router;
//! use axum::routing::get;
//! use sprockets_influxdb::middleware::tower::{InfluxDbLayer, RequestMeasurement};
//! use sprockets_influxdb::{Client, Config};
//!
//! async fn greet(measurement: RequestMeasurement) -> &'static str {
//!     let _timed = measurement.set_field("rows", 3).duration("query");
//!     "Hello, world"
//! }
//!
//! # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::new(Config::from_env()?)?;
//! let service = Router::new()
//!     .route("/greetings/{name}", get(greet))
//!     .layer(InfluxDbLayer::new(client.clone(), "example", "request"));
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
//! axum::serve(listener, service.into_make_service_with_connect_info::<SocketAddr>()).await?;
//! client.shutdown_async().await;
//! # Ok(())
//! # }
//! ```
//!
//! See [`middleware`](crate::middleware) for the attributes that are recorded.
//!
//! Every request has a [`RequestMeasurement`] in its extensions, also if it is not recorded.
//!
//! With the feature `axum`:
//!
//! - [`RequestMeasurement`] is an extractor. It never fails.
//! - The endpoint is the route that matched. Call `Router::layer` after you add the routes. For
//!   `Router::nest_service`, the endpoint is the place of the service, such as `/files/{*rest}`.
//! - The client's address is recorded if you serve with `into_make_service_with_connect_info`.
//! - The length of a request is counted if no header has it.
//!
//! Without it, the endpoint is what [`RequestOptions::endpoint`](super::RequestOptions::endpoint)
//! returns. The endpoint of a gRPC
//! call is the method's path, once a call of that method has succeeded. Before that, it may be a
//! scanner's invention.
//!
//! Add the layer last, so that it is the outermost: layers further outside can replace the response
//! unseen. A `TimeoutLayer` outside answers 408 and drops the request, which is recorded as 499, as
//! if the client had disconnected. Inside, its 408 is recorded.
//!
//! The response begins when the service returns it. If the length of its body is known, it begins
//! when the body has been asked for its first part: if that is the last one as well, or if nobody
//! asks, `time_to_first_byte` is the same as `duration`.
//!
//! A websocket is recorded when it closes, if the function passed to `on_upgrade` holds the
//! [`RequestMeasurement`]. Otherwise it is recorded after the handshake.

#[cfg(feature = "axum")]
mod axum;

use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use http::header::{CONTENT_TYPE, HeaderMap};
use http::{Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::constructors::constructors;
use super::guard::RequestGuard;
pub use super::handle::RequestMeasurement;
use super::options::RequestHead;
use super::recorder::Recorder;

/// Records each request of the services that it wraps.
#[derive(Clone, Debug)]
#[must_use]
pub struct InfluxDbLayer {
    recorder: Recorder,
}

constructors!(InfluxDbLayer);

impl<S> Layer<S> for InfluxDbLayer {
    type Service = InfluxDb<S>;

    fn layer(&self, inner: S) -> InfluxDb<S> {
        InfluxDb { inner, recorder: self.recorder.clone() }
    }
}

/// A service whose requests are recorded. Made by [`InfluxDbLayer`].
#[derive(Clone, Debug)]
pub struct InfluxDb<S> {
    inner: S,
    recorder: Recorder,
}

impl<S, Q, R> Service<Request<Q>> for InfluxDb<S>
where
    S: Service<Request<Q>, Response = Response<R>>,
    S::Error: Display,
    Q: Body + 'static,
    R: Body,
    R::Error: Display,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Q>) -> Self::Future {
        let mut guard = self.recorder.begin(&request).unwrap_or_default();
        if guard.is_recording() {
            describe(&mut guard, &mut request);
        } else {
            request.extensions_mut().get_or_insert_default::<RequestMeasurement>();
        }
        let is_connect = request.method() == Method::CONNECT;
        // Not in a closure, which the whole request would be moved to.
        let watched = guard.watched();
        let inner = self.inner.call(request);
        watched.end();
        ResponseFuture { inner, guard, is_connect }
    }
}

impl<B> RequestHead for Request<B> {
    fn method(&self) -> &str {
        self.method().as_str()
    }

    fn path(&self) -> &str {
        self.uri().path()
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers().get(name).map(|value| value.as_bytes())
    }
}

fn describe<Q: Body + 'static>(guard: &mut RequestGuard, request: &mut Request<Q>) {
    let content_type = request.headers().get(CONTENT_TYPE);
    if content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc")) {
        guard.grpc(request.uri().path());
    }
    if let Some(length) = request.body().size_hint().exact() {
        guard.request_length(length);
    }
    #[cfg(feature = "axum")]
    axum::describe(guard, request);
    request.extensions_mut().insert::<RequestMeasurement>(guard.measurement());
}

pin_project! {
    /// The future of an [`InfluxDb`] service.
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        guard: RequestGuard,
        is_connect: bool,
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    E: Display,
    R: Body,
{
    type Output = Result<Response<ResponseBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.guard.watch(|| this.inner.poll(context)));
        let mut guard = std::mem::take(this.guard);
        let response = match result {
            Ok(response) => response,
            Err(error) => {
                guard.fail(&error);
                return Poll::Ready(Err(error));
            }
        };
        let status = response.status();
        guard.respond_untimed(status.as_u16());
        note_grpc_status(&mut guard, response.headers());
        let is_upgrade =
            status == StatusCode::SWITCHING_PROTOCOLS || *this.is_connect && status.is_success();
        if is_upgrade || response.body().size_hint().exact().is_none() {
            guard.note_first_byte();
        }
        if is_upgrade {
            std::mem::take(&mut guard).upgrade();
        } else if response.body().is_end_stream() {
            guard = RequestGuard::default();
        }
        Poll::Ready(Ok(response.map(|inner| ResponseBody { inner, guard })))
    }
}

fn note_grpc_status(guard: &mut RequestGuard, headers: &HeaderMap) {
    if guard.is_grpc() {
        let status =
            headers.get("grpc-status").and_then(|status| status.to_str().ok()?.parse().ok());
        if let Some(status) = status {
            guard.grpc_status(status);
        }
    }
}

pin_project! {
    /// The body of a response. Records the request when it ends or is dropped.
    #[derive(Debug)]
    pub struct ResponseBody<B> {
        #[pin]
        inner: B,
        guard: RequestGuard,
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body,
    B::Error: Display,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let poll = || this.inner.as_mut().poll_frame(context);
        let Poll::Ready(frame) = this.guard.watch(poll) else {
            this.guard.note_first_byte();
            return Poll::Pending;
        };
        let has_more = match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    this.guard.sent(data.remaining());
                } else if let Some(trailers) = frame.trailers_ref() {
                    note_grpc_status(this.guard, trailers);
                }
                !this.inner.is_end_stream()
            }
            Some(Err(error)) => {
                this.guard.fail(error);
                false
            }
            None => false,
        };
        if has_more {
            this.guard.note_first_byte();
        } else {
            *this.guard = RequestGuard::default();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
