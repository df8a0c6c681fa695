//! The Python package's native module: translation between Python and the core, no logic of its own.

mod client;
mod command;
mod flush;
mod items;
mod log;
mod measurement;
mod request;
mod testing;
mod value;

use pyo3::prelude::*;

/// What `sprockets_influxdb` is made of. Not for direct use.
#[pymodule]
mod _native {
    #[pymodule_export]
    use crate::client::{
        add_measurement, base_tags_in_force, configure, end, flush_begin, flush_sync, install,
        record, record_at, reset, settings, shutdown_begin, shutdown_sync, stamp, stats,
    };
    #[pymodule_export]
    use crate::command::command;
    #[pymodule_export]
    use crate::flush::Flush;
    #[pymodule_export]
    use crate::log::{close_log, open_log, take_logs};
    #[pymodule_export]
    use crate::measurement::{Duration, Measurement, measurement_at};
    #[pymodule_export]
    use crate::request::{Recorder, Request};
    #[pymodule_export]
    use crate::testing::{Fault, Server, parse, products, strangers};

    #[pymodule_export]
    const CLIENT_CLOSED_REQUEST: u16 = sprockets_influxdb::middleware::CLIENT_CLOSED_REQUEST;
    #[pymodule_export]
    const MEASUREMENT: &str = crate::request::MEASUREMENT;
    #[pymodule_export]
    const UNMATCHED: &str = sprockets_influxdb::middleware::UNMATCHED;
    /// The release, as the workspace has it.
    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");
}
