//! The scripted server, for tests in Python.
//!
//! Its threads never need the interpreter. Whoever waits for it releases the interpreter meanwhile.

mod fault;
mod point;
mod request;
mod server;

pub(crate) use fault::{Fault, foreign_replies};
pub(crate) use point::{Point, parse};
pub(crate) use request::Request;
pub(crate) use server::{Server, products};
