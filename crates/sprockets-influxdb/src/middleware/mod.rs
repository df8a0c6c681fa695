//! One measurement for each request of an HTTP service: what the middlewares for frameworks share, and what one for
//! another framework is made of.
//!
//! | property | as | what |
//! |---|---|---|
//! | `handler` | tag | the handler, where the framework knows one |
//! | `endpoint` | tag | the template of the route, never the path; `(unmatched)` if no route matched |
//! | `method` | tag | `(unknown)` for one that no RFC knows |
//! | `status_code` | tag | 499 if the client gave up before there was a response; 500 if there was none as the handler failed |
//! | `grpc_status` | tag | of gRPC, a number |
//! | `content_length` | field | bytes of the response's body, as far as it was sent |
//! | `request_length` | field | bytes of the request's body, where it is known |
//! | `duration` | field | seconds, until the last byte of the response's body |
//! | `time_to_first_byte` | field | seconds, until the response began |
//! | `remote_ip` | field | the client's address; see [`RequestOptions::remote_ip_header`] |
//! | `correlation_id` | field | see [`RequestOptions::correlation_id_header`] |
//! | `exception` | field | what went wrong, if something did |
//!
//! A request is recorded once, whatever becomes of it: what records it is a guard.

#[cfg(feature = "actix")]
pub mod actix;
mod attributes;
mod guard;
mod handle;
mod options;
mod recorder;
#[cfg(feature = "tower")]
pub mod tower;

pub use attributes::{CLIENT_CLOSED_REQUEST, Names, Property, UNMATCHED, Vocabulary, cut};
pub use guard::{Recording, RequestBytes};
pub use handle::{RequestDuration, RequestMeasurement};
pub use options::{RequestHead, RequestOptions};
pub use recorder::Recorder;
