//! Measures the way over NATS JetStream beside direct writes: what publishing costs a service, and
//! how fast forwarders bring a million measurements into influxd.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use test_support::influxd::Influxd;
use test_support::nats::NatsServers;

use crate::delivering::{self, COUNT, Cost};
use crate::sample::{self, NAME};
use crate::serving;
use crate::sink;
use crate::table::{Goal, figure, ratio, section};

/// The first argument of a process that forwards.
pub const CHILD: &str = "forward";

const DATABASE: &str = "nats";
const STREAM: &str = "BENCH";
const ROUNDS: usize = 3;

/// Of a database that is the limit, whatever the forwarders' processor.
const LATENCY: Duration = Duration::from_millis(500);

/// What one round took.
struct Round {
    direct: Cost,
    published: Cost,
    /// Processor seconds of a service over HTTP and over JetStream.
    services: [f64; 2],
    /// Seconds that one forwarder took, and two.
    forwarded: [f64; 2],
}

pub fn run() {
    let Some(influxd) = Influxd::start() else { return };
    let Some(servers) = NatsServers::start(1) else { return };
    forward(&servers, &influxd.url(), &["--create", "--max-gib", "4", "--until-empty"])
        .wait()
        .expect("created");
    let rounds: Vec<Round> = (0..ROUNDS).map(|_| round(&servers, &influxd)).collect();
    let median = |figure: &dyn Fn(&Round) -> f64| {
        let mut figures: Vec<f64> = rounds.iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        figures[ROUNDS / 2]
    };
    let rate = |seconds: &dyn Fn(&Round) -> f64| format!("{:.0}/s", COUNT as f64 / median(seconds));
    section(&format!(
        "{COUNT} measurements over one nats-server into influxd, median of {ROUNDS} rounds"
    ));
    figure("written to influxd directly", &rate(&|round| round.direct.time));
    figure("published to JetStream", &rate(&|round| round.published.time));
    figure("forwarded by one forwarder", &rate(&|round| round.forwarded[0]));
    figure("forwarded by two forwarders", &rate(&|round| round.forwarded[1]));
    let processor = |cost: &dyn Fn(&Round) -> Cost| {
        let nanoseconds = median(&|round| cost(round).processor) / COUNT as f64 * 1e9;
        format!("{nanoseconds:.0} ns")
    };
    figure("processor of a measurement, HTTP", &processor(&|round| round.direct));
    figure("processor of a measurement, JetStream", &processor(&|round| round.published));
    let microseconds = |index: usize| {
        let seconds = median(&|round| round.services[index]);
        format!("{:.1} us", seconds / serving::REQUESTS as f64 * 1e6)
    };
    figure("processor of a service, a request that is recorded, HTTP", &microseconds(0));
    figure("processor of a service, a request that is recorded, JetStream", &microseconds(1));
    let service = median(&|round| round.services[1] / round.services[0]);
    ratio("processor of a service, JetStream / HTTP", service, Goal::AtMost(1.1));
    let scale = median(&|round| round.forwarded[0] / round.forwarded[1]);
    ratio("rate of two forwarders / of one", scale, Goal::Higher);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    figure("processors that they share with influxd and nats-server", &cores.to_string());

    let slow = sink::start_slow(LATENCY);
    let seconds = [1, 2].map(|forwarders| {
        delivering::record_in_child(&servers.url(), DATABASE, "plain");
        drain(&servers, &slow, forwarders)
    });
    let rate = |seconds: f64| format!("{:.0}/s", COUNT as f64 / seconds);
    section(&format!("The same into a server that takes {LATENCY:?} for a request"));
    figure("forwarded by one forwarder", &rate(seconds[0]));
    figure("forwarded by two forwarders", &rate(seconds[1]));
    let scale = seconds[0] / seconds[1];
    ratio("rate of two forwarders / of one, slow server", scale, Goal::AtLeast(1.7));
}

fn round(servers: &NatsServers, influxd: &Influxd) -> Round {
    influxd.create(DATABASE);
    let direct = delivering::record_in_child(&influxd.url(), DATABASE, "plain");
    assert_stored_and_drop(influxd);
    let sink = sink::start();
    let services = [&sink, &servers.url()].map(|url| serving::processor_of_service(url, DATABASE));
    drain(servers, &sink, 1);
    let mut published = None;
    let forwarded = [1, 2].map(|forwarders| {
        published = Some(delivering::record_in_child(&servers.url(), DATABASE, "plain"));
        influxd.create(DATABASE);
        let elapsed = drain(servers, &influxd.url(), forwarders);
        assert_stored_and_drop(influxd);
        elapsed
    });
    Round { direct, published: published.expect("published"), services, forwarded }
}

/// Empties the stream with so many forwarders, and returns the seconds that they took.
fn drain(servers: &NatsServers, target: &str, forwarders: usize) -> f64 {
    let started = Instant::now();
    let run = || forward(servers, target, &["--until-empty", "--quiet"]);
    let processes: Vec<Child> = (0..forwarders).map(|_| run()).collect();
    for mut process in processes {
        assert!(process.wait().expect("ended").success(), "everything was delivered");
    }
    started.elapsed().as_secs_f64()
}

fn forward(servers: &NatsServers, target: &str, arguments: &[&str]) -> Child {
    let program = std::env::current_exe().expect("this program's path");
    Command::new(program)
        .args([CHILD, "--from", &servers.url(), "--stream", STREAM])
        .args(arguments)
        .env("INFLUXDB_URL", target)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a process")
}

fn assert_stored_and_drop(influxd: &Influxd) {
    assert_eq!(influxd.count(DATABASE, NAME, sample::BYTES.0), COUNT as u64);
    influxd.query("", &format!("DROP DATABASE \"{DATABASE}\""));
}
