//! Refusals by something that is no InfluxDB.

use super::*;

fn unrecognized() -> Disposition {
    retry(Cause::Unrecognized, Scope::Server, None)
}

fn too_large_for_a_proxy() -> Disposition {
    Disposition::TooLarge { is_influxdb: false, reason: "too large".to_owned() }
}

#[test]
fn while_a_stranger_refuses_everything_nothing_is_rejected() {
    for refusal in [unrecognized, too_large_for_a_proxy] {
        let world = World::new(move |_, now| {
            if now < Duration::from_secs(86_400) { refusal() } else { Disposition::Delivered }
        });
        for second in 0..100 {
            world.add("db", &format!("m n={second}i"));
            world.add("other", &format!("m n={second}i"));
            world.submit();
            world.run_until(second);
        }
        world.run_until(86_399);
        let requests = world.requests();
        assert!(requests < 400 + 86_400 / 30, "retried every 30 to 60 s: {requests}");
        assert_eq!((world.stats().pending, world.stats().rejected), (200, 0));
        world.run_until(90_000);
        assert_eq!(world.stats().delivered, 200);
    }
}

#[test]
fn what_a_stranger_alone_refuses_is_rejected_while_others_are_delivered() {
    for refusal in [unrecognized, too_large_for_a_proxy] {
        let world = World::new(
            move |batch, _| {
                if has_bad(batch) { refusal() } else { Disposition::Delivered }
            },
        );
        for second in 0..2_000 {
            let kind = if second == 5 { "bad" } else { "good" };
            world.add("db", &format!("{kind} n={second}i"));
            world.add("db", &format!("good m={second}i"));
            world.submit();
            world.run_until(second);
        }
        for minute in 0..60 {
            world.add("db", &format!("good m={minute}i,late=t"));
            world.submit();
            world.run_until(2_000 + 60 * minute);
        }
        world.run_until(10_000);
        let stats = world.stats();
        assert_eq!((stats.pending, stats.rejected, stats.delivered), (0, 1, 4_059));
        assert_eq!(world.rejected(), ["bad n=5i"]);
    }
}
