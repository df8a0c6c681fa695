//! Batches that fail by themselves.

use super::*;

#[test]
fn a_line_that_makes_replies_malformed_is_found() {
    let world = World::new(|batch, _| {
        if has_bad(batch) {
            Disposition::MalformedReply { reason: "the reply is not HTTP".to_owned() }
        } else {
            Disposition::Delivered
        }
    });
    deliver_with_bad_lines(&world, 5_000, &[4_321]);
    assert!(world.requests() <= 3 + 2 * 13, "{} requests", world.requests());
}

#[test]
fn a_poison_batch_is_found_while_others_are_delivered() {
    let world = World::new(|batch, _| {
        if has_bad(batch) {
            retry(Cause::Unknown, Scope::Server, None)
        } else {
            Disposition::Delivered
        }
    });
    for second in 0..2_000 {
        let kind = if second == 5 { "bad" } else { "good" };
        world.add("db", &format!("{kind} n={second}i"));
        world.add("db", &format!("good m={second}i"));
        world.submit();
        world.run_until(second);
    }
    world.run_until(10_000);
    let stats = world.stats();
    assert_eq!((stats.pending, stats.rejected, stats.delivered), (0, 1, 3_999));
    assert_eq!(world.rejected(), ["bad n=5i"]);
}

#[test]
fn during_a_full_outage_no_batch_is_treated_as_poison() {
    let world = World::new(|_, now| {
        if now < Duration::from_secs(86_400) {
            retry(Cause::Unknown, Scope::Server, None)
        } else {
            Disposition::Delivered
        }
    });
    for number in 0..10 {
        world.add(&format!("db{number}"), "m n=1i");
    }
    world.submit();
    world.run_until(86_399);
    assert_eq!(world.stats().pending, 10);
    world.run_until(90_000);
    assert_eq!(world.stats().delivered, 10);
}

#[test]
fn a_panic_in_the_transport_or_the_hook_loses_nothing() {
    let first = Mutex::new(true);
    let world = World::new(move |_, _| {
        let is_first = std::mem::take(&mut *first.lock().unwrap_or_else(|e| e.into_inner()));
        if is_first {
            std::panic::resume_unwind(Box::new(()));
        }
        refuse(RejectedLines::All, false)
    });
    let route = world.sender.route();
    let on_rejected: RejectedHook = Arc::new(|_| std::panic::resume_unwind(Box::new(())));
    world.sender.set_route(Route { on_rejected: Some(on_rejected), ..route });
    world.add("db", "m n=1i");
    world.submit();
    assert_eq!(world.sender.step(|| {}), Step::Worked);
    assert_eq!(world.stats().pending, 1);
    // The panic poisoned the server's own lock.
    world.server.answer.clear_poison();
    world.run_until(60);
    assert_eq!(world.stats().rejected, 1);
}
