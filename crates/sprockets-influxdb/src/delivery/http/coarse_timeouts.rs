//! Rounds the timeouts of a connection's reads and writes down. ureq passes what is left of a
//! request's time, which is another time for each call, so that each read and write had a system
//! call of its own to set the socket's timeout: a third of those of a small request.

use std::time::Duration;

use ureq::Error;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

/// Timeouts of more than a second are multiples of this.
const STEP: Duration = Duration::from_millis(250);

/// A link of a chain of connectors. Wraps each connection.
#[derive(Debug)]
pub(super) struct CoarseTimeouts;

impl<In: Transport> Connector<In> for CoarseTimeouts {
    type Out = CoarseTimeout<In>;

    fn connect(
        &self,
        _: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        Ok(chained.map(CoarseTimeout))
    }
}

/// A connection.
#[derive(Debug)]
pub(super) struct CoarseTimeout<In>(In);

impl<In: Transport> Transport for CoarseTimeout<In> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.0.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.0.transmit_output(amount, rounded(timeout))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.0.await_input(rounded(timeout))
    }

    fn is_open(&mut self) -> bool {
        self.0.is_open()
    }

    fn is_tls(&self) -> bool {
        self.0.is_tls()
    }
}

/// Never longer, so that a request ends in time.
fn rounded(timeout: NextTimeout) -> NextTimeout {
    if timeout.after.is_not_happening() || *timeout.after <= 4 * STEP {
        return timeout;
    }
    let steps = timeout.after.as_millis() / STEP.as_millis();
    let after = STEP.saturating_mul(u32::try_from(steps).unwrap_or(u32::MAX));
    NextTimeout { after: after.into(), ..timeout }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_timeouts_are_rounded_down_and_short_ones_are_exact() {
        let after = |millis| {
            let after = Duration::from_millis(millis).into();
            rounded(NextTimeout { after, ..NextTimeout::default() }).after.as_millis()
        };
        assert_eq!([after(0), after(1), after(999), after(1000)], [0, 1, 999, 1000]);
        assert_eq!([after(1001), after(9_999), after(10_000)], [1000, 9_750, 10_000]);
        assert!(rounded(NextTimeout::default()).after.is_not_happening());
    }
}
