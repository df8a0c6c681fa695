use super::*;
use crate::measurement::Measurement;
use crate::middleware::attributes::{Attributes, Names};

const MILLISECOND: Duration = Duration::from_millis(1);

/// The tags and fields that are written into a measurement that has some already.
fn written(outcome: &Outcome, measurement: &mut Measurement) -> String {
    let attributes = Attributes::new(Names::Sprockets);
    outcome.write(2 * MILLISECOND, &mut AttributeSink::new(&attributes, measurement));
    let line = measurement.marshall();
    let (line, _timestamp) = line.rsplit_once(' ').expect("a timestamp");
    line.to_owned()
}

fn new() -> Measurement {
    Measurement::new("db", "m")
}

#[test]
fn a_response_is_written_with_its_status_length_and_times() {
    let mut outcome = Outcome::new("GET");
    outcome.set_request_length(7);
    outcome.respond(404, MILLISECOND);
    outcome.sent(10);
    outcome.sent(5);
    outcome.unsent(2);
    let expected = "m,endpoint=(unmatched),status_code=404 \
        content_length=13i,request_length=7i,duration=0.002,time_to_first_byte=0.001";
    assert_eq!(written(&outcome, &mut new()), expected);
}

#[test]
fn the_duration_ends_with_the_last_byte() {
    let mut outcome = Outcome::new("GET");
    outcome.respond(200, MILLISECOND);
    outcome.end(MILLISECOND);
    assert!(written(&outcome, &mut new()).contains(",duration=0.001,"));
}

#[cfg(feature = "tower")]
#[test]
fn a_response_in_one_piece_begins_when_it_ends() {
    let mut outcome = Outcome::new("GET");
    outcome.respond_untimed(200);
    let whole = written(&outcome, &mut new());
    assert!(whole.ends_with(",duration=0.002,time_to_first_byte=0.002"), "{whole}");
    outcome.note_first_byte(|| MILLISECOND);
    outcome.note_first_byte(|| 2 * MILLISECOND);
    let parts = written(&outcome, &mut new());
    assert!(parts.ends_with(",duration=0.002,time_to_first_byte=0.001"), "{parts}");
    outcome.client_gone();
    assert_eq!(outcome.status_code(), 200);
}

#[test]
fn what_the_measurement_has_already_takes_precedence() {
    let mut outcome = Outcome::new("GET");
    outcome.respond(200, MILLISECOND);
    let mut measurement = new().tag("status_code", "fine").field("duration", 1);
    assert_eq!(
        written(&outcome, &mut measurement),
        "m,status_code=fine,endpoint=(unmatched) \
            duration=1i,content_length=0i,time_to_first_byte=0.001"
    );
}

#[test]
fn the_status_code_says_what_became_of_the_request() {
    let status_code = |method: &str, happens: &[fn(&mut Outcome)]| {
        let mut outcome = Outcome::new(method);
        happens.iter().for_each(|happens| happens(&mut outcome));
        outcome.status_code()
    };
    let fail: fn(&mut Outcome) = |outcome| outcome.fail("no backend");
    let gone: fn(&mut Outcome) = Outcome::client_gone;
    let begin: fn(&mut Outcome) = |outcome| outcome.begin(|| MILLISECOND);
    let respond: fn(&mut Outcome) = |outcome| outcome.respond(201, MILLISECOND);
    let set_status: fn(&mut Outcome) = |outcome| outcome.set_status(202);
    let head_failed: fn(&mut Outcome) = Outcome::head_failed;

    assert_eq!(status_code("GET", &[]), 500);
    assert_eq!(status_code("GET", &[fail]), 500);
    assert_eq!(status_code("GET", &[gone]), 499);
    assert_eq!(status_code("GET", &[fail, gone]), 500);
    assert_eq!(status_code("GET", &[gone, fail]), 499);
    assert_eq!(status_code("GET", &[respond]), 201);
    assert_eq!(status_code("GET", &[respond, fail]), 201);
    assert_eq!(status_code("GET", &[respond, gone]), 201);
    assert_eq!(status_code("GET", &[respond, head_failed]), 499);
    assert_eq!(status_code("GET", &[set_status, begin, gone]), 202);
    assert_eq!(status_code("GET", &[set_status, gone]), 499);
    assert_eq!(status_code("GET", &[set_status, fail]), 500);
    assert_eq!(status_code("HEAD", &[set_status, gone]), 202);
    assert_eq!(status_code("HEAD", &[set_status, fail]), 500);
}

#[test]
fn a_response_to_head_has_no_content() {
    let mut outcome = Outcome::new("HEAD");
    outcome.respond(200, MILLISECOND);
    outcome.sent(12);
    assert!(written(&outcome, &mut new()).contains("content_length=0i"));
}

#[test]
fn the_first_exception_is_written() {
    let mut outcome = Outcome::new("GET");
    outcome.fail("first");
    outcome.fail("second");
    assert!(written(&outcome, &mut new()).ends_with(r#",exception="first""#));
}

#[test]
fn a_declared_request_length_takes_precedence_over_a_counted_one() {
    let mut outcome = Outcome::new("POST");
    outcome.count_request().add(3);
    assert!(written(&outcome, &mut new()).contains(",request_length=3i,"));
    outcome.set_request_length(9);
    assert!(written(&outcome, &mut new()).contains(",request_length=9i,"));
}
