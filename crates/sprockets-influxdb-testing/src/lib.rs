#![doc = include_str!("../README.md")]

mod batch;
mod conditions;
mod dialect;
mod exchange;
mod fault;
mod fault_queue;
mod foreign_reply;
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
mod server_error;
mod shared;
mod store;
#[cfg(test)]
mod tests;
mod unknown_name;
mod write;

pub use fault::{Fault, Stage};
pub use foreign_reply::ForeignReply;
pub use line_protocol::{LineError, parse, parse_lines};
pub use point::{Point, Value};
pub use product::Product;
pub use request::Request;
pub use server::Server;
pub use server_error::ServerError;
pub use unknown_name::UnknownName;
