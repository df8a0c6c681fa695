//! A forwarder with the backlog of a fleet whose database was away: the forwarder is real, the
//! stream and the database are simulated.

use std::io::{self, BufReader, Read, Write, copy, sink};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use test_support::process::{Process, remove_settings};
use test_support::tcp::{listen, read_head};
use test_support::wait_within;

use super::simulated_stream::{PER_MESSAGE, SimulatedStream};

/// A database that is away at first. It counts lines, and keeps none.
#[derive(Clone, Default)]
struct Database {
    is_back: Arc<AtomicBool>,
    lines: Arc<AtomicU64>,
}

impl Database {
    fn start(&self) -> String {
        let database = self.clone();
        format!("http://{}", listen(move |stream| database.serve(&stream)))
    }

    fn serve(&self, mut stream: &TcpStream) -> io::Result<()> {
        let mut reader = BufReader::with_capacity(256 << 10, stream);
        loop {
            let head = read_head(&mut reader)?.to_ascii_lowercase();
            let header = |name: &str| {
                let line = head.lines().find_map(|line| line.strip_prefix(name));
                line.map(|value| value.trim().to_owned())
            };
            let length = header("content-length:").map_or(0, |text| text.parse().unwrap());
            if head.contains("\nexpect:") {
                stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            }
            if !self.is_back.load(Ordering::Relaxed) {
                copy(&mut reader.by_ref().take(length), &mut sink())?;
                stream.write_all(b"HTTP/1.1 503 Unavailable\r\nContent-Length: 0\r\n\r\n")?;
                continue;
            }
            let mut body = vec![0; length as usize];
            reader.read_exact(&mut body)?;
            let lines = body.iter().filter(|byte| **byte == b'\n').count();
            self.lines.fetch_add(lines as u64, Ordering::Relaxed);
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")?;
        }
    }
}

#[derive(Debug)]
struct Figures {
    /// MiB, at most.
    memory_away: u64,
    memory: u64,
    /// Messages held while the database was away.
    held: usize,
    drain: Duration,
    line_bytes: f64,
}

/// Brings so many messages to the database, which comes back when the forwarder is full.
fn drain(messages: u64, window: &str) -> Figures {
    let (stream, database) = (SimulatedStream::start(messages), Database::default());
    let mut command = Command::new(env!("CARGO_BIN_EXE_sprockets-influxdb"));
    remove_settings(&mut command)
        .args(["forward", "--from", stream.url(), "--stream", "S", "--json", "--window", window])
        .env("INFLUXDB_URL", database.start())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut forwarder = Process::start(&mut command).expect("a forwarder");
    // It takes no more, and says again and again that it holds these.
    let mut before = (0, 0);
    wait_within(Duration::from_secs(300), "the forwarder is full", || {
        let state = stream.state();
        let held = state.held();
        if held != before.0 {
            before = (held, state.renewed);
        }
        held > 0 && state.renewed >= before.1 + 3 * held as u64
    });
    let held = stream.state().held();
    let memory_away = most_memory(&forwarder);
    let returned = Instant::now();
    database.is_back.store(true, Ordering::Relaxed);
    wait_within(Duration::from_secs(1_800), "the stream is empty", || {
        stream.state().acknowledged == messages
    });
    let drain = returned.elapsed();
    let memory = most_memory(&forwarder);
    forwarder.signal("TERM");
    assert_eq!(forwarder.wait().code(), Some(0));
    let totals: Value = serde_json::from_slice(&forwarder.output().stdout).expect("JSON");
    let lines = messages * PER_MESSAGE;
    assert_eq!((&totals["delivered"], &totals["acknowledged"]), (&lines.into(), &messages.into()));
    let state = stream.state();
    assert_eq!((state.repeated, state.held()), (0, 0), "{totals}");
    assert_eq!(database.lines.load(Ordering::Relaxed), lines);
    let line_bytes = state.bytes as f64 / lines as f64;
    Figures { memory_away, memory, held, drain, line_bytes }
}

/// The most memory that a process had, in MiB.
fn most_memory(process: &Process) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/status", process.id())).expect("Linux");
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a figure");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024
}

#[test]
fn a_forwarder_with_a_backlog_stays_within_its_memory() {
    let figures = drain(6_000, "2");
    assert!(figures.held < 2_000, "{figures:?}");
    assert!(figures.memory < 4 * 2 + 80, "{figures:?}");
}

/// Part of `make fleet`. FLEET_MESSAGES changes it.
#[test]
#[ignore = "takes minutes: make fleet"]
#[allow(clippy::print_stdout)]
fn a_forwarder_drains_the_backlog_of_ten_thousand_processes() {
    let messages = std::env::var("FLEET_MESSAGES").map_or(400_000, |text| text.parse().unwrap());
    for window in ["64", "8"] {
        let figures = drain(messages, window);
        let lines = messages * PER_MESSAGE;
        let seconds = figures.drain.as_secs_f64();
        println!("{messages} messages of a simulated stream, {lines} lines, --window {window}");
        println!("  {:.0} bytes a line", figures.line_bytes);
        println!("  held while the database was away: {} messages", figures.held);
        println!("  most memory, database away: {} MiB", figures.memory_away);
        println!("  most memory, in all: {} MiB", figures.memory);
        println!("  drained in {seconds:.1} s: {:.0} lines/s", lines as f64 / seconds);
        let bound = 4 * window.parse::<u64>().unwrap() + 30;
        assert!(figures.memory < bound, "{figures:?}: more than {bound} MiB");
    }
}
