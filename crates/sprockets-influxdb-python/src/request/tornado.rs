//! Requests of Tornado applications: the mixin calls this once, at the end of a request.

use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::PyString;
use sprockets_influxdb as core;
use sprockets_influxdb::middleware::internal::{AttributeSink, Attributes, Outcome};
use sprockets_influxdb::middleware::{Attribute, RequestOptions};

use crate::client::{add, value_error};
use crate::measurement::{Measurement, with_new_line};
use crate::timestamp::Stamp;
use crate::value::{text, with_text};

/// Records the requests of a Tornado application, with the attributes that release 2.2.1 records.
#[pyclass(frozen, module = "sprockets_influxdb._native")]
pub(crate) struct TornadoRecorder {
    attributes: Attributes,
    /// Without those that the handler's measurement has from the beginning. A handler may remove
    /// them, or replace the measurement.
    final_attributes: Attributes,
}

/// What became of a request: method, status code, whether it failed, bytes and seconds of the
/// response, address and correlation id. The status code is `None` if there was no response.
type End<'py> = (
    Bound<'py, PyString>,
    Option<u16>,
    Option<Bound<'py, PyAny>>,
    u64,
    f64,
    Bound<'py, PyAny>,
    Bound<'py, PyAny>,
);

#[pymethods]
impl TornadoRecorder {
    /// By default, address and correlation id are tags, as in release 2.2.1. The environment can
    /// make fields of them.
    ///
    /// :raises ValueError: for a variable that is not a boolean
    #[new]
    fn new(reads_environment: bool) -> PyResult<Self> {
        let options = match reads_environment {
            true => RequestOptions::from_env_or(true).map_err(value_error)?,
            false => RequestOptions::new().tag(Attribute::RemoteIp).tag(Attribute::CorrelationId),
        };
        let unknown_to_2_2_1 =
            [Attribute::RequestLength, Attribute::TimeToFirstByte, Attribute::Exception];
        let options = options.leave_out(unknown_to_2_2_1);
        let attributes = options.attributes();
        let initial = [Attribute::Handler, Attribute::Endpoint, Attribute::Method];
        Ok(Self { attributes, final_attributes: options.leave_out(initial).attributes() })
    }

    /// The measurement for the handler of a request that began at `stamp`.
    fn measurement(
        &self,
        py: Python<'_>,
        stamp: i64,
        database: Py<PyAny>,
        name: Py<PyAny>,
        handler: &Bound<'_, PyAny>,
        endpoint: &Bound<'_, PyAny>,
        method: Option<&Bound<'_, PyString>>,
    ) -> PyResult<Measurement> {
        let is_free = |name: &str| !self.attributes.has_name(name);
        let stamp = Stamp::at(stamp);
        let mut measurement = Measurement::of_request(py, database, name, stamp, is_free);
        let unknown = PyString::intern(py, self.attributes.unknown_method());
        let method = method.unwrap_or(&unknown);
        for (attribute, value) in [
            (Attribute::Handler, handler),
            (Attribute::Endpoint, endpoint),
            (Attribute::Method, method.as_any()),
        ] {
            if let Some(name) = self.attributes.name(attribute) {
                measurement.set_own_tag(PyString::intern(py, name).as_any(), value)?;
            }
        }
        Ok(measurement)
    }

    /// Records a request whose handler did not ask for its measurement.
    #[pyo3(signature = (stamp, database, name, handler, endpoint, method, *end))]
    fn record(
        &self,
        py: Python<'_>,
        stamp: i64,
        database: &Bound<'_, PyAny>,
        name: &Bound<'_, PyAny>,
        handler: &Bound<'_, PyString>,
        endpoint: &Bound<'_, PyString>,
        method: Option<&Bound<'_, PyString>>,
        end: End<'_>,
    ) -> PyResult<()> {
        with_new_line(database, name, stamp, |line| {
            let mut sink = AttributeSink::new(&self.attributes, line);
            sink.text(Attribute::Handler, &text(handler)?);
            sink.text(Attribute::Endpoint, &text(endpoint)?);
            match method {
                Some(method) => sink.text(Attribute::Method, &text(method)?),
                None => sink.text(Attribute::Method, self.attributes.unknown_method()),
            }
            write_end(&mut sink, end)?;
            add(py, line)
        })
    }

    /// Records a request with the measurement that its handler had.
    #[pyo3(signature = (measurement, *end))]
    fn complete(&self, measurement: &Bound<'_, Measurement>, end: End<'_>) -> PyResult<()> {
        let complete = |line: &mut core::Measurement| {
            write_end(&mut AttributeSink::new(&self.final_attributes, line), end)
        };
        let py = measurement.py();
        Measurement::with_completed_line(measurement, complete, |line| add(py, line))
    }
}

fn write_end(sink: &mut AttributeSink<'_>, end: End<'_>) -> PyResult<()> {
    let (method, status_code, error, content_length, seconds, remote_ip, correlation_id) = end;
    let duration = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    let mut outcome = Outcome::new(&text(&method)?);
    match (status_code, error) {
        (Some(status_code), _) => outcome.respond(status_code, duration),
        (None, Some(error)) => outcome.fail(error),
        (None, None) => outcome.client_gone(),
    }
    outcome.sent(content_length);
    outcome.write(duration, sink);
    for (attribute, value) in
        [(Attribute::RemoteIp, remote_ip), (Attribute::CorrelationId, correlation_id)]
    {
        if !value.is_none() {
            with_text(&value, |text| sink.text(attribute, text))?;
        }
    }
    Ok(())
}
