#![no_main]

use sprockets_influxdb_fuzz::reply::Answered;

libfuzzer_sys::fuzz_target!(|answered: Answered| answered.check());
