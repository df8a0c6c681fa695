//! Replies that decide about lines: one test for each such row of the decision table, with the
//! messages of InfluxDB 1.x, 2.x and 3.x.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sprockets_influxdb::testing::{Fault, Server};
use sprockets_influxdb::{Api, Client, Measurement};
use test_support::{LONG, balanced};

use super::table::{
    ALL, LINE, Outcome, POISON, POISON_SEARCH, SEARCH, V1, V2, V3, against_a_line, run, with_api,
};
use super::{add, config};

/// How 1.x and 2.x report the line.
fn unparsable() -> String {
    format!("unable to parse '{LINE}': missing fields")
}

/// How 3.x reports the line.
fn numbered() -> String {
    format!(
        r#"{{"error_message":"No fields were provided","line_number":6,"original_line":"{LINE}"}}"#
    )
}

#[test]
fn success_delivers_everything() {
    run(
        Outcome::Delivered,
        [
            ("no content", ALL, Fault::status(204, "").and_store(), ""),
            ("no body", ALL, Fault::status(200, "").and_store(), ""),
            ("Cloud, accepted", V2, Fault::status(202, "").and_store(), ""),
            ("slowly", ALL, Fault::drip(Duration::from_micros(100)), ""),
            ("late", ALL, Fault::delay(Duration::from_millis(20)), ""),
        ],
    );
}

#[test]
fn partial_writes_reject_the_lines_at_fault() {
    let conflict = "partial write: field type conflict: input field \"n\" on measurement \"m\" is \
                    type integer, already exists as type float dropped=8";
    let partial = |entry: &str| {
        format!(r#"{{"error":"partial write of line protocol occurred","data":[{entry}]}}"#)
    };
    let of_one = format!("partial write: {} dropped=0", unparsable());
    let early = "unexpected error writing points to database: partial write: \
                 points beyond retention policy dropped=8";
    run(
        Outcome::Partly { rejected: 1 },
        [
            ("a line that cannot be parsed", V1, Fault::error(400, of_one), "missing fields"),
            ("a numbered line", V3, Fault::status(400, partial(&numbered())), "No fields"),
            (
                "a numbered line, and a limit",
                V3,
                Fault::status(422, partial(&numbered())),
                "No fields",
            ),
        ],
    );
    run(
        Outcome::Partly { rejected: 8 },
        [
            ("conflicts", V1, Fault::error(400, conflict), "already exists as type float"),
            (
                "conflicts",
                V2,
                Fault::error(422, format!("failure writing points to database: {conflict}")),
                "already exists as type float",
            ),
            ("2.0.0 to 2.0.3", V2, Fault::error(500, early), "points beyond retention policy"),
        ],
    );
    // The search sends halves again, which is harmless because timestamps do not change.
    run(
        Outcome::SentAgain { rejected: 1, requests: SEARCH },
        [
            (
                "no line is named",
                ALL,
                Fault::reject_lines_unnamed(|line| line.contains(POISON)),
                "points beyond retention policy dropped=1",
            ),
            (
                "Enterprise, no number",
                V1,
                against_a_line(Fault::error(500, "partial write")),
                "500: partial write",
            ),
        ],
    );
}

#[test]
fn a_batch_that_is_rejected_whole_is_sent_again_without_the_line_at_fault() {
    let whole = format!(r#"{{"error":"line protocol parsing error","data":{}}}"#, numbered());
    let message = "failed to parse line protocol: No fields were provided";
    let cloud = format!(r#"{{"code":"invalid","line":6,"message":"{message}"}}"#);
    run(
        Outcome::SentAgain { rejected: 1, requests: 2 },
        [
            (
                "the line is named",
                V2,
                against_a_line(Fault::error(400, unparsable())),
                "missing fields",
            ),
            (
                "no line parsed",
                V1,
                against_a_line(Fault::error(400, unparsable())),
                "missing fields",
            ),
            ("accept_partial=false", V3, against_a_line(Fault::status(400, whole)), "No fields"),
            ("Cloud", V2, against_a_line(Fault::status(400, cloud)), "No fields"),
        ],
    );
    run(
        Outcome::Searched { rejected: 1, most_requests: SEARCH + 1 },
        [(
            "3.x as 2.x, no line is named",
            V2,
            against_a_line(Fault::error(400, "write buffer error: line protocol parse failed")),
            "line protocol parse failed",
        )],
    );
}

#[test]
fn a_type_conflict_within_a_batch_is_sent_again_once() {
    let conflict = || Fault::error(400, "field type conflict");
    run(
        Outcome::SentAgain { rejected: 1, requests: SEARCH + 1 },
        [("and then searched", V1, against_a_line(conflict()), "400: field type conflict")],
    );

    let server = Server::start();
    server.inject(conflict());
    let client = Client::new(config(&server)).unwrap();
    add(&client, 8);
    assert_eq!(client.flush(LONG).delivered, 8);
    assert_eq!((balanced(&client).batches, server.count("db")), (2, 8));

    // Without a fault, the first line of such a batch decides the type.
    for n in 0..8 {
        let measurement = Measurement::new("new", "m").tag("n", n.to_string());
        let measurement =
            if n == 5 { measurement.field("f", 1) } else { measurement.field("f", 1.0) };
        client.add_measurement(&measurement).unwrap();
    }
    let report = client.flush(LONG);
    assert_eq!((report.delivered, report.rejected), (7, 1), "{:?}", balanced(&client));
    assert_eq!((balanced(&client).batches, server.count("new")), (4, 7));
}

#[test]
fn permanent_errors_reject_lines() {
    run(
        Outcome::SentAgain { rejected: 1, requests: SEARCH },
        [
            (
                "something in a line",
                ALL,
                against_a_line(Fault::error(400, "max key length exceeded")),
                "key length",
            ),
            (
                "something in a line",
                ALL,
                against_a_line(Fault::error(422, "too long a value")),
                "too long a value",
            ),
            (
                "invalid UTF-8",
                V1,
                against_a_line(Fault::error(
                    500,
                    "proto: field \"tsdb.Field.Name\" contains invalid UTF-8",
                )),
                "invalid UTF-8",
            ),
            (
                "invalid UTF-8",
                V3,
                against_a_line(Fault::status(
                    400,
                    "body content is not valid utf8: invalid utf-8 sequence",
                )),
                "not valid utf8",
            ),
        ],
    );
    run(
        Outcome::SentAgain { rejected: 1, requests: 2 },
        [
            (
                "unparsable, whatever the status",
                V1,
                against_a_line(Fault::error(500, unparsable())),
                "missing fields",
            ),
            (
                "unparsable, whatever the status",
                V2,
                against_a_line(Fault::error(503, unparsable())),
                "missing fields",
            ),
        ],
    );
    run(
        Outcome::Partly { rejected: 8 },
        [
            (
                "policy",
                V1,
                Fault::error(500, "retention policy not found: nope"),
                "policy not found: nope",
            ),
            ("no database", V1, Fault::error(400, "database is required"), "database is required"),
            (
                "consistency",
                V1,
                Fault::error(400, "invalid consistency level"),
                "consistency level",
            ),
            ("gzip", V1, Fault::error(400, "unexpected EOF"), "unexpected EOF"),
            (
                "gzip",
                V2,
                Fault::error(500, "gzipped HTTP body contains an invalid header"),
                "invalid header",
            ),
            (
                "gzip",
                V3,
                Fault::status(400, "error decoding gzip stream: invalid gzip header"),
                "gzip",
            ),
            (
                "name",
                V3,
                Fault::error(400, "invalid character in database or rp name: x"),
                "rp name",
            ),
        ],
    );
}

#[test]
fn a_batch_that_is_too_large_is_halved() {
    run(
        Outcome::Searched { rejected: 1, most_requests: POISON_SEARCH },
        [
            (
                "down to a line",
                ALL,
                against_a_line(Fault::error(413, "Request Entity Too Large")),
                "413: Request",
            ),
            ("Telegraf", V2, against_a_line(Fault::status(413, "")), "413 without a text"),
        ],
    );
    // The server reads the shorter body, and closes the connection before the longer one.
    for lines in [100, 20_000] {
        for api in [Api::V1, Api::V2, Api::V3] {
            let server = Server::start();
            server.max_body_size(lines * 10);
            let config = with_api(api, &server).trigger_size(lines);
            let client = Client::new(config).unwrap();
            add(&client, lines);
            assert!(client.flush(LONG).is_complete(), "{api}");
            let stats = balanced(&client);
            assert_eq!(
                (stats.delivered, server.count("db")),
                (lines as u64, lines),
                "{api}: {stats:?}"
            );
        }
    }
}

#[test]
fn a_queued_write_counts_as_delivered() {
    let queued = || Fault::error(500, "hinted handoff queue not empty");
    run(Outcome::Delivered, [("Enterprise", V1, queued().and_store(), "")]);
}

#[test]
fn bad_lines_are_found_in_every_api() {
    for api in [Api::V1, Api::V2, Api::V3] {
        let server = Server::start();
        let rejected = Arc::new(Mutex::new(Vec::new()));
        let log = rejected.clone();
        let config = with_api(api, &server).on_rejected(move |rejected| {
            log.lock().unwrap().push(rejected.line().to_owned());
        });
        let client = Client::new(config).unwrap();
        // The field is a float on the server; an integer conflicts.
        client.add_measurement(&Measurement::new("db", "m").field("f", 1.0)).unwrap();
        assert!(client.flush(LONG).is_complete());
        for n in 0..50 {
            let measurement = Measurement::new("db", "m").tag("n", n.to_string());
            let measurement =
                if n == 17 { measurement.field("f", 1) } else { measurement.field("f", 2.0) };
            client.add_measurement(&measurement).unwrap();
        }
        assert!(client.flush(LONG).is_complete(), "{api}");
        let stats = balanced(&client);
        assert_eq!((stats.delivered, stats.rejected), (50, 1), "{api}: {stats:?}");
        let rejected = rejected.lock().unwrap();
        assert_eq!(rejected.len(), 1, "{api}");
        assert!(rejected[0].starts_with("m,n=17 f=1i"), "{api}: {rejected:?}");
        assert_eq!(server.count("db"), 50);
    }
}
