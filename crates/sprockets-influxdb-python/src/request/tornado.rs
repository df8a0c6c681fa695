//! Requests of Tornado applications: the mixin calls this once, at the end of a request.

use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::PyString;
use sprockets_influxdb as core;
use sprockets_influxdb::internal::{self, AttributeSink, Attributes, Outcome};
use sprockets_influxdb::middleware::{Attribute, RequestOptions};

use super::options::read_target;
use crate::capi::measurement::create;
use crate::handle::{Handle, installed};
use crate::items::Items;
use crate::line::with_new_line;
use crate::measurement::Measurement;
use crate::target::Target;
use crate::timestamp::{self, Stamp};
use crate::value::{text, value_error, with_text};
use crate::warning::warn;

/// Records the requests of a Tornado application, with the attributes that release 2.2.1 records.
#[pyclass(frozen, module = "sprockets_influxdb._native")]
pub(crate) struct TornadoRecorder {
    target: Target,
    attributes: Attributes,
    /// Without those that the handler's measurement has from the beginning. A handler may remove
    /// them, or replace the measurement.
    final_attributes: Attributes,
}

/// The database, and the measurement's name.
type Place<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>);

/// Handler, endpoint, and method. The method is `None` if the handler does not support it.
type Route<'py> = (Bound<'py, PyString>, Bound<'py, PyString>, Option<Bound<'py, PyString>>);

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
    /// :raises ValueError: for a variable that is not a boolean, and for another client than a
    ///     ``Client``
    #[new]
    fn new(reads_environment: bool, client: &Bound<'_, PyAny>) -> PyResult<Self> {
        let target = read_target(client)?;
        let options = match reads_environment {
            true => internal::options_from_env(true).map_err(value_error)?,
            false => RequestOptions::new().tag(Attribute::RemoteIp).tag(Attribute::CorrelationId),
        };
        let unknown_to_2_2_1 =
            [Attribute::RequestLength, Attribute::TimeToFirstByte, Attribute::Exception];
        let options = options.leave_out(unknown_to_2_2_1);
        let attributes = internal::attributes(&options);
        let initial = [Attribute::Handler, Attribute::Endpoint, Attribute::Method];
        let final_attributes = internal::attributes(&options.leave_out(initial));
        Ok(Self { target, attributes, final_attributes })
    }

    /// The time for a measurement that is made later, in nanoseconds since the epoch. `None` if the
    /// client is disabled. Without a client, only the first measurement finds that out.
    fn stamp(&self) -> Option<i64> {
        let is_disabled = match &self.target {
            Target::Installed => is_disabled(installed().as_deref()),
            Target::Own(client, _) => is_disabled(Some(client)),
        };
        (!is_disabled).then(timestamp::now)
    }

    /// The database of measurements that name none. `None` if there is no default one.
    fn database(&self, py: Python<'_>) -> PyResult<Option<Py<PyString>>> {
        self.target.database(py)
    }

    /// The measurement for the handler of a request that began at `stamp`. If the client is
    /// disabled, it is not recorded.
    fn measurement<'py>(
        &self,
        py: Python<'py>,
        stamp: i64,
        place: Place<'_>,
        route: Route<'_>,
    ) -> PyResult<Bound<'py, Measurement>> {
        if !self.target.is_enabled(py)? {
            return create(py, Measurement::inert(py));
        }
        let (database, name) = (place.0.unbind(), place.1.unbind());
        let (handler, endpoint, method) = route;
        let is_free = |name: &str| !self.attributes.has_name(name);
        let stamp = Stamp::at(stamp);
        let tags = Items::of_base_tags_where(py, self.target.base_tags(py)?.as_ref(), is_free);
        let mut measurement = Measurement::of_request(py, database, name, stamp, tags);
        let unknown = || PyString::intern(py, self.attributes.unknown_method());
        for (attribute, value) in [
            (Attribute::Handler, handler),
            (Attribute::Endpoint, endpoint),
            (Attribute::Method, method.unwrap_or_else(unknown)),
        ] {
            if let Some(name) = self.attributes.name(attribute) {
                measurement.set_tag(PyString::intern(py, name).as_any(), value.as_any())?;
            }
        }
        create(py, measurement)
    }

    /// Records a request whose handler did not use its measurement.
    fn record(
        &self,
        py: Python<'_>,
        stamp: i64,
        place: Place<'_>,
        route: Route<'_>,
        end: End<'_>,
    ) -> PyResult<()> {
        let (handler, endpoint, method) = route;
        with_new_line(&place.0, &place.1, stamp, |line| {
            let mut sink = AttributeSink::new(&self.attributes, line);
            sink.text(Attribute::Handler, &text(&handler)?);
            sink.text(Attribute::Endpoint, &text(&endpoint)?);
            match method {
                Some(method) => sink.text(Attribute::Method, &text(&method)?),
                None => sink.text(Attribute::Method, self.attributes.unknown_method()),
            }
            write_end(&mut sink, end)?;
            self.target.add(py, line)
        })
    }

    /// Records a request with the measurement that its handler used.
    fn complete(&self, measurement: &Bound<'_, Measurement>, end: End<'_>) -> PyResult<()> {
        let complete = |line: &mut core::Measurement| {
            let mut sink = AttributeSink::new(&self.final_attributes, line);
            write_end(&mut sink, end)?;
            Ok(sink.changed_kind())
        };
        let endpoint = || {
            let name = self.attributes.name(Attribute::Endpoint);
            let tags = measurement.getattr("tags").ok();
            let endpoint = tags.zip(name).and_then(|(tags, name)| tags.get_item(name).ok());
            endpoint.unwrap_or_else(|| measurement.py().None().into_bound(measurement.py()))
        };
        Measurement::finish(measurement, &self.target, endpoint, complete)
    }
}

fn is_disabled(client: Option<&Handle>) -> bool {
    client.is_some_and(|client| !client.core().is_enabled())
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
            if let Err(error) = with_text(&value, |text| sink.text(attribute, text)) {
                warn(value.py(), &error, None);
            }
        }
    }
    Ok(())
}
