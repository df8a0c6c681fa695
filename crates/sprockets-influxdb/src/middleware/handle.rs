//! The measurement of a request, as the request's handler uses it.

use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use super::destination::Destination;
use super::outcome::Outcome;
use super::sink::AttributeSink;
use crate::measurement::{FieldValue, Measurement};
use crate::sync::{Mutex, lock};

/// The measurement of the current request, for the handler's own tags, fields and timings.
///
/// What the handler sets takes precedence over an attribute of the same name that the middleware
/// records. Clones share one measurement. What is set after the request was recorded is ignored.
///
/// There is a measurement for every request. If the request is not recorded, it takes everything
/// and is dropped: the client is disabled, [`RequestOptions::skip`](super::RequestOptions::skip)
/// returned true, or there is no middleware. [`RequestMeasurement::default`] is such a measurement.
///
/// An upgraded connection, such as a websocket, is recorded when the last clone is dropped: keep
/// one for as long as you serve the connection.
#[derive(Clone, Default)]
pub struct RequestMeasurement(Option<Arc<Inner>>);

struct Inner {
    destination: Arc<Destination>,
    /// `None` once it is recorded.
    open: Mutex<Option<Measurement>>,
    /// Of an upgraded connection: recorded when this is dropped.
    upgraded: Mutex<Option<Upgraded>>,
}

struct Upgraded {
    outcome: Outcome,
    started: Instant,
}

impl RequestMeasurement {
    pub(super) fn new(destination: Arc<Destination>, measurement: Measurement) -> Self {
        let (open, upgraded) = (Mutex::new(Some(measurement)), Mutex::default());
        Self(Some(Arc::new(Inner { destination, open, upgraded })))
    }

    /// Whether what is set is recorded. False if the request is not recorded, after it was, and
    /// after [`discard`](Self::discard).
    pub fn is_recording(&self) -> bool {
        self.0.as_ref().is_some_and(|inner| lock(&inner.open).is_some())
    }

    /// Sets a tag. Replaces a tag of that name. An empty value removes it.
    pub fn set_tag(&self, name: impl AsRef<str>, value: impl AsRef<str>) -> &Self {
        self.change(|measurement| _ = measurement.set_tag(name, value))
    }

    /// Sets several tags.
    pub fn set_tags<N, V>(&self, tags: impl IntoIterator<Item = (N, V)>) -> &Self
    where
        N: AsRef<str>,
        V: AsRef<str>,
    {
        self.change(|measurement| _ = measurement.set_tags(tags))
    }

    /// Sets a field. Replaces a field of that name. See [`FieldValue`] for what each type becomes.
    pub fn set_field<'v>(&self, name: impl AsRef<str>, value: impl Into<FieldValue<'v>>) -> &Self {
        self.change(|measurement| _ = measurement.set_field(name, value))
    }

    /// Leaves this request out: it is not recorded, and what is set is dropped. For a handler of
    /// requests that nobody wants to see, such as polls.
    pub fn discard(&self) {
        if let Some(inner) = &self.0 {
            *lock(&inner.open) = None;
        }
    }

    /// Returns a guard. When it is dropped, also by a panic or a cancelled request, the elapsed
    /// time is recorded in a field, in seconds.
    #[must_use = "the time is measured until this guard is dropped"]
    pub fn duration<'m>(&'m self, field: &'m str) -> RequestDuration<'m> {
        RequestDuration { measurement: self, field, start: Instant::now() }
    }

    /// Writes attributes, unless the request is recorded already.
    pub(super) fn write(&self, write: impl FnOnce(&mut AttributeSink<'_>)) {
        let Some(inner) = &self.0 else { return };
        if let Some(measurement) = &mut *lock(&inner.open) {
            write(&mut inner.destination.sink(measurement));
        }
    }

    fn change(&self, change: impl FnOnce(&mut Measurement)) -> &Self {
        let Some(inner) = &self.0 else { return self };
        if let Some(measurement) = &mut *lock(&inner.open) {
            change(measurement);
            inner.destination.remove_tags_of_fields(measurement);
        }
        self
    }

    pub(super) fn record(&self, outcome: &Outcome, started: Instant) {
        let Some(inner) = &self.0 else { return };
        let open = lock(&inner.open).take();
        if let Some(measurement) = open {
            inner.destination.record(measurement, outcome, started.elapsed());
        }
    }

    pub(super) fn record_when_dropped(&self, outcome: Outcome, started: Instant) {
        if let Some(inner) = &self.0 {
            *lock(&inner.upgraded) = Some(Upgraded { outcome, started });
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let upgraded = self.upgraded.get_mut().unwrap_or_else(PoisonError::into_inner);
        let open = self.open.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some((Upgraded { outcome, started }, measurement)) = upgraded.take().zip(open.take())
        {
            self.destination.record(measurement, &outcome, started.elapsed());
        }
    }
}

impl fmt::Debug for RequestMeasurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = self.0.as_ref().map(|inner| lock(&inner.open));
        f.debug_tuple("RequestMeasurement").field(&open.as_deref().unwrap_or(&None)).finish()
    }
}

/// Records the time from its creation until it is dropped in a field of a request's measurement.
/// Made by [`RequestMeasurement::duration`].
#[derive(Debug)]
pub struct RequestDuration<'m> {
    measurement: &'m RequestMeasurement,
    field: &'m str,
    start: Instant,
}

impl Drop for RequestDuration<'_> {
    fn drop(&mut self) {
        self.measurement.set_field(self.field, self.start.elapsed().as_secs_f64());
    }
}
