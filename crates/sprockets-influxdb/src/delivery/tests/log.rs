//! What is logged, and when.

use super::*;

#[test]
fn the_first_drop_is_logged_at_once_and_others_within_a_minute() {
    let world = World::new(|_, _| Disposition::Delivered);
    world.buffer.begin_shutdown();
    let is_logged_by = |at: u64| {
        world.add("db", "m n=1i");
        assert!(world.buffer.has_drops());
        world.run_until(at);
        !world.buffer.has_drops()
    };
    assert!(is_logged_by(1));
    assert!(!is_logged_by(59));
    assert!(is_logged_by(60));
    assert_eq!(world.stats().dropped.count(crate::stats::DropReason::Closed), 3);
}
