//! InfluxDB 3 Core as it is: which endpoints it has, what it stores of a write, and the exact
//! replies. What it does in 3.6.0 was measured on a server; what 3.10.1 does differently was read in
//! its sources.

mod auth;
mod catalog;
mod edition;
mod endpoints;
mod failure;
mod json;
mod parser;
mod request;
mod scanner;
mod write;

pub(crate) use auth::refusal;
pub(crate) use catalog::Catalog;
pub(crate) use edition::Edition;
pub(crate) use endpoints::answer;
pub(crate) use failure::Failure;
pub(crate) use write::{Batch, Write};
