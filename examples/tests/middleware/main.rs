//! Requests to services with our middleware, over real connections: each is recorded once, whatever becomes of it.

mod actix_service;
mod axum_service;
#[path = "../../../crates/sprockets-influxdb/tests/influxd/count.rs"]
mod count;
mod entered;
mod exchange;
mod grpc;
mod guards;
#[allow(dead_code)]
#[path = "../../../crates/sprockets-influxdb/tests/influxd/process.rs"]
mod process;
mod promises;
mod scanner;
#[allow(dead_code)]
#[path = "../../../crates/sprockets-influxdb/tests/influxd/server.rs"]
mod server;

use std::net::SocketAddr;
use std::time::Duration;

use sprockets_influxdb::testing::{Point, Server};
use sprockets_influxdb::{Client, Config};
use tokio::runtime::{Builder, Runtime};

/// Longer than anything here takes where nothing is wrong.
const LONG: Duration = Duration::from_secs(60);

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

    /// What was recorded, once there is so much of it; and no more.
    fn points(&self, count: usize) -> Vec<Point> {
        assert!(self.server.wait_for_points("example", count, LONG), "{:?}", self.client);
        assert!(self.client.flush(LONG).is_complete());
        let points = self.server.points("example");
        assert_eq!(points.len(), count, "{points:#?}");
        points
    }

    /// What was recorded since the last time, which is one.
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
