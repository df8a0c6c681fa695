//! Offers ureq an early reply at once: the final reply to a body that was announced by
//! `Expect: 100-continue`.
//!
//! ureq 3.5 leaves the head of such a reply in its input buffer, and then waits for more input
//! before it reads the head again. A server that keeps the connection open sends no more: nginx
//! closes it five seconds later.

use ureq::Error;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

/// The end of a chain of connectors. Wraps each connection.
#[derive(Debug)]
pub(super) struct EarlyReplies;

impl<In: Transport> Connector<In> for EarlyReplies {
    type Out = EarlyReply<In>;

    fn connect(
        &self,
        _: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        Ok(chained.map(|inner| EarlyReply { inner, may_offer: false }))
    }
}

/// A connection.
#[derive(Debug)]
pub(super) struct EarlyReply<In> {
    inner: In,
    /// Whether input came since the last output, and was not offered a second time.
    may_offer: bool,
}

impl<In: Transport> Transport for EarlyReply<In> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.may_offer = false;
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        if std::mem::take(&mut self.may_offer) && has_whole_head(self.inner.buffers().input()) {
            return Ok(true);
        }
        let has_grown = self.inner.await_input(timeout)?;
        self.may_offer = has_grown;
        Ok(has_grown)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

fn has_whole_head(input: &[u8]) -> bool {
    input.starts_with(b"HTTP/") && memchr::memmem::find(input, b"\r\n\r\n").is_some()
}
