//! One measurement for each request of an [actix-web](https://docs.rs/actix-web) application.
//!
//! ```no_run
//! use actix_web::{App, HttpServer, web};
//! use sprockets_influxdb::middleware::actix::{InfluxDb, RequestMeasurement};
//! use sprockets_influxdb::{Client, Config};
//!
//! async fn greet(measurement: RequestMeasurement) -> &'static str {
//!     measurement.set_field("rows", 3);
//!     "Hello, world"
//! }
//!
//! # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::new(Config::from_env()?)?;
//! let requests = InfluxDb::new(client.clone(), "example", "request");
//! let service = move || {
//!     App::new().wrap(requests.clone()).route("/greetings/{name}", web::get().to(greet))
//! };
//! HttpServer::new(service).bind("127.0.0.1:8000")?.run().await?;
//! client.shutdown_async().await;
//! # Ok(())
//! # }
//! ```
//!
//! [`RequestMeasurement`] is an extractor that never fails. The request's extensions have it as
//! well, also if the request is not recorded.
//!
//! See [`middleware`](crate::middleware) for the attributes that are recorded. The endpoint is the
//! pattern of the resource that matched. The handler is the resource's name, which actix-web's
//! macros take from the function. A websocket is recorded when it closes.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{Payload, ResourceMap, Service, ServiceRequest, ServiceResponse, Transform};
use actix_web::error::PayloadError;
use actix_web::http::{Uri, header};
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest};
use bytes::Bytes;
use futures_core::Stream;
use pin_project_lite::pin_project;

use super::constructors::constructors;
use super::guard::RequestGuard;
pub use super::handle::RequestMeasurement;
use super::options::RequestHead;
use super::outcome::RequestBytes;
use super::recorder::Recorder;

/// Records each request of an application or a scope: pass it to
/// [`App::wrap`](actix_web::App::wrap).
///
/// Make one, and clone it for each of the server's workers.
#[derive(Clone, Debug)]
#[must_use]
pub struct InfluxDb {
    recorder: Recorder,
}

constructors!(InfluxDb);

impl<S, B> Transform<S, ServiceRequest> for InfluxDb
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    type Response = ServiceResponse<ResponseBody<B>>;
    type Error = Error;
    type Transform = InfluxDbService<S>;
    type InitError = ();
    type Future = Ready<Result<InfluxDbService<S>, ()>>;

    fn new_transform(&self, inner: S) -> Self::Future {
        let (recorder, routes) = (self.recorder.clone(), Rc::default());
        ready(Ok(InfluxDbService { inner, recorder, routes }))
    }
}

/// A service whose requests are recorded. Made by [`InfluxDb`].
#[derive(Clone, Debug)]
pub struct InfluxDbService<S> {
    inner: S,
    recorder: Recorder,
    routes: Rc<Routes>,
}

impl<S, B> Service<ServiceRequest> for InfluxDbService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    type Response = ServiceResponse<ResponseBody<B>>;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&self, mut request: ServiceRequest) -> Self::Future {
        let mut guard = self.recorder.begin(&request).unwrap_or_default();
        if guard.is_recording() {
            describe(&mut guard, &mut request);
        } else {
            add_default_measurement(&request);
        }
        let mut unanswered = Unanswered::new(guard, &request, &self.routes);
        let inner = unanswered.guard.watch(|| self.inner.call(request));
        ResponseFuture { inner, unanswered }
    }
}

impl RequestHead for ServiceRequest {
    fn method(&self) -> &str {
        self.method().as_str()
    }

    fn path(&self) -> &str {
        self.path()
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers().get(name).map(|value| value.as_bytes())
    }
}

/// The application's routes.
#[derive(Debug, Default)]
struct Routes {
    map: OnceCell<ResourceMap>,
    /// The name of each pattern's resource. actix-web would match the path again to find it.
    names: RefCell<HashMap<String, String>>,
}

impl Routes {
    fn note(&self, guard: &RequestGuard, pattern: String, name: impl FnOnce() -> Option<String>) {
        guard.endpoint(&pattern);
        let mut names = self.names.borrow_mut();
        guard.handler(names.entry(pattern).or_insert_with(|| name().unwrap_or_default()));
    }
}

/// A request without a response.
///
/// Only actix-web can hold the request while it is handled. The response has the request's route.
/// If there never is a response, the path is matched again.
#[derive(Debug)]
struct Unanswered {
    guard: RequestGuard,
    uri: Uri,
    routes: Rc<Routes>,
}

impl Unanswered {
    fn new(guard: RequestGuard, request: &ServiceRequest, routes: &Rc<Routes>) -> Self {
        routes.map.get_or_init(|| request.resource_map().clone());
        Self { guard, uri: request.uri().clone(), routes: routes.clone() }
    }

    fn answered(&mut self, request: &HttpRequest) -> RequestGuard {
        let guard = std::mem::take(&mut self.guard);
        if guard.is_recording() {
            if let Some(pattern) = request.match_pattern() {
                let name = || request.match_name().map(str::to_owned);
                self.routes.note(&guard, pattern, name);
            }
        }
        guard
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        let guard = std::mem::take(&mut self.guard);
        let Some(map) = self.routes.map.get().filter(|_| guard.is_recording()) else { return };
        let path = self.uri.path();
        if let Some(pattern) = map.match_pattern(path) {
            let name = || map.match_name(path).map(str::to_owned);
            self.routes.note(&guard, pattern, name);
        }
    }
}

fn describe(guard: &mut RequestGuard, request: &mut ServiceRequest) {
    if let Some(peer) = request.peer_addr() {
        guard.remote_ip(peer.ip());
    }
    let length = request.headers().get(header::CONTENT_LENGTH);
    match length.and_then(|length| length.to_str().ok()?.parse().ok()) {
        Some(length) => guard.request_length(length),
        None => match request.take_payload() {
            Payload::None => guard.request_length(0),
            payload => {
                let counted = CountedPayload { payload, received: guard.count_request() };
                request.set_payload(Payload::Stream { payload: Box::pin(counted) });
            }
        },
    }
    request.extensions_mut().insert(guard.measurement());
}

/// Adds a measurement that is dropped, unless there is one.
fn add_default_measurement(request: &ServiceRequest) {
    let mut extensions = request.extensions_mut();
    if !extensions.contains::<RequestMeasurement>() {
        extensions.insert(RequestMeasurement::default());
    }
}

/// Never fails: without a middleware, the measurement is dropped.
impl FromRequest for RequestMeasurement {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(request.extensions().get::<Self>().cloned().unwrap_or_default()))
    }
}

/// Counts the bytes of a request body without a length header.
struct CountedPayload {
    payload: Payload,
    received: RequestBytes,
}

impl Stream for CountedPayload {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, PayloadError>>> {
        let item = ready!(Pin::new(&mut self.payload).poll_next(context));
        if let Some(Ok(bytes)) = &item {
            self.received.add(bytes.len());
        }
        Poll::Ready(item)
    }
}

pin_project! {
    /// The future of an [`InfluxDbService`].
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        unanswered: Unanswered,
    }
}

impl<F, B> Future for ResponseFuture<F>
where
    F: Future<Output = Result<ServiceResponse<B>, Error>>,
    B: MessageBody,
{
    type Output = Result<ServiceResponse<ResponseBody<B>>, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let poll = || this.inner.poll(context);
        let response = match ready!(this.unanswered.guard.watch(poll)) {
            Ok(response) => response,
            Err(error) => {
                let guard = &mut this.unanswered.guard;
                guard.respond(error.as_response_error().status_code().as_u16());
                guard.fail(&error);
                return Poll::Ready(Err(error));
            }
        };
        let mut guard = this.unanswered.answered(response.request());
        guard.respond(response.status().as_u16());
        if let Some(error) = response.response().error() {
            guard.fail(error);
        }
        if response.response().body().size().is_eof() {
            guard = RequestGuard::default();
        }
        Poll::Ready(Ok(response.map_body(|_, inner| ResponseBody { inner, guard })))
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

impl<B: MessageBody> MessageBody for ResponseBody<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.inner.size()
    }

    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, B::Error>>> {
        let this = self.project();
        let chunk = ready!(this.guard.watch(|| this.inner.poll_next(context)));
        match &chunk {
            Some(Ok(bytes)) => this.guard.sent(bytes.len()),
            // Its type need not implement `Display`.
            Some(Err(_)) => this.guard.fail("the response's body failed"),
            None => {}
        }
        if !matches!(chunk, Some(Ok(_))) {
            *this.guard = RequestGuard::default();
        }
        Poll::Ready(chunk)
    }
}
