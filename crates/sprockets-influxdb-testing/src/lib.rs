#![doc = include_str!("../README.md")]

mod batch;
mod dialect;
mod exchange;
mod fault;
mod http;
mod line_protocol;
mod lines;
mod point;
mod request;
mod rules;
mod scalar;
mod scanner;
mod server;
mod shared;
mod store;
#[cfg(test)]
mod tests;

pub use fault::{Fault, Stage};
pub use line_protocol::{LineError, parse, parse_lines};
pub use point::{Point, Value};
pub use request::Request;
pub use server::Server;
