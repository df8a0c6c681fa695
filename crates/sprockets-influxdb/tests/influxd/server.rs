//! A real influxd of the test's own: in a temporary directory, on ports of its own, gone when it is dropped.

use std::path::Path;
use std::process::Child;

use serde_json::Value;

use super::process::{command, free_port, watch};

pub(crate) struct Influxd {
    directory: tempfile::TempDir,
    port: u16,
    options: Vec<(&'static str, &'static str)>,
    process: Child,
}

impl Influxd {
    /// Starts one, or says that none can be.
    pub(crate) fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// Starts one with these variables.
    #[allow(clippy::print_stdout)]
    pub(crate) fn start_with(options: &[(&'static str, &'static str)]) -> Option<Self> {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let options = options.to_vec();
        let mut error = None;
        // Another process may take a free port before influxd does.
        for _ in 0..5 {
            let port = free_port().expect("a port");
            match run(directory.path(), port, &options) {
                Ok(process) => return Some(Self { directory, port, options, process }),
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
        self.process = run(self.directory.path(), self.port, &self.options).expect("started again");
    }

    /// Sends it a signal, by its name without the `SIG`.
    #[cfg(unix)]
    pub(crate) fn signal(&self, name: &str) {
        let script = format!("kill -{name} {}", self.process.id());
        let status = std::process::Command::new("sh").args(["-c", &script]).status();
        assert!(status.expect("a shell").success(), "{script}");
    }

    /// Stops it, every thread of it, until it gets a CONT.
    pub(crate) fn stop(&self) {
        self.signal("STOP");
        // kill returns before the threads have stopped.
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

    pub(crate) fn create(&self, database: &str) {
        self.query("", &format!("CREATE DATABASE \"{database}\""));
    }

    /// The result of a query, as JSON. Asks as the administrator `admin`, which only an influxd with users looks at.
    pub(crate) fn query(&self, database: &str, query: &str) -> Value {
        let mut reply = ureq::post(format!("{}/query", self.url()))
            .query("db", database)
            .query("epoch", "ns")
            .query("q", query)
            .query("u", "admin")
            .query("p", "admin")
            .send_empty()
            .expect("an answer");
        let result: Value = reply.body_mut().read_json().expect("JSON");
        assert!(result["results"][0]["error"].is_null(), "{query}: {result}");
        result
    }
}

impl Drop for Influxd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn run(directory: &Path, port: u16, options: &[(&str, &str)]) -> std::io::Result<Child> {
    let mut process =
        command(directory, port, free_port()?).envs(options.iter().copied()).spawn()?;
    if watch(&mut process).recv().is_err() {
        let _ = process.kill();
        let _ = process.wait();
        return Err(std::io::Error::other("influxd ended before it was ready"));
    }
    Ok(process)
}
