//! How long something took, as a field.

use std::ops::{Deref, DerefMut};
use std::time::Instant;

use super::Measurement;

/// Records in a field of its measurement how long it lived. Made by [`Measurement::duration`].
#[derive(Debug)]
pub struct DurationGuard<'m> {
    measurement: &'m mut Measurement,
    field: &'m str,
    start: Instant,
}

impl<'m> DurationGuard<'m> {
    pub(super) fn start(measurement: &'m mut Measurement, field: &'m str) -> Self {
        Self { measurement, field, start: Instant::now() }
    }
}

impl Deref for DurationGuard<'_> {
    type Target = Measurement;

    fn deref(&self) -> &Measurement {
        self.measurement
    }
}

impl DerefMut for DurationGuard<'_> {
    fn deref_mut(&mut self) -> &mut Measurement {
        self.measurement
    }
}

impl Drop for DurationGuard<'_> {
    fn drop(&mut self) {
        self.measurement.set_field(self.field, self.start.elapsed().as_secs_f64());
    }
}
