//! The buffer keeps its limit, however long a fault lasts.

use std::collections::HashSet;

use sprockets_influxdb::{DropReason, Overflow};

use super::proxy::Fault;
use super::setup::Setup;

#[test]
fn a_long_fault_fills_the_buffer_and_dropped_measurements_are_counted() {
    for overflow in [Overflow::Newest, Overflow::Oldest] {
        let small = |config: sprockets_influxdb::Config| {
            let config = config.max_buffer_size(1_000).trigger_size(100);
            config.max_batch_size(200).overflow(overflow)
        };
        let Some(setup) = Setup::start(small) else { return };
        setup.warm_up();
        let stored = setup.stored().len() as u64;
        setup.proxy.inject(Fault::Partition);
        setup.add(10_000);
        setup.wait_for_failure("no reply from");
        setup.add(10_000);
        setup.flush_without_success();
        let stats = setup.client.stats();
        // While a request has everything that is buffered, there is nothing older to drop.
        let oldest = stats.dropped.count(DropReason::Oldest);
        let newest = stats.dropped.count(DropReason::Newest);
        assert_eq!(stats.dropped.total(), oldest + newest, "{stats:?}");
        assert_eq!(oldest > 0, overflow == Overflow::Oldest, "{stats:?}");
        assert_eq!((stats.added, stats.pending), (stored + 20_000, 1_000), "{stats:?}");

        setup.proxy.clear();
        let stats = setup.flush_until(|stats| stats.pending == 0);
        assert_eq!((stats.rejected, stats.added), (0, stats.delivered + stats.dropped.total()));
        let numbers = setup.stored();
        assert!(numbers.iter().all(|n| (0..stats.added as i64).contains(n)), "{numbers:?}");
        let distinct = numbers.iter().collect::<HashSet<_>>().len();
        assert_eq!(numbers.len(), distinct, "stored twice");
        if overflow == Overflow::Newest {
            assert_eq!(numbers.len() as u64, stats.delivered, "{stats:?}");
        }
        setup.assert_balanced_so_far();
    }
}
