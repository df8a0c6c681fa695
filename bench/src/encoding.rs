//! Measures encoding line protocol, against a copy of the same bytes and against peers.

use std::hint::black_box;
use std::time::{SystemTime, UNIX_EPOCH};

use influxdb_line_protocol::LineProtocolBuilder;
use questdb::ingress::{Buffer, ProtocolVersion, TimestampNanos};
use sprockets_influxdb::Measurement;

use crate::rounds::compare;
use crate::sample::{self, BYTES, DATABASE, NAME, SECONDS, TAGS};
use crate::table::{Goal, nanoseconds, ratio, section};

/// The size of the buffer that lines are appended to. It is cleared when it is full.
const BUFFER_BYTES: usize = 64 * 1024;

fn make_room(buffer: &mut Vec<u8>) {
    if buffer.capacity() - buffer.len() < 512 {
        buffer.clear();
    }
}

pub fn run() {
    let finished = sample::measurement();
    let mut line = Vec::new();
    finished.append_to(&mut line);

    let mut copies = Vec::with_capacity(BUFFER_BYTES);
    let mut copy = |calls| {
        for _ in 0..calls {
            make_room(&mut copies);
            copies.extend_from_slice(black_box(&line));
            black_box(&mut copies);
        }
    };
    let mut encoded = Vec::with_capacity(BUFFER_BYTES);
    let mut encode = |calls| {
        for _ in 0..calls {
            make_room(&mut encoded);
            black_box(&finished).append_to(&mut encoded);
            black_box(&mut encoded);
        }
    };
    let mut measurement = Measurement::new(DATABASE, NAME);
    let mut lines = Vec::with_capacity(BUFFER_BYTES);
    let mut from_strings = |calls| {
        for _ in 0..calls {
            make_room(&mut lines);
            measurement.restart(black_box(DATABASE), black_box(NAME));
            sample::fill(&mut measurement);
            measurement.append_to(&mut lines);
            black_box(&mut lines);
        }
    };
    let mut made = Vec::with_capacity(BUFFER_BYTES);
    let mut newly_made = |calls| {
        for _ in 0..calls {
            make_room(&mut made);
            black_box(sample::measurement()).append_to(&mut made);
            black_box(&mut made);
        }
    };
    let mut rows = Buffer::new(ProtocolVersion::V1);
    let mut questdb = |calls| {
        for _ in 0..calls {
            if rows.len() > BUFFER_BYTES - 512 {
                rows.clear();
            }
            rows.table(black_box(NAME)).expect("a name");
            for (name, value) in black_box(TAGS) {
                rows.symbol(name, value).expect("a symbol");
            }
            rows.column_i64(BYTES.0, BYTES.1).expect("a column");
            rows.column_f64(SECONDS.0, SECONDS.1).expect("a column");
            rows.at(TimestampNanos::new(now())).expect("a row");
            black_box(&mut rows);
        }
    };
    let mut builder = |calls| {
        for _ in 0..calls {
            let mut builder = LineProtocolBuilder::new()
                .measurement(black_box(NAME))
                .tag(TAGS[0].0, black_box(TAGS[0].1));
            for (name, value) in &black_box(TAGS)[1..] {
                builder = builder.tag(name, value);
            }
            let builder = builder.field(BYTES.0, BYTES.1).field(SECONDS.0, SECONDS.1);
            black_box(builder.timestamp(now()).close_line().build());
        }
    };
    let [copy, encode, from_strings, newly_made, questdb, builder] = compare(
        5_000,
        [&mut copy, &mut encode, &mut from_strings, &mut newly_made, &mut questdb, &mut builder],
    );

    section(&format!("Encoding: {} bytes, 7 tags, 2 fields, stamped now", line.len()));
    nanoseconds("memcpy of the line", copy);
    nanoseconds("line of a measurement (append_to)", encode);
    nanoseconds(
        "from strings, restarted: restart, 7 set_tag, 2 set_field, append_to",
        from_strings,
    );
    nanoseconds(
        "from strings, newly made: new, 7 set_tag, 2 set_field, append_to, drop",
        newly_made,
    );
    nanoseconds("questdb-rs 7: table, 7 symbol, 2 column, at", questdb);
    nanoseconds("influxdb-line-protocol 2: its builder", builder);
    ratio("line of a measurement / memcpy", encode / copy, Goal::AtMost(4.0));
    ratio("questdb-rs / line of a measurement", questdb / encode, Goal::AtLeast(4.0));
    ratio("influxdb-line-protocol / line of a measurement", builder / encode, Goal::AtLeast(15.0));
    ratio("questdb-rs / from strings", questdb / from_strings, Goal::Higher);
    ratio("influxdb-line-protocol / from strings", builder / from_strings, Goal::Higher);
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_nanos()).expect("before 2262")
}
