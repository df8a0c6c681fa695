//! What a server's reply means for the batch that it answers.

mod classify;
mod error_body;
mod rejected_lines;
mod reply;

pub(super) use classify::classify;
pub(super) use reply::Reply;
