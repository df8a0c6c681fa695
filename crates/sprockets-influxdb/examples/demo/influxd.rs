//! An influxd for the demo alone, in a temporary directory and on its own ports. Dropping it kills
//! it and removes its data.

use std::io;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use test_support::influxd::process;
use test_support::ports::free_port;

use super::latch::Latch;

/// Usually it takes a fraction of a second.
const START_TIMEOUT: Duration = Duration::from_secs(20);

pub(crate) struct Influxd {
    process: Child,
    url: String,
    version: String,
    directory: TempDir,
}

impl Influxd {
    /// Starts one. The error says why that is impossible.
    pub(crate) fn start(interrupted: &Latch) -> Result<Self, String> {
        let version = version()?;
        let mut reason = String::new();
        // Another process may take a free port before influxd does.
        for _ in 0..5 {
            match Self::try_start(&version, interrupted) {
                Ok(influxd) => return Ok(influxd),
                Err(_) if interrupted.is_set() => return Err("interrupted".to_owned()),
                Err(error) => reason = format!("influxd cannot be started: {error}"),
            }
        }
        Err(reason)
    }

    fn try_start(version: &str, interrupted: &Latch) -> io::Result<Self> {
        let directory = tempfile::Builder::new().prefix("influxdb-demo-").tempdir()?;
        let (port, other) = (free_port()?, free_port()?);
        let mut command = process::command(directory.path(), port, other);
        // Ctrl-C must not end influxd: the demo still queries it.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut process = command.spawn()?;
        let ready = process::watch(&mut process);
        // From here on, dropping it ends the process.
        let url = format!("http://127.0.0.1:{port}");
        let influxd = Self { process, url, version: version.to_owned(), directory };

        let start = Instant::now();
        loop {
            match ready.recv_timeout(Duration::from_millis(50)) {
                Ok(()) => return Ok(influxd),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(io::Error::other("it ended before it was ready"));
                }
                Err(RecvTimeoutError::Timeout) if interrupted.is_set() => {
                    return Err(io::ErrorKind::Interrupted.into());
                }
                Err(RecvTimeoutError::Timeout) if start.elapsed() > START_TIMEOUT => {
                    return Err(io::Error::other("it is not ready in time"));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Influxd {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The version of the influxd here. One of 2.x would start, but keep its data elsewhere.
fn version() -> Result<String, String> {
    let output = Command::new("influxd").arg("version").output();
    let output = output.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "no influxd is installed".to_owned(),
        _ => format!("influxd cannot be run: {error}"),
    })?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.split_whitespace().nth(1).unwrap_or_default().trim_start_matches('v');
    if version.starts_with("1.") {
        Ok(version.to_owned())
    } else {
        Err(format!("the installed influxd is not 1.x: {:?}", text.trim()))
    }
}
