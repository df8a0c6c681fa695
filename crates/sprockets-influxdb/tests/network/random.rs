//! Any faults in any order, under load.

use std::thread;

use fastrand::Rng;
use sprockets_influxdb::Overflow;

use super::proxy::{Fault, Seen};
use super::scene::Scene;
use super::{LONG, SHORT, TIMEOUT};

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

/// `NETWORK_SEED` plays a sequence again.
#[test]
#[allow(clippy::print_stdout)]
fn whatever_goes_wrong_everything_taken_is_there_once() {
    let seed = std::env::var("NETWORK_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("NETWORK_SEED={seed}");
    let mut random = Rng::with_seed(seed);

    let Some(mut scene) = Scene::start(|config| {
        let config = config.overflow(Overflow::Block).block_timeout(LONG);
        let config = config.max_buffer_size(4_000).trigger_size(200);
        config.max_batch_size(400).max_clients(4)
    }) else {
        return;
    };
    let load = scene.load();
    let threads = (0..THREADS).map(|_| {
        let load = load.clone();
        thread::spawn(move || load.add(EACH))
    });
    let threads: Vec<_> = threads.collect();
    for _ in 0..FAULTS {
        match random.u8(0..20) {
            0 => {
                scene.influxd.crash();
                scene.influxd.restart();
            }
            1 => {
                scene.influxd.stop();
                scene.client.flush(TIMEOUT.mul_f32(random.f32()));
                scene.influxd.signal("CONT");
            }
            2 => scene.proxy.refuse(),
            3..6 => scene.proxy.play_next((0..4).map(|_| any(&mut random))),
            _ => scene.proxy.play(any(&mut random)),
        }
        // Until it has shown, if it does. Flushes hurry what waits for better times.
        let few = random.usize(1..6);
        let before = scene.proxy.seen();
        flush_while(&scene, 5, |seen| {
            seen.spoilt < before.spoilt + few && seen.replies < before.replies + few
        });
        if random.u8(0..3) == 0 {
            scene.proxy.lift();
            flush_while(&scene, 5, |seen| seen.replies < before.replies + 2 * few);
        }
    }
    scene.proxy.lift();
    flush_while(&scene, usize::MAX, |_| threads.iter().any(|thread| !thread.is_finished()));
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(scene.recovers().added, (THREADS * EACH) as u64);
}

/// Flushes, so many times at most.
fn flush_while(scene: &Scene, times: usize, goes_on: impl Fn(Seen) -> bool) {
    for _ in (0..times).take_while(|_| goes_on(scene.proxy.seen())) {
        scene.client.flush(SHORT);
    }
}
