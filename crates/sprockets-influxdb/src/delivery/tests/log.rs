//! What is logged, and when.

use super::*;

#[test]
fn the_first_drop_is_logged_at_once_and_others_within_a_minute() {
    let simulation = Simulation::new(|_, _| Disposition::Delivered);
    simulation.buffer.begin_shutdown();
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
