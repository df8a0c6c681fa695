//! Runs the services of `examples/` against a real influxd.

use std::io::{BufRead, BufReader, Read};
use std::process::{ChildStdout, Command, Stdio};

use test_support::influxd::Influxd;
use test_support::process::{Process, remove_settings};
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// A running example.
struct Service {
    process: Process,
    output: BufReader<ChildStdout>,
    url: String,
}

impl Service {
    fn start(program: &str, influxd: &Influxd) -> Self {
        let mut command = Command::new(program);
        remove_settings(&mut command)
            .env("INFLUXDB_URL", influxd.url())
            .env("PORT", "0")
            .stdout(Stdio::piped());
        let mut process = Process::start(&mut command).expect("started");
        let mut output = BufReader::new(process.child().stdout.take().expect("piped"));
        let mut url = String::new();
        output.read_line(&mut url).expect("a URL");
        Self { process, output, url: url.trim_end().to_owned() }
    }

    fn get(&self, path: &str) -> u16 {
        let agent = ureq::config::Config::builder().http_status_as_error(false).build();
        let response = agent.new_agent().get(format!("{}{path}", self.url)).call();
        response.expect("a response").status().as_u16()
    }

    /// Ends it like Ctrl-C, and returns the rest of its output.
    fn interrupt(mut self) -> String {
        self.process.signal("INT");
        assert!(self.process.wait().success());
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).expect("text");
        rest
    }
}

/// The number of points with this endpoint and status.
fn recorded(influxd: &Influxd, measurement: &str, endpoint: &str, status: &str) -> u64 {
    let query = format!(
        "SELECT count(\"duration\") FROM {measurement} \
         WHERE endpoint = '{endpoint}' AND status_code = '{status}'"
    );
    let result = influxd.query("example", &query);
    result["results"][0]["series"][0]["values"][0][1].as_u64().unwrap_or_default()
}

fn an_http_service(program: &str) {
    let Some(influxd) = Influxd::start() else { return };
    influxd.create("example");
    let service = Service::start(program, &influxd);
    assert_eq!(service.get("/"), 200);
    assert_eq!(service.get("/greetings/you"), 200);
    assert_eq!(service.get("/greetings/me"), 200);
    assert_eq!(service.get("/nothing"), 404);
    let output = service.interrupt();
    assert!(output.contains("delivered: 4"), "{output}");
    assert_eq!(recorded(&influxd, "request", "/", "200"), 1);
    assert_eq!(recorded(&influxd, "request", "/greetings/{name}", "200"), 2);
    assert_eq!(recorded(&influxd, "request", "(unmatched)", "404"), 1);
    assert_eq!(influxd.count("example", "request", "composing"), 2);
}

#[test]
fn the_axum_example_records_its_requests() {
    an_http_service(env!("CARGO_BIN_EXE_axum"));
}

#[test]
fn the_actix_web_example_records_its_requests() {
    an_http_service(env!("CARGO_BIN_EXE_actix-web"));
}

#[test]
fn the_tonic_example_records_its_calls() {
    let Some(influxd) = Influxd::start() else { return };
    influxd.create("example");
    let service = Service::start(env!("CARGO_BIN_EXE_tonic"), &influxd);
    let url = service.url.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let channel = Channel::from_shared(url).expect("a URL").connect().await;
        let mut health = HealthClient::new(channel.expect("connected"));
        health.check(HealthCheckRequest::default()).await.expect("healthy");
        let unknown = HealthCheckRequest { service: "unknown".to_owned() };
        health.check(unknown).await.expect_err("no such service");
    });
    let output = service.interrupt();
    assert!(output.contains("delivered: 2"), "{output}");
    assert_eq!(recorded(&influxd, "call", "/grpc.health.v1.Health/Check", "200"), 2);
}
