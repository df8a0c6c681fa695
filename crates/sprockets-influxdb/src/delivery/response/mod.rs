//! What a server's reply means for the batch that it answers. Pure: no I/O, no clock.

mod classify;
mod error_body;
mod identity;
mod rejected_lines;
mod reply;
mod type_conflict;

pub(super) use classify::{Answer, LIMIT_REACHED, classify};
pub(super) use identity::ServerIdentity;
pub(super) use reply::Reply;
