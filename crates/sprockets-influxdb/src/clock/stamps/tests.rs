use std::cell::Cell;
use std::collections::HashSet;
use std::thread;

use super::*;
use crate::clock::unique_stamp;

const SECOND: i64 = 1_000_000_000;
const HOUR: i64 = 3_600 * SECOND;

thread_local! {
    static CLAIMS: Cell<i64> = const { Cell::new(0) };
}

/// Partitions 7, 8, 9 and so on, for each thread anew.
fn counted() -> Partition {
    let claims = CLAIMS.get();
    CLAIMS.set(claims + 1);
    Partition::unheld((7 + claims) % PARTITIONS)
}

fn stamps_at(stamps: &Stamps, clock: impl IntoIterator<Item = i64>) -> Vec<i64> {
    clock.into_iter().map(|now| stamps.now(|| now)).collect()
}

fn distinct(stamps: &[i64]) -> usize {
    stamps.iter().collect::<HashSet<_>>().len()
}

#[test]
fn stamps_stay_in_the_partition_and_close_to_the_clock() {
    let stamps = Stamps::new(counted);
    let stamped = stamps_at(&stamps, [0, 0, 7, 8, 10_000, 9_999, 9_000, 20_000]);
    assert_eq!(stamped, [7, 263, 519, 775, 10_247, 10_503, 10_759, 20_231]);
    assert!(stamped.iter().all(|stamp| stamp % PARTITIONS == 7));
}

#[test]
fn stamps_increase_while_a_clock_is_set_back_by_less_than_a_second() {
    let stamps = Stamps::new(counted);
    let clock = (0..100).map(|step| HOUR - step * (SECOND / 100));
    let stamped = stamps_at(&stamps, clock);
    assert!(stamped.windows(2).all(|pair| pair[1] == pair[0] + PARTITIONS), "{stamped:?}");
    assert_eq!(CLAIMS.get(), 1);
}

#[test]
fn stamps_follow_a_clock_that_was_ahead_once() {
    let stamps = Stamps::new(counted);
    let clock: Vec<_> = [0, 10 * HOUR, 10 * HOUR, 1, 2, 3].into();
    let stamped = stamps_at(&stamps, clock.clone());
    for (now, stamp) in clock.iter().zip(&stamped) {
        assert!((now..&(now + SECOND)).contains(&stamp), "{stamped:?}");
    }
    assert_eq!(CLAIMS.get(), 2);
}

#[test]
fn stamps_are_unique_when_the_clock_repeats_an_hour() {
    let stamps = Stamps::new(counted);
    let hour = (0..10_000).map(|step| step * (HOUR / 10_000));
    let stamped: Vec<_> = (0..3).flat_map(|_| stamps_at(&stamps, hour.clone())).collect();
    assert_eq!(distinct(&stamped), 30_000);
    assert!(stamped[10_000] < SECOND && stamped[20_000] < SECOND);
}

#[test]
fn a_partition_is_used_again_once_the_clock_has_passed_its_stamps() {
    let stamps = Stamps::new(counted);
    // A day that begins again after each hour, but two seconds later.
    let clock = (0..100).flat_map(|round| {
        let start = round * (HOUR + 2 * SECOND);
        [start, start + HOUR, start + 10, start + 2 * HOUR]
    });
    let stamped = stamps_at(&stamps, clock);
    assert_eq!(distinct(&stamped), 400);
    assert!(CLAIMS.get() < 8, "{}", CLAIMS.get());
}

#[test]
fn a_clock_that_goes_back_all_the_time_takes_few_partitions() {
    let stamps = Stamps::new(counted);
    let clock = (0..1_000).map(|step| if step % 2 == 0 { HOUR + step } else { step });
    let stamped = stamps_at(&stamps, clock);
    assert_eq!(distinct(&stamped), 1_000);
    assert_eq!(CLAIMS.get(), 17);
}

#[test]
fn a_thread_that_was_suspended_after_it_read_the_clock_is_no_change_of_the_clock() {
    let stamps = Stamps::new(counted);
    stamps_at(&stamps, [HOUR]);
    let reads = Cell::new(0);
    let clock = || {
        reads.set(reads.get() + 1);
        if reads.get() == 1 { 0 } else { HOUR }
    };
    assert!(stamps.now(clock) > HOUR);
    assert_eq!((reads.get(), CLAIMS.get()), (2, 1));
}

#[test]
fn stamps_at_the_end_of_time_saturate() {
    assert_eq!(stamps_at(&Stamps::new(counted), [i64::MAX - 3]), [i64::MAX]);
}

#[test]
fn stamps_are_unique_across_threads() {
    let each = if cfg!(miri) { 50 } else { 10_000 };
    let stamped: Vec<i64> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| (0..each).map(|_| unique_stamp()).collect::<Vec<_>>()))
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(distinct(&stamped), 4 * each);
}

#[test]
fn stamps_are_unique_when_threads_begin_or_follow_the_clock_at_the_same_moment() {
    // Those of the host would be exhausted after some rounds, and then given twice.
    fn next_partition() -> Partition {
        static CLAIMS: AtomicI64 = AtomicI64::new(0);
        Partition::unheld(CLAIMS.fetch_add(1, Ordering::Relaxed) % PARTITIONS)
    }
    for _ in 0..if cfg!(miri) { 2 } else { 50 } {
        let stamps = Stamps::new(next_partition);
        let clock = [1_000, HOUR, 2_000, 3_000, 2 * HOUR, 4_000];
        let stamped: Vec<i64> = thread::scope(|scope| {
            let threads: Vec<_> =
                (0..4).map(|_| scope.spawn(|| stamps_at(&stamps, clock))).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(distinct(&stamped), 24, "{stamped:?}");
    }
}

#[cfg(all(target_os = "linux", not(miri)))]
#[test]
fn two_claims_never_get_the_same_partition() {
    let claimed: Vec<_> = (0..20).map(|_| Partition::claim()).collect();
    let numbers: Vec<_> = claimed.iter().map(Partition::number).collect();
    assert_eq!(distinct(&numbers), 20, "{numbers:?}");
}

#[cfg(all(target_os = "linux", not(miri)))]
#[test]
fn a_forked_child_stamps_in_a_partition_of_its_own() {
    use crate::sys::Forked;

    let own = unique_stamp() % PARTITIONS;
    let in_child = move || {
        let child = unique_stamp() % PARTITIONS;
        let is_own = move || ![own, child].contains(&(unique_stamp() % PARTITIONS));
        child != own && Forked::run(is_own).passed()
    };
    assert!(Forked::run(in_child).passed());
    assert_eq!(unique_stamp() % PARTITIONS, own);
}
