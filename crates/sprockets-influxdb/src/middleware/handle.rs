//! The measurement of a request, as the request's handler uses it.

use std::fmt;
use std::sync::{Arc, PoisonError};

use super::attributes::Attribute;
use super::destination::Destination;
use super::facts::Facts;
use super::outcome::Outcome;
use crate::clock::Moment;
use crate::measurement::{FieldValue, Measurement, Timestamp};
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

#[derive(Default)]
struct Inner {
    /// `None` while it waits for the next request.
    destination: Option<Arc<Destination>>,
    open: Mutex<Open>,
    /// Of an upgraded connection: recorded when this is dropped.
    upgraded: Mutex<Option<Upgraded>>,
}

#[derive(Default)]
struct Open {
    state: State,
    facts: Facts,
}

/// How far the measurement of a request is.
#[derive(Default)]
#[expect(clippy::large_enum_variant, reason = "a box would be one more allocation")]
enum State {
    /// The handler has set nothing.
    #[default]
    Plain,
    Used(Measurement),
    /// Or left out.
    Recorded,
}

struct Upgraded {
    outcome: Outcome,
    started: Moment,
}

impl RequestMeasurement {
    /// Becomes the measurement of a request that begins. Its memory is used again if it is not
    /// shared.
    pub(super) fn restart(&mut self, destination: Arc<Destination>, method: &'static str) {
        if let Some(unused) = self.0.as_mut().and_then(Arc::get_mut) {
            return unused.restart(destination, method);
        }
        let mut inner = Inner::default();
        inner.restart(destination, method);
        self.0 = Some(Arc::new(inner));
    }

    /// Ends a request, and records it if an outcome is given. Returns whether the memory can be
    /// used again: it is not shared.
    pub(super) fn end(&mut self, outcome: Option<(&Outcome, Moment)>) -> bool {
        let Some(inner) = &mut self.0 else { return false };
        let Some(unshared) = Arc::get_mut(inner) else {
            outcome.inspect(|(outcome, started)| self.record(outcome, *started));
            return false;
        };
        // An upgraded connection is recorded when it is dropped.
        let upgraded = unshared.upgraded.get_mut().unwrap_or_else(PoisonError::into_inner);
        if upgraded.is_some() {
            return false;
        }
        let open = unshared.open.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some((destination, (outcome, started))) = unshared.destination.take().zip(outcome) {
            record(&destination, open.end(), &open.facts, outcome, started);
        }
        true
    }

    /// Whether what is set is recorded. False if the request is not recorded, after it was, and
    /// after [`discard`](Self::discard).
    pub fn is_recording(&self) -> bool {
        let is_open = |inner: &Arc<Inner>| !matches!(lock(&inner.open).state, State::Recorded);
        self.0.as_ref().is_some_and(is_open)
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
            lock(&inner.open).state = State::Recorded;
        }
    }

    /// Returns a guard. When it is dropped, also by a panic or a cancelled request, the elapsed
    /// time is recorded in a field, in seconds.
    #[must_use = "the time is measured until this guard is dropped"]
    pub fn duration<'m>(&'m self, field: &'m str) -> RequestDuration<'m> {
        RequestDuration { measurement: self, field, start: Moment::now() }
    }

    /// Sets the text of an attribute, unless the request is recorded already.
    pub(super) fn text(&self, attribute: Attribute, text: &str) {
        let Some((inner, destination)) = self.parts() else { return };
        let Open { state, facts } = &mut *lock(&inner.open);
        match state {
            State::Plain => facts.set(attribute, text),
            State::Used(measurement) => destination.sink(measurement).text(attribute, text),
            State::Recorded => {}
        }
    }

    fn change(&self, change: impl FnOnce(&mut Measurement)) -> &Self {
        let Some((inner, destination)) = self.parts() else { return self };
        let Open { state, facts } = &mut *lock(&inner.open);
        if matches!(state, State::Plain) {
            *state = State::Used(destination.measurement(facts));
        }
        if let State::Used(measurement) = state {
            change(measurement);
            destination.remove_tags_of_fields(measurement);
        }
        self
    }

    fn parts(&self) -> Option<(&Inner, &Destination)> {
        let inner = self.0.as_deref()?;
        Some((inner, inner.destination.as_deref()?))
    }

    pub(super) fn record(&self, outcome: &Outcome, started: Moment) {
        let Some((inner, destination)) = self.parts() else { return };
        let mut open = lock(&inner.open);
        let facts = std::mem::take(&mut open.facts);
        let state = open.end();
        // Not under the lock: adding may wait.
        drop(open);
        record(destination, state, &facts, outcome, started);
        lock(&inner.open).facts = facts;
    }

    pub(super) fn record_when_dropped(&self, outcome: Outcome, started: Moment) {
        if let Some(inner) = &self.0 {
            *lock(&inner.upgraded) = Some(Upgraded { outcome, started });
        }
    }
}

impl Inner {
    fn restart(&mut self, destination: Arc<Destination>, method: &'static str) {
        self.destination = Some(destination);
        let open = self.open.get_mut().unwrap_or_else(PoisonError::into_inner);
        open.state = State::Plain;
        open.facts.restart(method, Timestamp::now().nanoseconds());
    }
}

impl Open {
    /// Ends it, and returns the state before. That of most requests is plain, which moves nothing.
    fn end(&mut self) -> State {
        match self.state {
            State::Plain => {
                self.state = State::Recorded;
                State::Plain
            }
            _ => std::mem::replace(&mut self.state, State::Recorded),
        }
    }
}

fn record(
    destination: &Destination,
    state: State,
    facts: &Facts,
    outcome: &Outcome,
    started: Moment,
) {
    let now = started.elapsed();
    match state {
        State::Plain => destination.record_plain(facts, outcome, now),
        State::Used(measurement) => destination.record(measurement, outcome, now),
        State::Recorded => {}
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let upgraded = self.upgraded.get_mut().unwrap_or_else(PoisonError::into_inner);
        let Some((upgraded, destination)) = upgraded.take().zip(self.destination.take()) else {
            return;
        };
        let open = self.open.get_mut().unwrap_or_else(PoisonError::into_inner);
        let Open { state, facts } = std::mem::take(open);
        record(&destination, state, &facts, &upgraded.outcome, upgraded.started);
    }
}

impl fmt::Debug for RequestMeasurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tuple = f.debug_tuple("RequestMeasurement");
        if let Some((inner, destination)) = self.parts() {
            let Open { state, facts } = &*lock(&inner.open);
            match state {
                State::Plain => tuple.field(&destination.measurement(facts)),
                State::Used(measurement) => tuple.field(measurement),
                State::Recorded => tuple.field(&"recorded"),
            };
        }
        tuple.finish()
    }
}

/// Records the time from its creation until it is dropped in a field of a request's measurement.
/// Made by [`RequestMeasurement::duration`].
#[derive(Debug)]
pub struct RequestDuration<'m> {
    measurement: &'m RequestMeasurement,
    field: &'m str,
    start: Moment,
}

impl Drop for RequestDuration<'_> {
    fn drop(&mut self) {
        self.measurement.set_field(self.field, self.start.elapsed().as_secs_f64());
    }
}
