//! InfluxDB 3 Core: its endpoints, what it stores of a write, and its exact replies. The behaviour
//! of 3.6.0 was measured on a server. The differences in 3.10.1 were read in its sources.

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
