//! The process of an influxd 1.x that keeps its data in a directory given, on ports given. Also the demo's.

use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

/// Neither a file of the machine's nor a variable of the user's configures it.
pub(crate) fn command(directory: &Path, port: u16, other: u16) -> Command {
    let mut command = Command::new("influxd");
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
    command
}

/// Reads its log: says when it is ready, and goes on, or influxd would stop once the pipe is full. The channel closes
/// when the log ends.
pub(crate) fn watch(process: &mut Child) -> Receiver<()> {
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

pub(crate) fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
