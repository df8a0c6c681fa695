use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn failure(cause: Cause, scope: Scope, after: Option<Duration>) -> Failure {
    Failure { cause, scope, after, reason: String::new() }
}

fn fail(
    breakers: &mut CircuitBreakers,
    permit: Permit,
    after: Option<Duration>,
    now: Duration,
) -> Transition {
    let failure = failure(Cause::Unknown, Scope::Server, after);
    breakers.record_failure("db", permit, &failure, now, now)
}

#[test]
fn while_the_server_is_down_one_probe_is_under_way_at_a_time() {
    let mut breakers = CircuitBreakers::default();
    let (first, second) = (breakers.admit("db"), breakers.admit("db"));
    assert_eq!(fail(&mut breakers, first, None, SECOND), Transition::Opened);
    assert_eq!(fail(&mut breakers, second, None, SECOND), Transition::StillOpen);
    let retry = breakers.next_retry(Duration::ZERO).unwrap();
    assert!(
        retry <= SECOND + Duration::from_millis(250),
        "the second failure does not extend the backoff"
    );
    let now = SECOND * 2;
    assert!(breakers.allow_server(now));
    let probe = breakers.admit("db");
    assert!(!breakers.allow_server(now), "one probe is enough");
    assert_eq!(breakers.next_retry(now), None);
    assert_eq!(fail(&mut breakers, probe, None, now), Transition::StillOpen);
    breakers.admit("db");
    let closed = Transition::Closed { after: SECOND * 4 };
    assert_eq!(breakers.record_answer("db", SECOND * 5), closed);
    assert!(breakers.allow_server(SECOND * 5));
}

#[test]
fn another_batch_is_the_probe_if_the_first_cannot_be_sent() {
    let mut breakers = CircuitBreakers::default();
    let permit = breakers.admit("db");
    fail(&mut breakers, permit, None, SECOND);
    let probe = breakers.admit("db");
    assert!(!breakers.allow_server(SECOND * 2));
    breakers.abandon("db", probe);
    assert!(breakers.allow_server(SECOND * 2));
}

#[test]
fn no_flush_retries_before_retry_after() {
    let mut breakers = CircuitBreakers::default();
    let permit = breakers.admit("db");
    fail(&mut breakers, permit, Some(SECOND * 60), SECOND);
    breakers.ask_for_retry(SECOND * 2, SECOND * 2);
    assert_eq!(breakers.next_retry(SECOND * 2), Some(SECOND * 61));
    let permit = breakers.admit("db");
    fail(&mut breakers, permit, None, SECOND * 61);
    breakers.ask_for_retry(SECOND * 61, SECOND * 61);
    assert!(breakers.allow_server(SECOND * 61));
}

#[test]
fn a_flush_during_a_request_that_fails_is_followed_by_another() {
    for scope in [Scope::Server, Scope::Database] {
        let mut breakers = CircuitBreakers::default();
        let missing = failure(Cause::Configuration, scope, None);
        let fail = |breakers: &mut CircuitBreakers, sent, now| {
            let permit = breakers.admit("db");
            breakers.record_failure("db", permit, &missing, sent, now);
            breakers.allow_server(now) && breakers.allow_database("db", now)
        };
        assert!(!fail(&mut breakers, SECOND, SECOND * 2));
        breakers.ask_for_retry(SECOND * 3, SECOND * 3);
        assert!(fail(&mut breakers, SECOND * 2, SECOND * 4), "sent before the flush");
        assert!(!fail(&mut breakers, SECOND * 4, SECOND * 5));
    }
}

#[test]
fn a_missing_database_does_not_hold_back_the_others() {
    let mut breakers = CircuitBreakers::default();
    let permit = breakers.admit("nope");
    let missing = failure(Cause::Configuration, Scope::Database, None);
    let transition = breakers.record_failure("nope", permit, &missing, SECOND, SECOND);
    assert_eq!(transition, Transition::Opened);
    assert!(breakers.allow_server(SECOND) && breakers.allow_database("db", SECOND));
    assert!(!breakers.allow_database("nope", SECOND * 30));
    assert!(breakers.allow_database("nope", SECOND * 62));
    assert!(breakers.next_retry(SECOND).is_some());
}

#[test]
fn a_failure_of_the_server_ends_the_probe_of_a_database() {
    let mut breakers = CircuitBreakers::default();
    let permit = breakers.admit("nope");
    let missing = failure(Cause::Configuration, Scope::Database, None);
    breakers.record_failure("nope", permit, &missing, SECOND, SECOND);
    let probe = breakers.admit("nope");
    assert!(!breakers.allow_database("nope", SECOND * 100));
    let down = failure(Cause::Unknown, Scope::Server, None);
    let now = SECOND * 62;
    assert_eq!(breakers.record_failure("nope", probe, &down, now, now), Transition::Opened);
    assert!(breakers.allow_database("nope", SECOND * 100));
}
