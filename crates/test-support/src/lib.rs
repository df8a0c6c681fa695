//! What the tests, benchmarks and examples of this workspace share. Never published.
//!
//! It depends on the core, so the core's own unit tests cannot use the functions that take a
//! [`Client`]: they would see the types of another build of the crate.

use std::io::Write;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use sprockets_influxdb::{Client, Stats};
use tempfile::{NamedTempFile, TempPath};

pub mod influxd;
pub mod isolation;
pub mod log;
pub mod nats;
#[cfg(feature = "access")]
pub mod nats_access;
pub mod ports;
pub mod process;
pub mod sample;
pub mod tcp;

/// A timeout that only a failing test reaches.
pub const LONG: Duration = Duration::from_secs(60);

/// A URL at which no server listens.
pub const NO_SERVER: &str = "http://127.0.0.1:1";

/// The client's counters, which must balance.
#[track_caller]
pub fn balanced(client: &Client) -> Stats {
    let stats = client.stats();
    assert!(stats.is_balanced(), "{stats:?}");
    stats
}

/// Flushes until the counters meet a condition. Each flush retries what waits for its backoff.
#[track_caller]
pub fn flush_until(client: &Client, is_reached: impl Fn(&Stats) -> bool) -> Stats {
    let deadline = Instant::now() + LONG;
    loop {
        client.flush(Duration::from_millis(10));
        let stats = balanced(client);
        if is_reached(&stats) {
            return stats;
        }
        assert!(Instant::now() < deadline, "{stats:?}");
    }
}

/// The result of a future, which a thread of its own has to complete.
#[track_caller]
pub fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = std::pin::pin!(future);
    let deadline = Instant::now() + LONG;
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        assert!(Instant::now() < deadline, "the future is not ready after {LONG:?}");
        thread::park_timeout(LONG);
    }
}

/// Prints that a test is skipped, and why. With `REQUIRE_ALL` in the environment, as `.ci/run` sets
/// it, the test fails instead.
#[allow(clippy::print_stdout)]
#[track_caller]
pub fn skip(reason: &str) {
    assert!(std::env::var_os("REQUIRE_ALL").is_none(), "REQUIRE_ALL is set, and {reason}");
    println!("skipped: {reason}");
}

/// Random numbers. Prints their seed, which `SEED` repeats.
#[allow(clippy::print_stdout)]
pub fn random() -> fastrand::Rng {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..1 << 32));
    println!("SEED={seed}");
    fastrand::Rng::with_seed(seed)
}

/// Waits until a condition holds that nothing announces.
#[track_caller]
pub fn wait_until(holds: impl FnMut() -> bool) {
    wait_within(LONG, "the condition holds", holds);
}

/// The same, at most for this time. `what` says what is waited for.
#[track_caller]
pub fn wait_within(timeout: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + timeout;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {timeout:?}: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// A temporary file with this content. Dropping the path removes it.
pub fn file(content: impl AsRef<[u8]>) -> TempPath {
    let mut file = NamedTempFile::new().expect("a temporary file");
    file.write_all(content.as_ref()).expect("written");
    file.into_temp_path()
}
