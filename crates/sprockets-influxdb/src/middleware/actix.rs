//! One measurement for each request of an [actix-web](https://docs.rs/actix-web) application.
//!
//! ```no_run
//! use actix_web::{App, HttpMessage, HttpRequest, HttpServer, web};
//! use sprockets_influxdb::middleware::actix::{InfluxDb, RequestMeasurement};
//! use sprockets_influxdb::{Client, Config};
//!
//! async fn greet(request: HttpRequest) -> &'static str {
//!     if let Some(measurement) = request.extensions().get::<RequestMeasurement>() {
//!         measurement.set_field("rows", 3);
//!     }
//!     "Hello, world"
//! }
//!
//! # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::new(Config::from_env()?)?;
//! let requests = InfluxDb::new(client.clone(), "example", "request");
//! let service = move || App::new().wrap(requests.clone()).route("/greetings/{name}", web::get().to(greet));
//! HttpServer::new(service).bind("127.0.0.1:8000")?.run().await?;
//! client.shutdown_async().await;
//! # Ok(())
//! # }
//! ```
//!
//! What is recorded is [listed](crate::middleware). The endpoint is the pattern of the resource that matched, the handler
//! the resource's name, which actix-web's macros take from the function. A websocket is recorded when it closes.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{Payload, ResourceMap, Service, ServiceRequest, ServiceResponse, Transform};
use actix_web::error::PayloadError;
use actix_web::http::{Method, Uri, header};
use actix_web::{Error, HttpMessage, HttpRequest};
use bytes::Bytes;
use futures_core::Stream;
use pin_project_lite::pin_project;

pub use super::RequestMeasurement;
use super::{Recorder, Recording, RequestBytes, RequestHead, RequestOptions};
use crate::client::Client;

/// Records each request of the application, or the scope, that wraps itself in it: [`App::wrap`](actix_web::App::wrap).
/// To be made once and cloned for each of the server's workers.
#[derive(Clone, Debug)]
#[must_use]
pub struct InfluxDb {
    recorder: Recorder,
}

impl InfluxDb {
    /// Records requests with that client in a database (a bucket, on InfluxDB 2.x), in measurements of that name. Where
    /// one of them is empty, requests pass unrecorded, which the log says once.
    pub fn new(
        client: Client,
        database: impl Into<String>,
        measurement: impl Into<String>,
    ) -> Self {
        Self::with_options(client, database, measurement, RequestOptions::new())
    }

    /// As [`new`](Self::new), with other names, without some of what is recorded, or not for all requests.
    pub fn with_options(
        client: Client,
        database: impl Into<String>,
        measurement: impl Into<String>,
        options: RequestOptions,
    ) -> Self {
        Self { recorder: Recorder::new(client, database, measurement, options) }
    }
}

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
        let mut recording = self.recorder.begin(&request);
        if let Some(recording) = &mut recording {
            describe(recording, &mut request);
        }
        let is_head = request.method() == Method::HEAD;
        let mut unanswered = Unanswered::new(recording, &request, &self.routes);
        let inner = Recording::watch(&mut unanswered.recording, || self.inner.call(request));
        ResponseFuture { inner, unanswered, is_head }
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
    /// The name of each pattern's resource, for which actix-web would match the path again.
    names: RefCell<HashMap<String, String>>,
}

impl Routes {
    fn note(&self, recording: &Recording, pattern: String, name: impl FnOnce() -> Option<String>) {
        recording.endpoint(&pattern);
        let mut names = self.names.borrow_mut();
        recording.handler(names.entry(pattern).or_insert_with(|| name().unwrap_or_default()));
    }
}

/// A request that is being handled. Nobody but actix-web may have it meanwhile; when there is a response, actix-web knows
/// its route, and if there never is one, the path has to be matched for it.
#[derive(Debug)]
struct Unanswered {
    recording: Option<Recording>,
    uri: Uri,
    routes: Rc<Routes>,
}

impl Unanswered {
    fn new(recording: Option<Recording>, request: &ServiceRequest, routes: &Rc<Routes>) -> Self {
        routes.map.get_or_init(|| request.resource_map().clone());
        Self { recording, uri: request.uri().clone(), routes: routes.clone() }
    }

    fn answered(&mut self, request: &HttpRequest) -> Option<Recording> {
        let recording = self.recording.take()?;
        if let Some(pattern) = request.match_pattern() {
            let name = || request.match_name().map(str::to_owned);
            self.routes.note(&recording, pattern, name);
        }
        Some(recording)
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        let Some((recording, map)) = self.recording.take().zip(self.routes.map.get()) else {
            return;
        };
        let path = self.uri.path();
        if let Some(pattern) = map.match_pattern(path) {
            let name = || map.match_name(path).map(str::to_owned);
            self.routes.note(&recording, pattern, name);
        }
    }
}

fn describe(recording: &mut Recording, request: &mut ServiceRequest) {
    if let Some(peer) = request.peer_addr() {
        recording.remote_ip(peer.ip());
    }
    let length = request.headers().get(header::CONTENT_LENGTH);
    match length.and_then(|length| length.to_str().ok()?.parse().ok()) {
        Some(length) => recording.request_length(length),
        None => match request.take_payload() {
            Payload::None => recording.request_length(0),
            payload => {
                let counted = CountedPayload { payload, received: recording.count_request() };
                request.set_payload(Payload::Stream { payload: Box::pin(counted) });
            }
        },
    }
    request.extensions_mut().insert(recording.measurement());
}

/// The body of a request, whose length no header tells.
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
    /// The response to come of an [`InfluxDbService`].
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        unanswered: Unanswered,
        is_head: bool,
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
        let result = ready!(Recording::watch(&mut this.unanswered.recording, poll));
        let recording = match &result {
            Ok(response) => {
                let mut recording = this.unanswered.answered(response.request());
                if let Some(recording) = &mut recording {
                    recording.respond(response.status().as_u16());
                    if let Some(error) = response.response().error() {
                        recording.fail(error);
                    }
                }
                recording
            }
            Err(error) => {
                if let Some(recording) = &mut this.unanswered.recording {
                    recording.respond(error.as_response_error().status_code().as_u16());
                    recording.fail(error);
                }
                None
            }
        };
        let is_head = *this.is_head;
        let recorded = |response: ServiceResponse<B>| {
            response.map_body(|_, inner| {
                let recording = recording.filter(|_| !inner.size().is_eof());
                ResponseBody { inner, recording, is_head }
            })
        };
        Poll::Ready(result.map(recorded))
    }
}

pin_project! {
    /// The body of a response, which records its request when it ends, or is dropped.
    #[derive(Debug)]
    pub struct ResponseBody<B> {
        #[pin]
        inner: B,
        recording: Option<Recording>,
        is_head: bool,
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
        let chunk = ready!(Recording::watch(this.recording, || this.inner.poll_next(context)));
        if let Some(recording) = this.recording {
            match &chunk {
                Some(Ok(_)) if *this.is_head => {}
                Some(Ok(bytes)) => recording.sent(bytes.len()),
                // It can be shown only by what takes it.
                Some(Err(_)) => recording.fail("the response's body failed"),
                None => {}
            }
            if !matches!(chunk, Some(Ok(_))) {
                *this.recording = None;
            }
        }
        Poll::Ready(chunk)
    }
}
