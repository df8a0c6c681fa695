//! What a middleware is told beside the database and the measurement's name.

use std::fmt;
use std::sync::Arc;

use super::attributes::{Names, Property, Vocabulary};
use crate::config::flag;
use crate::error::Result;

/// A request before it is handled, as the functions of [`RequestOptions`] see it.
pub trait RequestHead {
    /// The method: `GET`.
    fn method(&self) -> &str;
    /// The path, without the query.
    fn path(&self) -> &str;
    /// The first header of that name, which is in lower case.
    fn header(&self, name: &str) -> Option<&[u8]>;
}

type Skip = Arc<dyn Fn(&dyn RequestHead) -> bool + Send + Sync>;
type Endpoint = Arc<dyn Fn(&dyn RequestHead) -> Option<String> + Send + Sync>;

/// What is recorded of requests, and of which. The defaults: everything that the framework knows, of all of them.
///
/// ```
/// use sprockets_influxdb::middleware::{Names, Property, RequestOptions};
///
/// let options = RequestOptions::new()
///     .names(Names::OpenTelemetry)
///     .leave_out([Property::RequestLength, Property::RemoteIp])
///     .correlation_id_header("x-request-id")
///     .skip(|request| request.path() == "/health");
/// # let _ = options;
/// ```
#[derive(Clone)]
pub struct RequestOptions {
    names: Names,
    left_out: Vec<Property>,
    tags: Vec<Property>,
    pub(super) correlation_id_header: String,
    pub(super) remote_ip_header: Option<String>,
    pub(super) skip: Option<Skip>,
    pub(super) endpoint: Option<Endpoint>,
}

impl RequestOptions {
    /// The defaults: nothing is read from the environment.
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

    /// The defaults, changed by `INFLUXDB_TAG_REMOTE_IP` and `INFLUXDB_TAG_CORRELATION_ID`, which make tags of fields.
    ///
    /// # Errors
    ///
    /// A value that is not a boolean: the error names the variable.
    pub fn from_env() -> Result<Self> {
        let mut options = Self::new();
        for (variable, property) in [
            ("INFLUXDB_TAG_REMOTE_IP", Property::RemoteIp),
            ("INFLUXDB_TAG_CORRELATION_ID", Property::CorrelationId),
        ] {
            if flag(variable)? {
                options = options.tag(property);
            }
        }
        Ok(options)
    }

    /// By which names it is recorded.
    pub fn names(mut self, names: Names) -> Self {
        self.names = names;
        self
    }

    /// Does not record these.
    pub fn leave_out(mut self, properties: impl IntoIterator<Item = Property>) -> Self {
        self.left_out.extend(properties);
        self
    }

    /// Records [`Property::RemoteIp`] or [`Property::CorrelationId`] as a tag, not as a field. Each value is a series of
    /// its own then.
    pub fn tag(mut self, property: Property) -> Self {
        self.tags.push(property);
        self
    }

    /// The request's header that has its correlation id. Default: `correlation-id`.
    pub fn correlation_id_header(mut self, name: &str) -> Self {
        self.correlation_id_header = name.to_ascii_lowercase();
        self
    }

    /// The request's header that has the client's address, as a proxy writes it: the first of several. Anybody can send
    /// such a header, so this is for services behind a proxy that replaces it. Default: none, the connection's peer.
    pub fn remote_ip_header(mut self, name: &str) -> Self {
        self.remote_ip_header = Some(name.to_ascii_lowercase());
        self
    }

    /// Does not record requests for which `skip` returns true.
    pub fn skip(mut self, skip: impl Fn(&dyn RequestHead) -> bool + Send + Sync + 'static) -> Self {
        self.skip = Some(Arc::new(skip));
        self
    }

    /// The endpoint of requests whose framework knows no route, as of a service made by hand. `None` for those that are
    /// not matched. What it returns must not be the path of any request that anybody sends: each value is a series of its
    /// own.
    pub fn endpoint(
        mut self,
        endpoint: impl Fn(&dyn RequestHead) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.endpoint = Some(Arc::new(endpoint));
        self
    }

    pub(super) fn vocabulary(&self) -> Vocabulary {
        let mut vocabulary = Vocabulary::new(self.names);
        self.left_out.iter().for_each(|property| vocabulary.leave_out(*property));
        self.tags.iter().for_each(|property| vocabulary.make_tag(*property));
        vocabulary
    }
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
