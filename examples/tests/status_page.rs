//! The status page in axum and actix-web, over real servers.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use serde_json::Value;
use sprockets_influxdb::middleware::actix::InfluxDb;
use sprockets_influxdb::middleware::tower::InfluxDbLayer;
use sprockets_influxdb::testing::Server;
use sprockets_influxdb::{Client, Config, Measurement, status};

const PATH: &str = "/internal/influxdb";

fn axum(client: Client) -> SocketAddr {
    let layer = InfluxDbLayer::new(client.clone(), "requests", "request");
    let app = axum::Router::new().nest(PATH, status::router(client)).layer(layer);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, app).await.unwrap();
        });
    });
    address
}

fn actix(client: Client) -> SocketAddr {
    use actix_web::{App, HttpServer, rt};

    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let requests = InfluxDb::new(client.clone(), "requests", "request");
        let service =
            move || App::new().wrap(requests.clone()).service(status::scope(PATH, client.clone()));
        let server = HttpServer::new(service).workers(1).disable_signals().listen(listener);
        rt::System::new().block_on(server.unwrap().run()).unwrap();
    });
    address
}

struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        let header = self.headers.iter().find(|(other, _)| other == name);
        header.map_or("", |(_, value)| value)
    }

    fn json(&self) -> Value {
        assert_eq!((self.status, self.header("content-type")), (200, "application/json"));
        serde_json::from_str(&self.body).unwrap()
    }
}

fn ask(address: SocketAddr, method: &str, path: &str, accept: &str) -> Answer {
    let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None);
    let config = config.timeout_global(Some(Duration::from_secs(30)));
    let agent: ureq::Agent = config.build().into();
    let url = format!("http://{address}{path}");
    let request = http::Request::builder().method(method).uri(url).header("accept", accept);
    let mut response = agent.run(request.body(()).unwrap()).unwrap();
    let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
    let headers = response.headers().iter();
    let headers = headers.map(|(name, value)| (name.to_string(), text(value))).collect();
    let body = response.body_mut().read_to_string().unwrap();
    Answer { status: response.status().as_u16(), headers, body }
}

fn client(server: &Server) -> Client {
    let config = Config::new().url(&server.url()).credentials("me", "hunter2");
    Client::new(config).unwrap()
}

fn is_served(serve: fn(Client) -> SocketAddr) {
    let server = Server::start();
    let client = client(&server);
    client.add_measurement(&Measurement::new("db", "m").field("n", 1)).unwrap();
    assert!(client.flush(Duration::from_secs(30)).is_complete());
    let address = serve(client.clone());

    let page = ask(address, "GET", PATH, "text/html,*/*");
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert_eq!(page.header("cache-control"), "no-store");
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    assert!(page.header("content-security-policy").contains("default-src 'none'"));
    assert!(page.body.starts_with("<!doctype html>"));

    for (query, accept) in [("?format=json", "text/html"), ("", "application/json")] {
        let answer = ask(address, "GET", &format!("{PATH}{query}"), accept);
        assert_eq!(answer.header("cache-control"), "no-store");
        let found = answer.json();
        assert_eq!(found["stats"]["delivered"], 1);
        assert_eq!(found["settings"]["user"], "me");
        assert!(!found.to_string().contains("hunter2"));
    }
    let html = ask(address, "GET", &format!("{PATH}?format=html"), "application/json");
    assert_eq!(html.body, page.body);
    assert_eq!(ask(address, "HEAD", PATH, "text/html").body, "");
    // A middleware does not record the page's requests, but those that are not for it.
    assert_eq!(ask(address, "GET", "/other", "").status, 404);
    client.flush(Duration::from_secs(30));
    let [point] = &server.points("requests")[..] else { panic!("one request is not the page's") };
    assert_eq!(point.tag("status_code"), Some("404"));
    assert_eq!(ask(address, "POST", PATH, "text/html").status, 405);
}

/// The status of the page's path with a slash at its end.
fn with_slash(serve: fn(Client) -> SocketAddr) -> u16 {
    let server = Server::start();
    ask(serve(client(&server)), "GET", &format!("{PATH}/"), "text/html").status
}

#[test]
fn axum_serves_the_page_and_its_json() {
    is_served(axum);
    assert_eq!(with_slash(axum), 404);
}

#[test]
fn actix_web_serves_the_page_and_its_json() {
    is_served(actix);
    assert_eq!(with_slash(actix), 200);
}
