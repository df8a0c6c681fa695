//! The services of `examples/`, started as anybody would, against a real influxd.

#[path = "../../crates/sprockets-influxdb/tests/influxd/count.rs"]
mod count;
#[allow(dead_code)]
#[path = "../../crates/sprockets-influxdb/tests/influxd/process.rs"]
mod process;
#[allow(dead_code)]
#[path = "../../crates/sprockets-influxdb/tests/influxd/server.rs"]
mod server;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};

use server::Influxd;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// A running example.
struct Service {
    process: Child,
    output: BufReader<ChildStdout>,
    url: String,
}

impl Service {
    fn start(program: &str, influxd: &Influxd) -> Self {
        let mut process = Command::new(program)
            .env("INFLUXDB_URL", influxd.url())
            .env("PORT", "0")
            .stdout(Stdio::piped())
            .spawn()
            .expect("started");
        let mut output = BufReader::new(process.stdout.take().expect("piped"));
        let mut url = String::new();
        output.read_line(&mut url).expect("a URL");
        Self { process, output, url: url.trim_end().to_owned() }
    }

    fn get(&self, path: &str) -> u16 {
        let agent = ureq::config::Config::builder().http_status_as_error(false).build();
        let response = agent.new_agent().get(format!("{}{path}", self.url)).call();
        response.expect("an answer").status().as_u16()
    }

    /// Ends it as Ctrl-C does, and returns what it says at the end.
    fn interrupt(mut self) -> String {
        let kill = format!("kill -INT {}", self.process.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().expect("a shell").success());
        let mut last_words = String::new();
        self.output.read_to_string(&mut last_words).expect("text");
        assert!(self.process.wait().expect("ended").success());
        last_words
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What there is once: endpoint and status of each point.
fn recorded(influxd: &Influxd, measurement: &str, endpoint: &str, status: &str) -> u64 {
    let query = format!(
        "SELECT count(\"duration\") FROM {measurement} WHERE endpoint = '{endpoint}' AND status_code = '{status}'"
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
    let last_words = service.interrupt();
    assert!(last_words.contains("delivered: 4"), "{last_words}");
    assert_eq!(recorded(&influxd, "request", "/", "200"), 1);
    assert_eq!(recorded(&influxd, "request", "/greetings/{name}", "200"), 2);
    assert_eq!(recorded(&influxd, "request", "(unmatched)", "404"), 1);
    assert_eq!(influxd.count("example", "request", "composing"), 2);
}

#[test]
fn axum() {
    an_http_service(env!("CARGO_BIN_EXE_axum"));
}

#[test]
fn actix_web() {
    an_http_service(env!("CARGO_BIN_EXE_actix-web"));
}

#[test]
fn tonic() {
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
    let last_words = service.interrupt();
    assert!(last_words.contains("delivered: 2"), "{last_words}");
    assert_eq!(recorded(&influxd, "call", "/grpc.health.v1.Health/Check", "200"), 2);
}
