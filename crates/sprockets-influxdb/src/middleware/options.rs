//! The options of the middlewares.

use std::fmt;
use std::sync::Arc;

use super::attributes::{Attribute, Attributes, Names};
use crate::config::flag;
use crate::error::Result;

/// A request before it is handled, for the functions in [`RequestOptions`].
pub trait RequestHead {
    /// The method, for example `GET`.
    fn method(&self) -> &str;
    /// The path, without the query.
    fn path(&self) -> &str;
    /// The value of the first header with this name, which is in lower case.
    fn header(&self, name: &str) -> Option<&[u8]>;
}

type Skip = Arc<dyn Fn(&dyn RequestHead) -> bool + Send + Sync>;
type Endpoint = Arc<dyn Fn(&dyn RequestHead) -> Option<String> + Send + Sync>;

/// The variables that make a tag of an attribute that is a field otherwise. A tag and a field have
/// different names.
const TAG_VARIABLES: [(&str, Attribute); 2] = [
    ("INFLUXDB_TAG_REMOTE_IP", Attribute::RemoteIp),
    ("INFLUXDB_TAG_CORRELATION_ID", Attribute::CorrelationId),
];

/// Which requests are recorded, and which of their attributes. By default: all that the framework
/// knows, of all requests.
///
/// ```
/// use sprockets_influxdb::middleware::{Attribute, Names, RequestOptions};
///
/// let options = RequestOptions::new()
///     .names(Names::OpenTelemetry)
///     .leave_out([Attribute::RequestLength, Attribute::RemoteIp])
///     .correlation_id_header("x-request-id")
///     .skip(|request| request.path() == "/health");
/// # let _ = options;
/// ```
#[derive(Clone)]
#[must_use]
pub struct RequestOptions {
    names: Names,
    left_out: Vec<Attribute>,
    tags: Vec<Attribute>,
    correlation_id_header: String,
    remote_ip_header: Option<String>,
    skip: Option<Skip>,
    endpoint: Option<Endpoint>,
}

impl RequestOptions {
    /// The defaults. The environment is not read.
    pub fn new() -> Self {
        Self {
            names: Names::default(),
            left_out: Vec::new(),
            tags: Vec::new(),
            correlation_id_header: "correlation-id".to_owned(),
            remote_ip_header: None,
            skip: None,
            endpoint: None,
        }
    }

    /// The defaults, changed by the environment. `INFLUXDB_TAG_REMOTE_IP=true` records the tag
    /// `remote_ip`, `INFLUXDB_TAG_CORRELATION_ID=true` the tag `correlation_id`. See
    /// [`tag`](Self::tag).
    ///
    /// # Errors
    ///
    /// A variable is not a boolean. The error names it.
    pub fn from_env() -> Result<Self> {
        options_from_env(false)
    }

    /// The names of the attributes. Default: [`Names::Sprockets`].
    pub fn names(mut self, names: Names) -> Self {
        self.names = names;
        self
    }

    /// Does not record these attributes.
    pub fn leave_out(mut self, attributes: impl IntoIterator<Item = Attribute>) -> Self {
        self.left_out.extend(attributes);
        self
    }

    /// Records [`Attribute::RemoteIp`] as the tag `remote_ip` instead of a field, or
    /// [`Attribute::CorrelationId`] as the tag `correlation_id`. Each value of a tag makes a series
    /// of its own.
    pub fn tag(mut self, attribute: Attribute) -> Self {
        self.tags.push(attribute);
        self
    }

    /// The request header that has the correlation id. Default: `correlation-id`.
    pub fn correlation_id_header(mut self, name: &str) -> Self {
        self.correlation_id_header = name.to_ascii_lowercase();
        self
    }

    /// The request header that has the client's address, as a proxy writes it. The first address of
    /// a list is recorded. Default: none, the address of the connection's peer is recorded.
    ///
    /// Clients can send this header as well. Use it only behind a proxy that replaces it.
    pub fn remote_ip_header(mut self, name: &str) -> Self {
        self.remote_ip_header = Some(name.to_ascii_lowercase());
        self
    }

    /// Does not record requests for which `skip` returns true. Default: all are recorded.
    pub fn skip(mut self, skip: impl Fn(&dyn RequestHead) -> bool + Send + Sync + 'static) -> Self {
        self.skip = Some(Arc::new(skip));
        self
    }

    /// The endpoint of requests whose framework knows no route, for example of a service without a
    /// router. Return `None` for requests that match nothing.
    ///
    /// Do not return the path of arbitrary requests: each value makes a series of its own.
    pub fn endpoint(
        mut self,
        endpoint: impl Fn(&dyn RequestHead) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.endpoint = Some(Arc::new(endpoint));
        self
    }

    pub(super) fn skips(&self, request: &dyn RequestHead) -> bool {
        self.skip.as_ref().is_some_and(|skip| skip(request))
    }

    pub(super) fn endpoint_of(&self, request: &dyn RequestHead) -> Option<String> {
        self.endpoint.as_ref().and_then(|endpoint| endpoint(request))
    }
}

/// The options of [`RequestOptions::from_env`], with another default for the variables.
///
/// # Errors
///
/// A variable is not a boolean. The error names it.
pub fn options_from_env(default: bool) -> Result<RequestOptions> {
    let mut options = RequestOptions::new();
    for (variable, attribute) in TAG_VARIABLES {
        if flag(variable)?.unwrap_or(default) {
            options = options.tag(attribute);
        }
    }
    Ok(options)
}

/// The attributes to record.
pub fn attributes(options: &RequestOptions) -> Attributes {
    let mut attributes = Attributes::new(options.names);
    options.left_out.iter().for_each(|attribute| attributes.leave_out(*attribute));
    options.tags.iter().for_each(|attribute| attributes.make_tag(*attribute));
    attributes
}

/// The headers with the correlation id and with the client's address, in lower case.
pub fn header_names(options: &RequestOptions) -> (&str, Option<&str>) {
    (&options.correlation_id_header, options.remote_ip_header.as_deref())
}

impl Default for RequestOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RequestOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestOptions")
            .field("names", &self.names)
            .field("left_out", &self.left_out)
            .field("tags", &self.tags)
            .field("correlation_id_header", &self.correlation_id_header)
            .field("remote_ip_header", &self.remote_ip_header)
            .finish_non_exhaustive()
    }
}
