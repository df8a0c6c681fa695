//! gRPC, of which the status is in the trailers.

use std::net::{Ipv4Addr, SocketAddr};

use sprockets_influxdb::middleware::tower::InfluxDbLayer;
use tokio::runtime::Runtime;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::Recorded;
use super::exchange::get;

/// A service of which everybody has the definition, and its only method that is answered at once.
const CHECK: &str = "/grpc.health.v1.Health/Check";

struct Grpc {
    recorded: Recorded,
    address: SocketAddr,
    runtime: Runtime,
    channel: Channel,
}

impl Grpc {
    fn start() -> Self {
        let recorded = Recorded::new();
        let layer = InfluxDbLayer::new(recorded.client.clone(), "example", "request");
        let runtime = super::runtime();
        let (address, channel) = runtime.block_on(async {
            let incoming = TcpIncoming::bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a port");
            let address = incoming.local_addr().expect("bound");
            let (_, health) = tonic_health::server::health_reporter();
            let server = Server::builder().accept_http1(true).layer(layer).add_service(health);
            tokio::spawn(server.serve_with_incoming(incoming));
            let channel = Channel::from_shared(format!("http://{address}")).expect("a URL");
            (address, channel.connect().await.expect("connected"))
        });
        Self { recorded, address, runtime, channel }
    }

    fn check(&self, service: &str) -> Code {
        let request = HealthCheckRequest { service: service.to_owned() };
        let mut client = HealthClient::new(self.channel.clone());
        match self.runtime.block_on(client.check(Request::new(request))) {
            Ok(_) => Code::Ok,
            Err(status) => status.code(),
        }
    }

    /// Calls a method of any name.
    fn call(&self, path: &'static str) -> Code {
        let mut client = tonic::client::Grpc::new(self.channel.clone());
        self.runtime.block_on(async {
            client.ready().await.expect("ready");
            let codec =
                tonic_prost::ProstCodec::<HealthCheckRequest, HealthCheckRequest>::default();
            let path = http::uri::PathAndQuery::from_static(path);
            let request = Request::new(HealthCheckRequest::default());
            client
                .unary(request, path, codec)
                .await
                .map_or_else(|status| status.code(), |_| Code::Ok)
        })
    }
}

#[test]
fn the_status_is_a_tag_and_the_method_the_endpoint() {
    let grpc = Grpc::start();
    assert_eq!(grpc.check(""), Code::Ok);
    let point = grpc.recorded.point();
    assert_eq!(point.tag("endpoint"), Some(CHECK));
    assert_eq!(point.tag("grpc_status"), Some("0"));
    assert_eq!(point.tag("status_code"), Some("200"));
    assert_eq!(point.tag("method"), Some("POST"));

    // The headers have it of a call that fails.
    assert_eq!(grpc.check("unknown"), Code::NotFound);
    let point = grpc.recorded.point();
    assert_eq!(point.tag("endpoint"), Some(CHECK));
    assert_eq!(point.tag("grpc_status"), Some("5"));
}

#[test]
fn a_method_that_never_succeeded_may_be_anybodys_invention() {
    let grpc = Grpc::start();
    assert_eq!(grpc.call("/grpc.health.v1.Health/Invented"), Code::Unimplemented);
    let point = grpc.recorded.point();
    assert_eq!(point.tag("endpoint"), Some("(unmatched)"));
    assert_eq!(point.tag("grpc_status"), Some("12"));
    // One that is there is known once it has succeeded.
    assert_eq!(grpc.check("unknown"), Code::NotFound);
    assert_eq!(grpc.recorded.point().tag("endpoint"), Some("(unmatched)"));
}

#[test]
fn what_is_not_grpc_has_no_such_status() {
    let grpc = Grpc::start();
    get(grpc.address, CHECK);
    let point = grpc.recorded.point();
    assert_eq!(point.tag("endpoint"), Some("(unmatched)"));
    assert_eq!(point.tag("grpc_status"), None);
}
