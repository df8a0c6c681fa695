//! How lines become batches.

use super::*;

#[test]
fn batches_stay_within_the_limits() {
    let batch = Size { lines: 300, bytes: 3_000 };
    let buffer = buffer(Limits { batch, ..limits() });
    add_numbers(&buffer, "db", 0..10_000);
    add(&buffer, "db", &format!("m s=\"{}\"", "x".repeat(100_000)));
    let flush = buffer.begin_flush(Duration::MAX);
    let batches = take_all(&buffer);
    assert_eq!(lines(&batches)[..10_000], numbers(0..10_000));
    for taken in &batches {
        assert!(batch.covers(taken.size()) || taken.lines() == 1, "{:?}", taken.size());
    }
    deliver(&buffer, batches);
    let report = buffer.end_flush(flush);
    assert_eq!((report.delivered, report.pending), (10_001, 0));
}

#[test]
fn the_rest_of_a_batch_that_was_cut_stays_as_large_as_possible() {
    let buffer = buffer(limits());
    add_numbers(&buffer, "db", 0..1_000);
    let flush = buffer.begin_flush(Duration::MAX);
    let mut batches = vec![buffer.take(|_| 1_000, |_| true).unwrap()];
    assert!((500..=1_000).contains(&batches[0].len()), "{}", batches[0].len());
    batches.extend(take_all(&buffer));
    assert!(batches.len() < 7, "{}", batches.len());
    assert_eq!(lines(&batches), numbers(0..1_000));
    deliver(&buffer, batches);
    assert_eq!(buffer.end_flush(flush).delivered, 1_000);
}

#[test]
fn databases_and_precisions_are_not_mixed_in_a_batch() {
    let buffer = buffer(limits());
    for number in 0..100 {
        add(&buffer, &format!("db{}", number % 10), &format!("m n={number}i"));
    }
    let push = |bytes: &mut Vec<u8>| bytes.extend_from_slice(b"m s=1\n");
    add_with(&buffer, "db0", Precision::Seconds, 6, push);
    buffer.begin_flush(Duration::MAX);
    let mut seen = HashMap::new();
    for batch in take_all(&buffer) {
        let lines = batch.iter_lines().count();
        seen.insert((batch.database().to_owned(), batch.precision().to_string()), lines);
    }
    assert_eq!(seen.len(), 11);
    assert_eq!(seen[&("db0".to_owned(), "s".to_owned())], 1);
    assert!((0..10).all(|n| seen[&(format!("db{n}"), "ns".to_owned())] == 10));
}

#[test]
fn single_lines_during_an_outage_are_merged_into_full_batches() {
    let buffer = buffer(Limits { trigger_size: 1, ..limits() });
    for number in 0..20_000 {
        add(&buffer, "db", &format!("m n={number}i"));
        buffer.close_due();
    }
    let batches = take_all(&buffer);
    assert_eq!(batches.len(), 2);
    assert_eq!(lines(&batches), numbers(0..20_000));
}

#[test]
fn smaller_limits_apply_to_waiting_batches() {
    let buffer = buffer(limits());
    add_numbers(&buffer, "db", 0..4_000);
    let batch = Size { lines: 100, bytes: 1 << 20 };
    buffer.set_limits(Limits { batch, ..limits() }, Intake::Open);
    buffer.begin_flush(Duration::MAX);
    let batches = take_all(&buffer);
    assert!(batches.iter().all(|batch| batch.lines() <= 100));
    assert_eq!(lines(&batches), numbers(0..4_000));
}

#[test]
fn sampling_decides_by_batch_and_is_counted() {
    let never = buffer(Limits { sample_probability: 0.0, ..limits() });
    add_numbers(&never, "db", 0..12_345);
    let flush = never.begin_flush(Duration::MAX);
    assert!(take_all(&never).is_empty());
    let report = never.end_flush(flush);
    assert!(report.is_complete());
    assert_eq!(never.stats().sampled_out, 12_345);

    let batch = Size { lines: 10, bytes: 1 << 20 };
    let half = buffer(Limits { sample_probability: 0.5, batch, trigger_size: 10, ..limits() });
    for round in 0..1_000 {
        add_numbers(&half, "db", round * 10..(round + 1) * 10);
        let batches = take_all(&half);
        assert!(batches.iter().all(|batch| batch.lines() == 10));
        deliver(&half, batches);
    }
    let stats = half.stats();
    assert_eq!(stats.delivered + stats.sampled_out, 10_000);
    // Within six standard deviations of a thousand tosses of a coin.
    assert!((4_000..6_000).contains(&stats.delivered), "{stats:?}");
}

#[test]
fn sampled_out_batches_make_room() {
    let limits = Limits {
        buffer: Size { lines: 10, bytes: 1 << 20 },
        trigger_size: 10,
        sample_probability: 0.0,
        ..limits()
    };
    let never = buffer(limits.clone());
    add_numbers(&never, "db", 0..15);
    assert!(take_all(&never).is_empty());
    add_numbers(&never, "db", 0..1);
    let stats = never.stats();
    assert_eq!((stats.sampled_out, stats.pending, stats.dropped.total()), (10, 1, 5));

    let block_timeout = Duration::from_secs(600);
    let limits = Limits { overflow: Overflow::Block, block_timeout, ..limits };
    let blocking = Buffer::new(limits, Intake::Open, None, Clock::monotonic());
    thread::scope(|scope| {
        scope.spawn(|| add_numbers(&blocking, "db", 0..100));
        while blocking.stats().added < 100 {
            let seen = blocking.signals();
            blocking.close_due();
            if blocking.stats().added < 100 {
                blocking.wait(seen, Some(Duration::from_secs(600)));
            }
        }
    });
    assert_eq!(blocking.stats().dropped.total(), 0);
}
