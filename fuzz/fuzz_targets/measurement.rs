#![no_main]

use sprockets_influxdb_fuzz::measurement::Recorded;

libfuzzer_sys::fuzz_target!(|recorded: Recorded| recorded.check());
