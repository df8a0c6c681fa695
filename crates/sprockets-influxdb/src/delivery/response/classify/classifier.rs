//! One reply, and how a disposition is made of it.

use crate::buffer::Batch;
use crate::delivery::disposition::{Cause, Disposition, Failure, RejectedLines, Rejection, Scope};
use crate::delivery::response::error_body::ErrorBody;
use crate::delivery::response::identity::ServerIdentity;
use crate::delivery::response::reply::Reply;

/// Looks up what one reply means for its batch.
pub(super) struct Classifier<'a> {
    pub(super) reply: &'a Reply<'a>,
    pub(super) body: &'a ErrorBody<'a>,
    pub(super) server: &'a ServerIdentity,
    pub(super) batch: &'a Batch,
}

impl Classifier<'_> {
    pub(super) fn rejected(&self, lines: RejectedLines, rest_stored: bool) -> Disposition {
        Disposition::Rejected(Rejection { lines, rest_stored, reason: self.body.reason() })
    }

    pub(super) fn configuration(&self, scope: Scope, advice: &str) -> Disposition {
        let reason = self.explain(advice);
        Disposition::Retry(Failure { cause: Cause::Configuration, scope, after: None, reason })
    }

    pub(super) fn unrecognized(&self, advice: &str) -> Disposition {
        let reason = self.explain(advice);
        Disposition::Retry(Failure::of_server(Cause::Unrecognized, reason))
    }

    pub(super) fn retry(&self, cause: Cause) -> Disposition {
        let after = self.reply.retry_after();
        let reason = self.answer();
        Disposition::Retry(Failure { cause, scope: Scope::Server, after, reason })
    }
}
