//! A real influxd of the test's own: in a temporary directory, on ports of its own, gone when it is dropped.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

pub(crate) struct Influxd {
    directory: tempfile::TempDir,
    port: u16,
    process: Child,
}

impl Influxd {
    /// Starts one, or says that none can be.
    #[allow(clippy::print_stdout)]
    pub(crate) fn start() -> Option<Self> {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut error = None;
        // Another process may take a free port before influxd does.
        for _ in 0..5 {
            let port = free_port();
            match run(directory.path(), port) {
                Ok(process) => return Some(Self { directory, port, process }),
                Err(failed) => error = Some(failed),
            }
        }
        assert!(std::env::var_os("REQUIRE_INFLUXD").is_none(), "influxd: {error:?}");
        println!("skipped: influxd cannot be started here: {error:?}");
        None
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Ends it by SIGKILL.
    pub(crate) fn crash(&mut self) {
        self.process.kill().expect("killed");
        self.process.wait().expect("reaped");
    }

    /// Starts it again on the same data.
    pub(crate) fn restart(&mut self) {
        self.process = run(self.directory.path(), self.port).expect("started again");
    }

    pub(crate) fn create(&self, database: &str) {
        self.query("", &format!("CREATE DATABASE \"{database}\""));
    }

    /// The result of a query, as JSON.
    pub(crate) fn query(&self, database: &str, query: &str) -> Value {
        let mut reply = ureq::post(format!("{}/query", self.url()))
            .query("db", database)
            .query("epoch", "ns")
            .query("q", query)
            .send_empty()
            .expect("an answer");
        reply.body_mut().read_json().expect("JSON")
    }

    /// How many points have that field.
    pub(crate) fn count(&self, database: &str, measurement: &str, field: &str) -> u64 {
        let query = format!("SELECT count(\"{field}\") FROM \"{measurement}\"");
        let result = self.query(database, &query);
        result["results"][0]["series"][0]["values"][0][1].as_u64().unwrap_or_default()
    }
}

impl Drop for Influxd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn run(directory: &std::path::Path, port: u16) -> std::io::Result<Child> {
    let mut process = Command::new("influxd")
        .env("INFLUXDB_REPORTING_DISABLED", "true")
        .env("INFLUXDB_BIND_ADDRESS", format!("127.0.0.1:{}", free_port()))
        .env("INFLUXDB_META_DIR", directory.join("meta"))
        .env("INFLUXDB_DATA_DIR", directory.join("data"))
        .env("INFLUXDB_DATA_WAL_DIR", directory.join("wal"))
        .env("INFLUXDB_HTTP_BIND_ADDRESS", format!("127.0.0.1:{port}"))
        .env("INFLUXDB_HTTP_LOG_ENABLED", "false")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut log = BufReader::new(process.stderr.take().expect("piped"));
    let mut line = String::new();
    while log.read_line(&mut line)? > 0 && !line.contains("Listening for signals") {
        line.clear();
    }
    if !line.contains("Listening for signals") {
        let _ = process.kill();
        let _ = process.wait();
        return Err(std::io::Error::other("influxd ended before it was ready"));
    }
    // Its log has to go somewhere, or influxd stops when the pipe is full.
    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    Ok(process)
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound").port()
}
