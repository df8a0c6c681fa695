//! Requests over real connections to services with the middleware. Each is recorded once, however
//! it ends.

mod actix_service;
mod axum_service;
mod entered;
mod exchange;
mod grpc;
mod guards;
mod routes;
mod scanner;
mod shared_tests;

use std::net::SocketAddr;

use sprockets_influxdb::testing::{Point, Server};
use sprockets_influxdb::{Client, Config};
use test_support::LONG;
use tokio::runtime::{Builder, Runtime};

/// A scripted server, and a client that submits at once.
struct Recorded {
    server: Server,
    client: Client,
}

impl Recorded {
    fn new() -> Self {
        let server = Server::start();
        let client = client(&server.url());
        Self { server, client }
    }

    /// The recorded points, which must be exactly this many.
    fn points(&self, count: usize) -> Vec<Point> {
        assert!(self.server.wait_for_points("example", count, LONG), "{:?}", self.client);
        assert!(self.client.flush(LONG).is_complete());
        let points = self.server.points("example");
        assert_eq!(points.len(), count, "{points:#?}");
        points
    }

    /// The one point since the last call.
    fn point(&self) -> Point {
        let point = self.points(1).remove(0);
        self.server.clear();
        point
    }
}

fn client(url: &str) -> Client {
    let config = Config::new().url(url).trigger_size(1);
    Client::new(config.tag_hostname(false)).expect("a client")
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

/// A service that runs until the end of the test.
trait Service {
    fn start(client: Client, database: &str) -> SocketAddr;
}
