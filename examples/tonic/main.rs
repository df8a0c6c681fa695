//! A gRPC service whose calls are recorded in InfluxDB: `cargo run --bin tonic`.
//!
//! The `INFLUXDB_*` variables configure the client; the database is `example`. `PORT` is the
//! service's port (8000). The service is the health check that every gRPC client knows, so that
//! nothing has to be generated.

// It prints its address, and what became of the measurements.
#![allow(clippy::print_stdout)]

use sprockets_influxdb::middleware::tower::InfluxDbLayer;
use sprockets_influxdb::{Client, Config};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::new(Config::from_env()?)?;
    let port: u16 = std::env::var("PORT").unwrap_or("8000".to_owned()).parse()?;
    let incoming = TcpIncoming::bind(([127, 0, 0, 1], port).into())?;
    println!("http://{}", incoming.local_addr()?);

    let (_, health) = tonic_health::server::health_reporter();
    Server::builder()
        .layer(InfluxDbLayer::new(client.clone(), "example", "call"))
        .add_service(health)
        .serve_with_incoming_shutdown(incoming, interrupted())
        .await?;

    println!("{:?}", client.shutdown_async().await);
    Ok(())
}

async fn interrupted() {
    if let Err(error) = tokio::signal::ctrl_c().await {
        println!("Ctrl-C cannot be heard: {error}");
    }
}
