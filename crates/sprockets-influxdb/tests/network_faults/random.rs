//! Any faults in any order, under load.

use std::thread;

use fastrand::Rng;
use sprockets_influxdb::Overflow;
use test_support::LONG;

use super::proxy::{Counts, Fault};
use super::setup::Setup;
use super::{SHORT, TIMEOUT};

const THREADS: usize = 4;
const EACH: usize = 10_000;
const FAULTS: usize = 40;

fn any(random: &mut Rng) -> Fault {
    match random.u8(0..12) {
        0 => Fault::Partition,
        1 => Fault::Delay(TIMEOUT.mul_f32(random.f32())),
        2 => Fault::Forget(random.usize(0..30_000)),
        3 => Fault::Stall(random.usize(0..30_000)),
        4 | 5 => Fault::ResetRequest(random.usize(0..30_000)),
        6 => Fault::ResetReply,
        7 => Fault::CutReply(random.usize(0..200)),
        8 => Fault::DripReply(TIMEOUT.mul_f32(random.f32() / 100.0)),
        9 => Fault::Garble(b"SSH-2.0-OpenSSH_9.2p1\r\n"),
        10 => Fault::RepeatReply,
        _ => Fault::None,
    }
}

/// `NETWORK_SEED` repeats a sequence.
#[test]
#[allow(clippy::print_stdout)]
fn random_faults_neither_lose_nor_duplicate_points() {
    let seed = std::env::var("NETWORK_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("NETWORK_SEED={seed}");
    let mut random = Rng::with_seed(seed);

    let Some(mut setup) = Setup::start(|config| {
        let config = config.overflow(Overflow::Block).block_timeout(LONG);
        let config = config.max_buffer_size(4_000).trigger_size(200);
        config.max_batch_size(400).max_clients(4)
    }) else {
        return;
    };
    let load = setup.load();
    let threads = (0..THREADS).map(|_| {
        let load = load.clone();
        thread::spawn(move || load.add(EACH))
    });
    let threads: Vec<_> = threads.collect();
    for _ in 0..FAULTS {
        match random.u8(0..20) {
            0 => {
                setup.influxd.crash();
                setup.influxd.restart();
            }
            1 => {
                setup.influxd.freeze();
                setup.client.flush(TIMEOUT.mul_f32(random.f32()));
                setup.influxd.resume();
            }
            2 => setup.proxy.refuse(),
            3..6 => setup.proxy.inject_next((0..4).map(|_| any(&mut random))),
            _ => setup.proxy.inject(any(&mut random)),
        }
        // Until the fault has had an effect, if it has one.
        let few = random.usize(1..6);
        let before = setup.proxy.counts();
        flush_while(&setup, 5, |counts| {
            counts.affected < before.affected + few && counts.replies < before.replies + few
        });
        if random.u8(0..3) == 0 {
            setup.proxy.clear();
            flush_while(&setup, 5, |counts| counts.replies < before.replies + 2 * few);
        }
    }
    setup.proxy.clear();
    flush_while(&setup, usize::MAX, |_| threads.iter().any(|thread| !thread.is_finished()));
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(setup.recover().added, (THREADS * EACH) as u64);
}

/// Flushes while a condition holds, at most this many times.
fn flush_while(setup: &Setup, times: usize, goes_on: impl Fn(Counts) -> bool) {
    for _ in (0..times).take_while(|_| goes_on(setup.proxy.counts())) {
        setup.client.flush(SHORT);
    }
}
