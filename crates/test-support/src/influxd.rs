//! A real influxd 1.x for one test, in a temporary directory and on ports of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use serde_json::Value;

pub mod process;

use crate::ports::free_port;
use crate::process::Process;
use process::{command, watch};

/// A running influxd. Dropping it kills it and removes its data.
pub struct Influxd {
    directory: tempfile::TempDir,
    port: u16,
    variables: Vec<(&'static str, &'static str)>,
    process: Process,
}

impl Influxd {
    /// Starts one. Where that is impossible it prints that the test is skipped and returns `None`;
    /// with `REQUIRE_INFLUXD` set it panics.
    pub fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// Like [`start`](Self::start), with more environment variables.
    #[allow(clippy::print_stdout)]
    pub fn start_with(variables: &[(&'static str, &'static str)]) -> Option<Self> {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let variables = variables.to_vec();
        let mut error = None;
        // Another process may take a free port before influxd does.
        for _ in 0..5 {
            let port = free_port().expect("a port");
            match run(directory.path(), port, &variables) {
                Ok(process) => return Some(Self { directory, port, variables, process }),
                Err(failed) => error = Some(failed),
            }
        }
        assert!(std::env::var_os("REQUIRE_INFLUXD").is_none(), "influxd: {error:?}");
        println!("skipped: influxd cannot be started here: {error:?}");
        None
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Where its HTTP interface listens; the same after a restart.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Ends it with SIGKILL.
    pub fn crash(&mut self) {
        self.process.kill();
    }

    /// Starts it again on the same data.
    pub fn restart(&mut self) {
        self.process =
            run(self.directory.path(), self.port, &self.variables).expect("started again");
    }

    /// Freezes all its threads until [`resume`](Self::resume).
    pub fn freeze(&self) {
        self.process.signal("STOP");
        // The command `kill` returns before the threads have stopped.
        let tasks = format!("/proc/{}/task", self.process.id());
        let is_stopped = |task: std::io::Result<std::fs::DirEntry>| {
            let stat = task.and_then(|task| std::fs::read_to_string(task.path().join("stat")));
            stat.is_ok_and(|stat| {
                stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
            })
        };
        while std::fs::read_dir(&tasks).is_ok_and(|mut tasks| !tasks.all(is_stopped)) {
            std::thread::yield_now();
        }
    }

    /// Ends [`freeze`](Self::freeze).
    pub fn resume(&self) {
        self.process.signal("CONT");
    }

    /// Creates a database.
    pub fn create(&self, database: &str) {
        self.query("", &format!("CREATE DATABASE \"{database}\""));
    }

    /// The result of a query, with timestamps in nanoseconds. The request names the user `admin`
    /// with the password `admin`, which influxd ignores unless it has users.
    pub fn query(&self, database: &str, query: &str) -> Value {
        let mut reply = ureq::post(format!("{}/query", self.url()))
            .query("db", database)
            .query("epoch", "ns")
            .query("q", query)
            .query("u", "admin")
            .query("p", "admin")
            .send_empty()
            .expect("a reply");
        let result: Value = reply.body_mut().read_json().expect("JSON");
        assert!(result["results"][0]["error"].is_null(), "{query}: {result}");
        result
    }

    /// The number of points of a measurement that have this field.
    pub fn count(&self, database: &str, measurement: &str, field: &str) -> u64 {
        let query = format!("SELECT count(\"{field}\") FROM \"{measurement}\"");
        let result = self.query(database, &query);
        result["results"][0]["series"][0]["values"][0][1].as_u64().unwrap_or_default()
    }
}

fn run(directory: &Path, port: u16, variables: &[(&str, &str)]) -> std::io::Result<Process> {
    let mut command = command(directory, port, free_port()?);
    let mut process = Process::start(command.envs(variables.iter().copied()))?;
    match watch(process.child()).recv() {
        Ok(()) => Ok(process),
        Err(_) => Err(std::io::Error::other("influxd ended before it was ready")),
    }
}
