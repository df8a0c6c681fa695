use super::*;

const SECOND: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(10);

#[test]
fn a_timeout_means_fewer_and_smaller_requests_and_a_longer_timeout() {
    let mut congestion = Congestion { window: 4, ..Congestion::default() };
    let begun: Vec<Begun> = (0..4)
        .map(|_| {
            congestion.reserve();
            Congestion::begin(1 << 20, Duration::ZERO)
        })
        .collect();
    assert!(!congestion.allows());
    for begun in begun {
        congestion.record_timeout(begun, TIMEOUT);
        congestion.release();
    }
    let slowed = (congestion.window, congestion.max_bytes(), congestion.timeout(TIMEOUT));
    assert_eq!(slowed, (2, 1 << 19, 2 * TIMEOUT), "timeouts of the same time count once");

    let mut now = TIMEOUT;
    for _ in 0..20 {
        congestion.reserve();
        let begun = Congestion::begin(congestion.max_bytes(), now);
        now += congestion.timeout(TIMEOUT);
        congestion.record_timeout(begun, now);
        congestion.release();
    }
    let slowed = (congestion.window, congestion.max_bytes(), congestion.timeout(TIMEOUT));
    assert_eq!(slowed, (1, MIN_BODY, 4 * TIMEOUT), "each has its bound");
}

#[test]
fn fast_replies_undo_a_timeout_slowly_and_slow_ones_do_not() {
    let mut congestion = Congestion::default();
    let begun = Congestion::begin(1 << 20, Duration::ZERO);
    congestion.record_timeout(begun, TIMEOUT);
    let mut now = TIMEOUT;
    let mut reply = |congestion: &mut Congestion, after: Duration| {
        let begun = Congestion::begin(congestion.max_bytes().min(4 << 20), now);
        now += after;
        congestion.record_reply(begun, TIMEOUT, now);
    };
    for _ in 0..100 {
        reply(&mut congestion, 5 * SECOND);
    }
    assert_eq!((congestion.window, congestion.max_bytes()), (1, 1 << 19));
    for _ in 0..4 {
        reply(&mut congestion, SECOND);
    }
    let raised = (congestion.window, congestion.max_bytes(), congestion.timeout(TIMEOUT));
    assert_eq!(raised, (2, (1 << 19) / 4 * 5, TIMEOUT));
    for _ in 0..100 {
        reply(&mut congestion, SECOND);
    }
    assert!(congestion.max_bytes() > 4 << 20);
}
