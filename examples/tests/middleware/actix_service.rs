//! A service made with actix-web.

use std::convert::Infallible;
use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{Bytes, Payload};
use actix_web::{App, Error, HttpRequest, HttpResponse, HttpServer, get, post, rt, web};
use sprockets_influxdb::Client;
use sprockets_influxdb::middleware::actix::{InfluxDb, RequestMeasurement};

use super::exchange::get as ask;
use super::{Recorded, Service, entered};

pub(crate) struct Actix;

impl Service for Actix {
    fn start(client: Client, database: &str) -> SocketAddr {
        let requests = InfluxDb::new(client, database, "request");
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("bound");
        std::thread::spawn(move || {
            let service = move || App::new().wrap(requests.clone()).configure(routes);
            let server = HttpServer::new(service).workers(1).disable_signals().listen(listener);
            rt::System::new().block_on(server.expect("a server").run())
        });
        address
    }
}

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(hello)
        .service(show_user)
        .service(upload)
        .service(panics)
        .service(fails)
        .service(websocket)
        .route("/stream", web::get().to(async || streamed(Chunks { left: 3 })))
        .route("/endless", web::get().to(async || streamed(Chunks { left: usize::MAX })))
        .service(never)
        .route("/panic-in-body", web::get().to(async || streamed(Panics)));
}

fn streamed(body: impl MessageBody + 'static) -> HttpResponse {
    HttpResponse::Ok().body(body)
}

#[get("/")]
async fn hello() -> &'static str {
    "Hello, world"
}

#[get("/users/{id}")]
async fn show_user(measurement: RequestMeasurement, id: web::Path<u32>) -> String {
    let _timed = measurement
        .set_tag("kind", "user")
        .set_tag("id", "7")
        .set_field("id", *id)
        .duration("query");
    format!("user {id}")
}

#[post("/upload")]
async fn upload(body: Bytes) -> String {
    body.len().to_string()
}

#[get("/never")]
async fn never(request: HttpRequest) -> HttpResponse {
    request.peer_addr().into_iter().for_each(entered::note);
    pending().await
}

#[get("/panic")]
async fn panics() -> HttpResponse {
    panic!("on purpose");
}

#[get("/fail")]
async fn fails() -> Result<HttpResponse, Error> {
    Err(actix_web::error::ErrorBadGateway("the backend is away"))
}

#[get("/websocket")]
async fn websocket(request: HttpRequest, payload: Payload) -> Result<HttpResponse, Error> {
    let (response, session, mut messages) = actix_ws::handle(&request, payload)?;
    rt::spawn(async move {
        while let Some(Ok(_)) = messages.recv().await {}
        let _ = session.close(None).await;
    });
    Ok(response)
}

/// A body of a thousand bytes at a time.
struct Chunks {
    left: usize,
}

impl MessageBody for Chunks {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        let Some(left) = self.left.checked_sub(1) else { return Poll::Ready(None) };
        self.left = left;
        Poll::Ready(Some(Ok(Bytes::from_static(&[b'x'; 1_000]))))
    }
}

struct Panics;

impl MessageBody for Panics {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        panic!("on purpose");
    }
}

#[test]
fn an_error_of_a_handler_is_recorded() {
    let recorded = Recorded::new();
    let service = Actix::start(recorded.client.clone(), "example");
    assert!(ask(service, "/fail").starts_with("HTTP/1.1 502 "));
    let point = recorded.point();
    assert_eq!(point.tag("endpoint"), Some("/fail"));
    assert_eq!(point.tag("handler"), Some("fails"));
    assert_eq!(point.tag("status_code"), Some("502"));
    assert_eq!(point.field("exception"), Some(&"the backend is away".into()));
}

#[test]
fn an_error_of_a_middleware_further_inside_is_recorded() {
    let recorded = Recorded::new();
    let requests = InfluxDb::new(recorded.client.clone(), "example", "request");
    let refuse = async |_: ServiceRequest, _: Next<BoxBody>| {
        Err::<ServiceResponse, Error>(actix_web::error::ErrorUnauthorized("who are you?"))
    };
    rt::System::new().block_on(async {
        let app = App::new().wrap(from_fn(refuse)).wrap(requests).configure(routes);
        let app = actix_web::test::init_service(app).await;
        let request = actix_web::test::TestRequest::get().uri("/users/7").to_request();
        let error = actix_web::test::try_call_service(&app, request).await.expect_err("refused");
        assert_eq!(error.to_string(), "who are you?");
    });
    let point = recorded.point();
    assert_eq!(point.tag("endpoint"), Some("/users/{id}"));
    assert_eq!(point.tag("handler"), Some("show_user"));
    assert_eq!(point.tag("status_code"), Some("401"));
    assert_eq!(point.field("exception"), Some(&"who are you?".into()));
}
