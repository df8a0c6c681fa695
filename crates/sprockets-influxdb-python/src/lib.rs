//! The Python package's native module: translation between Python and the core, no logic of its
//! own.

mod capi;
mod client;
mod command;
mod conversion;
mod done;
mod flush;
mod frame;
mod handle;
mod installed;
mod iso8601;
mod items;
mod line;
mod log;
mod measurement;
mod place;
mod prepared_keys;
mod prepared_tags;
mod process;
mod rejected;
mod request;
mod series;
mod state;
mod stats;
mod status;
mod target;
mod testing;
mod timestamp;
mod value;
mod warning;

use pyo3::prelude::*;

/// What `sprockets_influxdb` is made of. Not for direct use. Some of it relies on the GIL.
#[pymodule(gil_used = true)]
mod _native {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::client::{BaseClient, add_measurement, base_tag_text, record};
    #[pymodule_export]
    use crate::command::command;
    #[pymodule_export]
    use crate::flush::{Flush, begin_all, end, flush_sync, shutdown_sync};
    #[pymodule_export]
    use crate::frame::{ArrowFrame, ObjectFrame};
    #[pymodule_export]
    use crate::installed::{
        configure, direct_clients, install, need_server, reset, undirect_clients,
    };
    #[pymodule_export]
    use crate::log::{
        close_log, log_end, note_done, open_log, take_dropped_rejections, take_logs, take_rejected,
    };
    #[pymodule_export]
    use crate::measurement::Duration;
    #[pymodule_export]
    use crate::rejected::Rejected;
    #[pymodule_export]
    use crate::request::{
        FlaskRoutes, Recorder, RequestGuard, RouteTable, TornadoRecorder, WsgiSizedBody,
        check_request_variables, finish_request, measurement_in,
    };
    #[pymodule_export]
    use crate::series::series;
    #[pymodule_export]
    use crate::stats::{settings, stats};
    #[pymodule_export]
    use crate::testing::{Fault, Point, Request, Server, foreign_replies, parse, products};

    #[pymodule_export]
    use crate::status::{status_policy, summarize_spool};

    /// Adds what is made by the C API itself.
    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        crate::capi::add_to(module)
    }

    #[pymodule_export]
    const STATUS_PAGE: &str = sprockets_influxdb::internal::STATUS_PAGE;
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
