//! An axum service whose requests are recorded in InfluxDB: `cargo run --bin axum`.
//!
//! The `INFLUXDB_*` variables say where; the database is `example`. `PORT` is the service's (8000).

// It says where it listens, and what became of the measurements.
#![allow(clippy::print_stdout)]

use std::net::SocketAddr;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use sprockets_influxdb::middleware::tower::{InfluxDbLayer, RequestMeasurement};
use sprockets_influxdb::{Client, Config};
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::new(Config::from_env()?)?;
    let service = Router::new()
        .route("/", get(async || "Hello, world\n"))
        .route("/greetings/{name}", get(greet))
        .layer(InfluxDbLayer::new(client.clone(), "example", "request"))
        .into_make_service_with_connect_info::<SocketAddr>();

    let port = std::env::var("PORT").unwrap_or("8000".to_owned()).parse()?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(listener, service).with_graceful_shutdown(interrupted()).await?;

    println!("{:?}", client.shutdown_async().await);
    Ok(())
}

async fn greet(Path(name): Path<String>, measurement: RequestMeasurement) -> String {
    let _timed = measurement.set_tag("language", "en").duration("composing");
    format!("Hello, {name}\n")
}

async fn interrupted() {
    if let Err(error) = tokio::signal::ctrl_c().await {
        println!("Ctrl-C cannot be heard: {error}");
    }
}
