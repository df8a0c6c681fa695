//! How to start an influxd 1.x and to know when it is ready. The demo uses it too.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use crate::process::remove_settings;

/// An influxd that keeps its data in a directory and listens on two ports. Neither a configuration
/// file of the machine nor a variable of the user changes its settings.
pub fn command(directory: &Path, http_port: u16, rpc_port: u16) -> Command {
    let mut command = Command::new("influxd");
    remove_settings(&mut command);
    command
        .args(["-config", "/dev/null"])
        .env("INFLUXDB_REPORTING_DISABLED", "true")
        .env("INFLUXDB_BIND_ADDRESS", format!("127.0.0.1:{rpc_port}"))
        .env("INFLUXDB_META_DIR", directory.join("meta"))
        .env("INFLUXDB_DATA_DIR", directory.join("data"))
        .env("INFLUXDB_DATA_WAL_DIR", directory.join("wal"))
        .env("INFLUXDB_HTTP_BIND_ADDRESS", format!("127.0.0.1:{http_port}"))
        .env("INFLUXDB_HTTP_LOG_ENABLED", "false")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

/// Reads the log of an influxd until it ends: a full pipe would stop the server. The channel gets a
/// message when the server is ready, and closes when the log ends.
pub fn watch(process: &mut Child) -> Receiver<()> {
    let (ready, is_ready) = channel();
    let log = process.stderr.take();
    thread::spawn(move || {
        for line in log.into_iter().flat_map(|log| BufReader::new(log).split(b'\n')) {
            let Ok(line) = line else { break };
            if String::from_utf8_lossy(&line).contains("Listening for signals") {
                // The receiver is gone if the caller has timed out.
                let _ = ready.send(());
            }
        }
    });
    is_ready
}
