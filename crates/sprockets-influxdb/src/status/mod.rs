//! A status page of a client: its counters, rates, last error, spool and settings, refreshed live.
//!
//! Nothing is served unless you mount it. For axum, with the feature `axum`:
//!
//! ```no_run
//! # #[cfg(feature = "axum")] {
//! use axum::Router;
//! use sprockets_influxdb::{Client, Config, status};
//!
//! # fn app() -> sprockets_influxdb::Result<Router> {
//! let client = Client::new(Config::from_env()?)?;
//! let app = Router::new().nest("/internal/influxdb", status::router(client));
//! # Ok(app)
//! # }
//! # }
//! ```
//!
//! For actix-web, with the feature `actix`, pass [`scope`] to `App::service`.
//!
//! With `?format=json` it is the JSON of [`snapshot`]. Do not expose it to the public: it shows
//! settings, and what servers say about rejected lines.

#[cfg(feature = "actix")]
mod actix;
#[cfg(feature = "axum")]
mod axum;
#[cfg(any(feature = "actix", feature = "axum"))]
mod background;
mod page;
mod snapshot;
mod spool;

#[cfg(feature = "actix")]
pub use self::actix::scope;
#[cfg(feature = "axum")]
pub use self::axum::router;
pub(crate) use self::page::{PAGE, content_security_policy};
pub use self::snapshot::snapshot;
pub(crate) use self::spool::summary;

#[cfg(all(test, feature = "testing"))]
mod tests;
