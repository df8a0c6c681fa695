//! An influxd of the demo's own: in a temporary directory, on ports of its own, gone with its directory when it is
//! dropped.

use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::latch::Latch;

/// It needs a fraction of a second, unless the machine has a lot to do.
const START_TIMEOUT: Duration = Duration::from_secs(20);

pub(crate) struct Influxd {
    process: Child,
    url: String,
    version: String,
    directory: TempDir,
}

impl Influxd {
    /// Starts one; an `Err` is the reason why there is none.
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
        let mut process = command(directory.path(), port, other).spawn()?;
        let ready = watch(&mut process);
        // From here on whatever goes wrong ends the process as well.
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
        // It has nothing to keep. One that has ended already is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What influxd says it is. One of 2.x would start as well, but keep its data elsewhere.
fn version() -> Result<String, String> {
    let output = Command::new("influxd").arg("version").output();
    let output = output.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "there is no influxd here".to_owned(),
        _ => format!("influxd cannot be run: {error}"),
    })?;
    let said = String::from_utf8_lossy(&output.stdout);
    let version = said.split_whitespace().nth(1).unwrap_or_default().trim_start_matches('v');
    if version.starts_with("1.") {
        Ok(version.to_owned())
    } else {
        Err(format!("the influxd here is none of 1.x: {:?}", said.trim()))
    }
}

fn command(directory: &Path, port: u16, other: u16) -> Command {
    let mut command = Command::new("influxd");
    // Neither a file of the machine's nor a variable of the user's configures it.
    for (variable, _) in std::env::vars_os() {
        if variable.to_string_lossy().starts_with("INFLUXDB_") {
            command.env_remove(variable);
        }
    }
    command
        .args(["-config", "/dev/null"])
        .env("INFLUXDB_REPORTING_DISABLED", "true")
        .env("INFLUXDB_BIND_ADDRESS", format!("127.0.0.1:{other}"))
        .env("INFLUXDB_META_DIR", directory.join("meta"))
        .env("INFLUXDB_DATA_DIR", directory.join("data"))
        .env("INFLUXDB_DATA_WAL_DIR", directory.join("wal"))
        .env("INFLUXDB_HTTP_BIND_ADDRESS", format!("127.0.0.1:{port}"))
        .env("INFLUXDB_HTTP_LOG_ENABLED", "false")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    // Ctrl-C is for the demo, which still has something to tell influxd.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command
}

/// Reads its log: says when it is ready, and goes on, or influxd would stop once the pipe is full.
fn watch(process: &mut Child) -> Receiver<()> {
    let (ready, is_ready) = channel();
    let log = process.stderr.take();
    thread::spawn(move || {
        for line in log.into_iter().flat_map(|log| BufReader::new(log).split(b'\n')) {
            let Ok(line) = line else { break };
            if String::from_utf8_lossy(&line).contains("Listening for signals") {
                // Nobody listens any more if it came too late.
                let _ = ready.send(());
            }
        }
    });
    is_ready
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
