//! A fleet: processes publish to a cluster of nats-servers, forwarders write to influxd, and all of
//! them are killed. Whatever was accepted is stored once.

mod faults;
mod fleet;
mod proxy;
mod publisher;
mod record;
mod simulated_stream;
mod simulation;

use std::time::{Duration, Instant};

use faults::Fault;
use fleet::{Fleet, Size};

/// What a run may take at most.
const MAX_TIME: Duration = Duration::from_secs(3_600);

/// The short form: each kind of fault once.
#[test]
fn a_fleet_loses_nothing_and_stores_nothing_twice() {
    let size = Size { nodes: 3, publishers: 4, adds: 2_000, pause: 3_000, forwarders: 2 };
    let Some(mut fleet) = Fleet::start(size) else { return };
    let faults =
        [Fault::PublisherKilled, Fault::ForwarderKilled, Fault::LeaderKilled, Fault::InfluxdKilled];
    for fault in faults {
        fleet.strike(fault);
    }
    let (figures, explanation) = fleet.finish();
    // One of the four was killed, and replaced.
    assert_eq!((figures.publishers, figures.killed_forwarders), (5, 1));
    assert!(figures.accepted >= 8_000, "{figures:?}");
    assert!(figures.stored >= figures.accepted, "{figures:?}");
    let wrong = (figures.lost, figures.twice, figures.waiting);
    assert_eq!(wrong, (0, 0, false), "{figures:?}\n{explanation}");
}

/// The long form, `make fleet`. FLEET_SEED repeats a run's faults.
#[test]
#[ignore = "takes minutes: make fleet"]
#[allow(clippy::print_stdout)]
fn a_large_fleet_under_faults() {
    let number = |variable: &str, default: u64| {
        std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
    };
    let seed = number("FLEET_SEED", fastrand::u64(..));
    let mut random = fastrand::Rng::with_seed(seed);
    let measurements = number("FLEET_MEASUREMENTS", 200_000);
    let adds = (measurements / 20) as u32;
    let size = Size { nodes: 3, publishers: 20, adds, pause: 10_000, forwarders: 3 };
    println!("seed {seed}: {measurements} measurements, {size:?}");
    let started = Instant::now();
    let mut fleet = Fleet::start(size).expect("nats-server and influxd");
    let mut struck = Vec::new();
    while fleet.is_publishing() {
        assert!(started.elapsed() < MAX_TIME, "the publishers do not end");
        let fault = Fault::ALL[random.usize(..Fault::ALL.len())];
        fleet.strike(fault);
        struck.push(fault);
    }
    let published = started.elapsed();
    let (figures, explanation) = fleet.finish();
    println!("published after {:.1} s, stored after {:.1} s", published.as_secs_f64(), {
        started.elapsed().as_secs_f64()
    });
    for fault in Fault::ALL {
        let count = struck.iter().filter(|struck| **struck == fault).count();
        println!("  {count} times {fault:?}");
    }
    println!("{figures:#?}");
    println!("{} acknowledged messages are still in the stream", figures.left);
    let wrong = (figures.lost, figures.twice, figures.waiting);
    assert_eq!(wrong, (0, 0, false), "\n{explanation}");
}
