//! The counters under concurrent use.

use super::*;

#[test]
fn counters_balance_while_threads_add_and_senders_settle() {
    let buffer = Arc::new(buffer(Limits {
        buffer: Size { lines: 500, bytes: 8_000 },
        batch: Size { lines: 64, bytes: 1_000 },
        trigger_size: 50,
        overflow: Overflow::Oldest,
        sample_probability: 0.9,
        ..limits()
    }));
    let over = AtomicBool::new(false);
    let mut unbalanced = None;
    thread::scope(|scope| {
        let adding: Vec<_> =
            (0..4).map(|_| scope.spawn(|| add_numbers(&buffer, "db", 0..20_000))).collect();
        for _ in 0..2 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    buffer.close_due();
                    let Some(batch) = buffer.take(|_| 500, |_| true) else { continue };
                    let (head, tail) = batch.split();
                    let rejected = head.lines();
                    buffer.settle(head, Outcome { delivered: 0, rejected });
                    if let Some(tail) = tail {
                        let end = if tail.lines() > 5 { QueueEnd::Front } else { QueueEnd::Back };
                        buffer.put_back(tail, end);
                    }
                }
            });
        }
        while unbalanced.is_none() && adding.iter().any(|thread| !thread.is_finished()) {
            let stats = buffer.stats();
            unbalanced = Some(stats).filter(|stats| !stats.is_balanced() || stats.pending > 500);
        }
        over.store(true, Ordering::Relaxed);
    });
    assert_eq!(unbalanced, None);
    let stats = buffer.stats();
    assert_eq!(stats.added, 80_000);
    assert!(stats.is_balanced(), "{stats:?}");
}
