//! A request of a framework that reports each step of it, such as Django.

use pyo3::prelude::*;
use pyo3::types::PyString;

use super::handled::Handled;
use super::routes::owned;

/// A request that is being handled. It is recorded once: by `end()`, or else when it is
/// deallocated.
#[pyclass(module = "sprockets_influxdb._native")]
pub(crate) struct RequestGuard(pub(super) Handled);

#[pymethods]
impl RequestGuard {
    /// Sets the template of the matched route, and the name of its handler.
    fn route(&mut self, endpoint: Bound<'_, PyString>, handler: Option<Bound<'_, PyString>>) {
        self.0.set_route(owned((endpoint, handler)));
    }

    /// Sets the status of the response that will begin.
    fn respond(&mut self, status: &Bound<'_, PyAny>) {
        if let Ok(status) = status.extract() {
            self.0.outcome.set_status(status);
        }
    }

    /// The application passes this part of the response's body to the server. The server sends the
    /// head before it.
    fn sent(&mut self, data: &Bound<'_, PyAny>) {
        let length = data.len().unwrap_or_default();
        if length > 0 {
            self.0.sent(length as u64);
        }
    }

    /// As [`sent`](Self::sent), with the length of the part in bytes.
    fn sent_length(&mut self, length: u64) {
        self.0.sent(length);
    }

    /// The application has passed the whole response to the server.
    fn complete(&mut self) {
        self.0.complete();
    }

    /// The handler failed. The first failure is recorded.
    fn fail(&mut self, error: &Bound<'_, PyAny>) {
        self.0.fail(error);
    }

    /// The client disconnected.
    fn give_up(&mut self) {
        self.0.outcome.client_gone();
    }

    /// The request has ended. Never raises.
    fn end(this: &Bound<'_, Self>) {
        let Ok(mut request) = this.try_borrow_mut() else { return };
        request.0.record(this.py());
    }
}
