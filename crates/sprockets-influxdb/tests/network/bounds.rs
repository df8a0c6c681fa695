//! However long it lasts, the buffer holds no more than it may.

use std::collections::HashSet;

use sprockets_influxdb::{DropReason, Overflow};

use super::proxy::Fault;
use super::scene::Scene;

#[test]
fn a_fault_that_lasts_fills_the_buffer_and_what_is_dropped_is_counted() {
    for overflow in [Overflow::Newest, Overflow::Oldest] {
        let small = |config: sprockets_influxdb::Config| {
            let config = config.max_buffer_size(1_000).trigger_size(100);
            config.max_batch_size(200).overflow(overflow)
        };
        let Some(scene) = Scene::start(small) else { return };
        scene.warm_up();
        let stored = scene.stored().len() as u64;
        scene.proxy.play(Fault::Partition);
        scene.add(10_000);
        scene.await_failure("no reply from");
        scene.add(10_000);
        scene.flush_in_vain();
        let stats = scene.client.stats();
        // While all that it holds is on its way, there is nothing older to drop.
        let oldest = stats.dropped.count(DropReason::Oldest);
        let newest = stats.dropped.count(DropReason::Newest);
        assert_eq!(stats.dropped.total(), oldest + newest, "{stats:?}");
        assert_eq!(oldest > 0, overflow == Overflow::Oldest, "{stats:?}");
        assert_eq!((stats.added, stats.pending), (stored + 20_000, 1_000), "{stats:?}");

        scene.proxy.lift();
        let stats = scene.flush_until(|stats| stats.pending == 0);
        assert_eq!((stats.rejected, stats.added), (0, stats.delivered + stats.dropped.total()));
        let numbers = scene.stored();
        assert!(numbers.iter().all(|n| (0..stats.added as i64).contains(n)), "{numbers:?}");
        let distinct = numbers.iter().collect::<HashSet<_>>().len();
        assert_eq!(numbers.len(), distinct, "twice there");
        if overflow == Overflow::Newest {
            assert_eq!(numbers.len() as u64, stats.delivered, "{stats:?}");
        }
        scene.check_books();
    }
}
