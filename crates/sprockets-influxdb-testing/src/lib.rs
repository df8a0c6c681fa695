#![doc = include_str!("../README.md")]

mod batch;
mod conditions;
mod dialect;
mod exchange;
mod fault;
mod fault_queue;
mod http;
mod identity;
mod influxdb3;
mod line_protocol;
mod lines;
mod non_write;
mod plan;
mod point;
mod product;
mod request;
mod rules;
mod scalar;
mod scanner;
mod server;
mod shared;
mod store;
mod stranger;
#[cfg(test)]
mod tests;
mod trouble;
mod unknown_name;
mod write;

pub use fault::{Fault, Stage};
pub use line_protocol::{LineError, parse, parse_lines};
pub use point::{Point, Value};
pub use product::Product;
pub use request::Request;
pub use server::Server;
pub use stranger::Stranger;
pub use trouble::Trouble;
pub use unknown_name::UnknownName;
