//! What is logged, and when.

use super::*;
use crate::internal::LogSubscriber;

/// The messages that `run` logs.
fn logged(run: impl FnOnce()) -> Vec<String> {
    let messages = Arc::new(Mutex::new(Vec::new()));
    let kept = messages.clone();
    let subscriber = LogSubscriber(move |_, message| kept.lock().unwrap().push(message));
    tracing::subscriber::with_default(subscriber, run);
    let mut messages = messages.lock().unwrap();
    std::mem::take(&mut *messages)
}

#[test]
fn the_first_drop_is_logged_at_once_and_others_within_a_minute() {
    let simulation = Simulation::new(|_, _| Disposition::Delivered);
    simulation.buffer.begin_shutdown(Duration::MAX);
    let is_logged_by = |at: u64| {
        simulation.add("db", "m n=1i");
        assert!(simulation.buffer.has_drops());
        simulation.run_until(at);
        !simulation.buffer.has_drops()
    };
    assert!(is_logged_by(1));
    assert!(!is_logged_by(59));
    assert!(is_logged_by(60));
    assert_eq!(simulation.stats().dropped.count(crate::stats::DropReason::Closed), 3);
}

#[test]
fn a_later_line_about_drops_counts_what_is_new_and_what_was_dropped_since_the_start() {
    let simulation = Simulation::new(|_, _| Disposition::Delivered);
    simulation.buffer.begin_shutdown(Duration::MAX);
    let messages = logged(|| {
        simulation.add("db", "m n=1i");
        simulation.run_until(1);
        (0..3_331).for_each(|_| simulation.add("db", "m n=1i"));
        simulation.run_until(60);
    });
    assert_eq!(
        messages,
        [
            "1 measurement was dropped (closed); 0 measurements are waiting",
            "3,331 measurements were dropped (closed), 3,332 since the start; \
             0 measurements are waiting",
        ]
    );
}

#[test]
fn each_new_reason_of_a_rejection_is_logged_at_once_and_others_once_a_minute() {
    let simulation = Simulation::new(|batch, _| {
        let line = String::from_utf8_lossy(batch.iter_lines().next().unwrap()).into_owned();
        let reason = match line.starts_with("old") {
            true => "too old dropped=1".to_owned(),
            false => format!("conflict: {line:?}"),
        };
        Disposition::Rejected(Rejection { lines: RejectedLines::All, rest_stored: false, reason })
    });
    let messages = logged(|| {
        for (second, database, line) in [
            (1, "a", "old n=1i"),
            (2, "a", "conflict n=1i"),
            (3, "b", "old n=1i"),
            (4, "a", "conflict n=2i"),
            (62, "a", "conflict n=3i"),
        ] {
            simulation.run_until(second);
            simulation.add(database, line);
            simulation.submit();
            simulation.run_until(second);
        }
    });
    assert_eq!(
        messages,
        [
            "recording to http://simulated",
            "1 measurement for database \"a\" was rejected: too old dropped=1",
            "1 measurement for database \"a\" was rejected: conflict: \"conflict n=1i\"",
            "1 measurement for database \"b\" was rejected: too old dropped=1",
            "2 measurements for database \"a\" were rejected, 3 since the start: \
             conflict: \"conflict n=3i\"",
        ]
    );
}
