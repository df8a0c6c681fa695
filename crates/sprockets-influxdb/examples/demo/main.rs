//! `make demo`: a small HTTP service that records each of its requests, real requests for a few
//! seconds, and what InfluxDB then has of them beside the client's counters. Its exit code is 1 if
//! the two differ.
//!
//! The server is the one that the `INFLUXDB_*` variables name, else an influxd of its own, else the
//! scripted one. `DEMO_DATABASE` names the database of a named server (default:
//! `sprockets_influxdb_demo`). On 2.x the bucket must exist.

// What it prints is what it is for.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod influxd;
mod influxql;
mod latch;
mod load;
mod progress;
mod report;
mod server;
mod service;
mod summary;

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use sprockets_influxdb::middleware::tower::InfluxDbLayer;
use sprockets_influxdb::{Client, Precision};
use tokio::runtime::{Builder, Runtime};

use latch::Latch;
use load::Load;
use server::Server;
use service::Service;
use summary::Span;

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// How long requests are made.
const TIME: Duration = Duration::from_secs(5);
/// More than a server on a slow machine needs for half a second's measurements.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);
/// 128 and the number of SIGINT, as shells have it.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    match demo() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whatever happens, returning ends the service, and the influxd with its directory.
fn demo() -> Result<ExitCode> {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let interrupted = on_interrupt(&runtime)?;
    let run = format!("{:016x}", fastrand::u64(..));

    let server = Server::find(&interrupted)?;
    if interrupted.is_set() {
        return Ok(ExitCode::from(INTERRUPTED));
    }
    println!("server    {server}");
    server.prepare()?;
    let config = server
        .config()?
        // Marks what is ours in a server that others use, too.
        .base_tag("run", &run)
        // Anything coarser would make one point of several requests.
        .precision(Precision::Nanoseconds)
        // By default nothing would be submitted before the demo ends.
        .submission_interval(Duration::from_millis(500))
        // The demo shuts it down itself; dropping it is not to wait once more.
        .shutdown_timeout(Duration::ZERO);
    let client = Client::new(config)?;

    let requests = InfluxDbLayer::new(client.clone(), server.database(), service::MEASUREMENT);
    let service = Service::start(&runtime, requests)?;
    println!("service   {}: {}", service.url(), service::ROUTES);

    let start = SystemTime::now();
    let load = Load::start(&service.url())?;
    progress::show(TIME, &interrupted, || (load.answered(), client.stats().pending));
    let sent = load.end();
    service.end(&runtime)?;
    let span = Span { start, end: start + TIME };

    if interrupted.is_set() {
        client.shutdown(Duration::from_secs(1));
        eprintln!("demo: interrupted");
        return Ok(ExitCode::from(INTERRUPTED));
    }
    client.shutdown(SHUTDOWN_TIMEOUT);
    let stats = client.stats();
    let summary = server.summary(&run, span);
    if let Ok(summary) = &summary {
        println!("run       {run} in database {}", server.database());
        report::requests(summary);
    }
    let stored = summary.as_ref().ok().map(|summary| summary.stored);
    let equal = report::counters(&sent, &stats, stored);
    summary?;
    report::next_steps();
    Ok(if equal { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A latch that SIGHUP, SIGINT and SIGTERM set. From now on they do not end the process.
fn on_interrupt(runtime: &Runtime) -> Result<Latch> {
    let interrupted = Latch::default();
    let _context = runtime.enter();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        for kind in [SignalKind::hangup(), SignalKind::interrupt(), SignalKind::terminate()] {
            let (mut signal, latch) = (signal(kind)?, interrupted.clone());
            runtime.spawn(async move {
                if signal.recv().await.is_some() {
                    latch.set();
                }
            });
        }
    }
    #[cfg(not(unix))]
    {
        let latch = interrupted.clone();
        runtime.spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                latch.set();
            }
        });
    }
    Ok(interrupted)
}
