//! The measurement of a request, as its handler has it.

use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use super::guard::Progress;
use super::recorder::Shared;
use crate::measurement::{FieldValue, Measurement};
use crate::sync::{Mutex, lock};

/// The measurement of the request that is being handled, for tags, fields and timings of the handler's own. What it sets
/// wins over what the middleware would record by the same name. Clones are the same measurement; what is set after the
/// request was recorded is not recorded.
///
/// An upgraded connection, such as a websocket, is recorded when the last clone is dropped: whoever serves it keeps one.
#[derive(Clone)]
pub struct RequestMeasurement(Arc<Inner>);

struct Inner {
    recorder: Arc<Shared>,
    /// `None` once it is recorded.
    open: Mutex<Option<Measurement>>,
    /// What is left to be recorded when nobody has this any more.
    upgraded: Mutex<Option<Progress>>,
}

impl RequestMeasurement {
    pub(super) fn new(recorder: Arc<Shared>, measurement: Measurement) -> Self {
        let (open, upgraded) = (Mutex::new(Some(measurement)), Mutex::default());
        Self(Arc::new(Inner { recorder, open, upgraded }))
    }

    /// Sets a tag; one of that name is replaced. An empty value removes it.
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

    /// Sets a field; one of that name is replaced. See [`FieldValue`] for what each type becomes.
    pub fn set_field<'v>(&self, name: impl AsRef<str>, value: impl Into<FieldValue<'v>>) -> &Self {
        self.change(|measurement| _ = measurement.set_field(name, value))
    }

    /// Times what happens until the guard is dropped, also by a panic or as the request is given up, and records it in a
    /// field, in seconds.
    #[must_use = "the time is taken until this guard is dropped"]
    pub fn duration<'m>(&'m self, field: &'m str) -> RequestDuration<'m> {
        RequestDuration { measurement: self, field, start: Instant::now() }
    }

    pub(super) fn recorder(&self) -> &Shared {
        &self.0.recorder
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Measurement)) -> &Self {
        if let Some(measurement) = &mut *lock(&self.0.open) {
            change(measurement);
        }
        self
    }

    pub(super) fn record(&self, progress: &Progress) {
        let open = lock(&self.0.open).take();
        if let Some(measurement) = open {
            self.0.recorder.record(measurement, progress);
        }
    }

    pub(super) fn record_when_dropped(&self, progress: Progress) {
        *lock(&self.0.upgraded) = Some(progress);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let upgraded = self.upgraded.get_mut().unwrap_or_else(PoisonError::into_inner);
        let open = self.open.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some((progress, measurement)) = upgraded.take().zip(open.take()) {
            self.recorder.record(measurement, &progress);
        }
    }
}

impl fmt::Debug for RequestMeasurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RequestMeasurement").field(&*lock(&self.0.open)).finish()
    }
}

/// Records in a field of a request's measurement how long it lived. Made by [`RequestMeasurement::duration`].
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
