//! One measurement for each request of an HTTP service. This module has what the middlewares for
//! frameworks share. Use it to build middleware for another framework.
//!
//! | attribute | as | value |
//! |---|---|---|
//! | `handler` | tag | the handler, if the framework knows one |
//! | `endpoint` | tag | the template of the route, never the path; `(unmatched)` without a route |
//! | `method` | tag | the method; `(unknown)` if no RFC defines it |
//! | `status_code` | tag | the response's; without one 500 if the handler failed, else 499 |
//! | `grpc_status` | tag | the number of the gRPC status |
//! | `content_length` | field | bytes of the response's body that were sent |
//! | `request_length` | field | bytes of the request's body, if known |
//! | `duration` | field | seconds until the last byte of the response's body |
//! | `time_to_first_byte` | field | seconds until the response began |
//! | `client_ip` | field | the client's address; see [`RequestOptions::remote_ip_header`] |
//! | `request_id` | field | see [`RequestOptions::correlation_id_header`] |
//! | `exception` | field | the error, if there was one |
//!
//! [`RequestOptions::tag`] records `client_ip` and `request_id` as the tags `remote_ip` and
//! `correlation_id` instead. InfluxDB 3 rejects a name that is a tag in one point and a field in
//! another.
//!
//! A tag or field that the handler sets itself takes precedence. Texts are cut to 256 characters.
//!
//! Each request is recorded once, also when its handler fails, panics or is cancelled:
//! [`RequestGuard`] records it when it is dropped.
//!
//! Add the middleware last, so that it is the outermost. What is further outside can still replace
//! the response: a timeout outside answers 408 and drops the request, which is recorded as 499.

#[cfg(feature = "actix")]
pub mod actix;
pub(crate) mod attributes;
#[cfg(any(feature = "actix", feature = "tower"))]
mod constructors;
mod destination;
mod facts;
mod guard;
mod handle;
pub(crate) mod options;
pub(crate) mod outcome;
pub(crate) mod plain;
mod recorder;
pub(crate) mod sink;
#[cfg(feature = "tower")]
pub mod tower;

pub use attributes::{Attribute, CLIENT_CLOSED_REQUEST, Names, UNMATCHED};
pub use guard::RequestGuard;
pub use handle::{RequestDuration, RequestMeasurement};
pub use options::{RequestHead, RequestOptions};
pub use outcome::RequestBytes;
pub use recorder::Recorder;
