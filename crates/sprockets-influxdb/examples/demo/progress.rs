//! The progress of the load: one line, rewritten in place on a terminal, once a second elsewhere.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use super::latch::Latch;
use super::report::thousands;

/// Shows the requests and pending measurements that `now` returns, until the time is over or the
/// latch is set.
pub(crate) fn show(time: Duration, interrupted: &Latch, now: impl Fn() -> (u64, u64)) {
    let terminal = io::stdout().is_terminal();
    let between = Duration::from_millis(if terminal { 100 } else { 1_000 });
    let start = Instant::now();
    let (mut before, mut rate) = ((start, 0), 0);
    loop {
        let left = time.saturating_sub(start.elapsed());
        let interrupted = interrupted.wait(between.min(left));
        let is_over = interrupted || start.elapsed() >= time;

        let (requests, pending) = now();
        // Taken over a tenth of a second it would flicker.
        if before.0.elapsed() >= Duration::from_millis(450) {
            rate = ((requests - before.1) as f64 / before.0.elapsed().as_secs_f64()) as u64;
            before = (Instant::now(), requests);
        }
        let line = format!(
            "load      {:.1} s of {:.1} s   {:>7} requests   {:>6} a second   {:>6} pending",
            start.elapsed().min(time).as_secs_f64(),
            time.as_secs_f64(),
            thousands(requests),
            thousands(rate),
            thousands(pending),
        );
        if terminal {
            print!("\r{line}\x1b[K");
            if is_over {
                println!();
            }
            // A line that comes late is no reason to stop.
            let _ = io::stdout().flush();
        } else {
            println!("{line}");
        }
        if is_over {
            return;
        }
    }
}
