//! Requests of Python's web frameworks, translated for the core's `middleware`.
//!
//! The core decides what is recorded: the attributes and their names, the status code, what takes
//! precedence. This module reads Python's objects.

mod asgi;
mod guard;
mod handled;
mod headers;
mod message;
mod options;
mod recorder;
mod routes;
mod tornado;
mod wsgi;

pub(crate) use guard::RequestGuard;
pub(crate) use handled::Handled;
pub(crate) use options::{MEASUREMENT, check_request_variables};
pub(crate) use recorder::{Recorder, measurement_in};
pub(crate) use routes::{FlaskRoutes, RouteTable};
pub(crate) use tornado::{TornadoRecorder, finish_request};
pub(crate) use wsgi::WsgiSizedBody;
