#![no_main]

use sprockets_influxdb_fuzz::spool::Spooled;

libfuzzer_sys::fuzz_target!(|spooled: Spooled| spooled.check());
