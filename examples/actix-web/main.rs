//! An actix-web service whose requests are recorded in InfluxDB: `cargo run --bin actix-web`.
//!
//! The `INFLUXDB_*` variables say where; the database is `example`. `PORT` is the service's (8000).

// It says where it listens, and what became of the measurements.
#![allow(clippy::print_stdout)]

use actix_web::{App, HttpServer, get, web};
use sprockets_influxdb::middleware::actix::{InfluxDb, RequestMeasurement};
use sprockets_influxdb::{Client, Config};

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::new(Config::from_env()?)?;
    let requests = InfluxDb::new(client.clone(), "example", "request");

    let port = std::env::var("PORT").unwrap_or("8000".to_owned()).parse()?;
    let service = move || App::new().wrap(requests.clone()).service(hello).service(greet);
    let server = HttpServer::new(service).workers(2).bind(("127.0.0.1", port))?;
    println!("http://{}", server.addrs()[0]);
    server.run().await?;

    println!("{:?}", client.shutdown_async().await);
    Ok(())
}

#[get("/")]
async fn hello() -> &'static str {
    "Hello, world\n"
}

#[get("/greetings/{name}")]
async fn greet(measurement: RequestMeasurement, name: web::Path<String>) -> String {
    let _timed = measurement.set_tag("language", "en").duration("composing");
    format!("Hello, {name}\n")
}
