#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sprockets_influxdb_fuzz::line_protocol::check(bytes));
