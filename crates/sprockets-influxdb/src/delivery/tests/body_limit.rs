//! 413 replies.

use super::*;

#[test]
fn a_batch_that_is_too_large_is_halved_and_the_limit_is_learnt() {
    let world = World::new(|batch, _| {
        if batch.len() > 20_000 {
            Disposition::TooLarge { reason: "too large".to_owned() }
        } else {
            Disposition::Delivered
        }
    });
    for round in 0..3 {
        for number in 0..4_000 {
            world.add("db", &format!("m n={number}i,round={round}i"));
        }
        world.submit();
        world.run_until(round);
    }
    let stats = world.stats();
    assert_eq!(stats.delivered, 12_000);
    let requests = world.server.requests.lock().unwrap();
    let in_round = |round| requests.iter().filter(|(time, _)| time.as_secs() == round).count();
    assert!(in_round(1) < in_round(0), "the limit is not asked for again");
    drop(requests);

    world.add("db", &format!("bad s=\"{}\"", "x".repeat(30_000)));
    world.submit();
    world.run_until(10);
    assert_eq!(world.rejected().len(), 1, "a single line that is too large is rejected");
}

#[test]
fn a_small_batch_that_is_too_large_is_halved_and_no_limit_is_learnt() {
    let refused = AtomicUsize::new(0);
    let world = World::new(move |_, _| {
        if refused.fetch_add(1, Ordering::Relaxed) < 3 {
            Disposition::TooLarge { reason: "too large".to_owned() }
        } else {
            Disposition::Delivered
        }
    });
    for number in 0..100 {
        world.add("db", &format!("m n={number}i"));
    }
    world.submit();
    world.run_until(0);
    assert_eq!((world.stats().delivered, world.server.requests.lock().unwrap().len()), (100, 7));
    for number in 0..100 {
        world.add("db", &format!("m n={number}i"));
    }
    world.submit();
    world.run_until(1);
    assert_eq!((world.stats().delivered, world.server.requests.lock().unwrap().len()), (200, 8));
}
