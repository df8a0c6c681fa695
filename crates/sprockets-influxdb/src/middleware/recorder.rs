//! Begins with requests, and makes measurements of what became of them.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::attributes::{CLIENT_CLOSED_REQUEST, Property, UNMATCHED, Vocabulary, cut};
use super::guard::{Grpc, Progress, Recording, RequestBytes};
use super::handle::RequestMeasurement;
use super::options::{RequestHead, RequestOptions};
use crate::client::Client;
use crate::measurement::{FieldValue, Measurement};

/// So many gRPC methods have an endpoint of their own.
const MOST_GRPC_METHODS: usize = 1_000;

/// Between two warnings.
const QUIET: Duration = Duration::from_secs(60);

/// Makes a measurement of each request: what the middleware for a framework is made of. Clones are the same recorder.
///
/// [`begin`](Self::begin) when a request comes, tell the [`Recording`] what happens, and drop it when the request has ended.
#[derive(Clone, Debug)]
pub struct Recorder {
    /// `None` where requests cannot be recorded.
    shared: Option<Arc<Shared>>,
}

pub(super) struct Shared {
    client: Client,
    database: String,
    name: String,
    vocabulary: Vocabulary,
    options: RequestOptions,
    /// The paths of gRPC methods that succeeded once. Any other path may be a scanner's.
    grpc_methods: RwLock<HashSet<Box<str>>>,
    born: Instant,
    /// When the log was told last that a measurement was refused: seconds since `born`, and one.
    warned: AtomicU64,
}

impl Recorder {
    /// Records requests in that database, in measurements of that name. Where one of them is empty, nothing is recorded,
    /// which the log says once.
    pub fn new(
        client: Client,
        database: impl Into<String>,
        measurement: impl Into<String>,
        options: RequestOptions,
    ) -> Self {
        let (database, name) = (database.into(), measurement.into());
        for (what, text) in [("database", &database), ("measurement", &name)] {
            if text.is_empty() {
                tracing::warn!("requests are not recorded: the name of their {what} is empty");
                return Self { shared: None };
            }
        }
        let shared = Shared {
            client,
            database,
            name,
            vocabulary: options.vocabulary(),
            options,
            grpc_methods: RwLock::default(),
            born: Instant::now(),
            warned: AtomicU64::new(0),
        };
        Self { shared: Some(Arc::new(shared)) }
    }

    /// Begins with a request. `None` if it is not to be recorded.
    pub fn begin(&self, request: &dyn RequestHead) -> Option<Recording> {
        let shared = self.shared.as_ref()?;
        let RequestOptions { skip, endpoint, .. } = &shared.options;
        if !shared.client.is_enabled() || skip.as_ref().is_some_and(|skip| skip(request)) {
            return None;
        }
        let started = Instant::now();
        let mut measurement = take_spare();
        measurement.restart(&shared.database, &shared.name);
        shared.describe(&mut measurement, request);
        let measurement = RequestMeasurement::new(shared.clone(), measurement);
        let recording = Recording::new(measurement, started);
        if let Some(endpoint) = endpoint.as_ref().and_then(|endpoint| endpoint(request)) {
            recording.endpoint(&endpoint);
        }
        Some(recording)
    }
}

impl Shared {
    /// What is known from the beginning.
    fn describe(&self, measurement: &mut Measurement, request: &dyn RequestHead) {
        let vocabulary = &self.vocabulary;
        if let Some(name) = vocabulary.name(Property::Method) {
            measurement.default_tag(name, vocabulary.method(request.method()));
        }
        let options = &self.options;
        if let Some(id) = request.header(&options.correlation_id_header) {
            self.set(measurement, Property::CorrelationId, &String::from_utf8_lossy(id));
        }
        let header = options.remote_ip_header.as_deref().and_then(|name| request.header(name));
        if let Some(addresses) = header {
            let first = addresses.split(|byte| *byte == b',').next().unwrap_or_default();
            let first = String::from_utf8_lossy(first);
            self.set(measurement, Property::RemoteIp, first.trim());
        }
    }

    /// Records a property that is text, unless there is one already.
    pub(super) fn set(&self, measurement: &mut Measurement, property: Property, text: &str) {
        let Some(name) = self.vocabulary.name(property).filter(|_| !text.is_empty()) else {
            return;
        };
        let text = cut(text);
        if self.vocabulary.is_tag(property) {
            measurement.default_tag(name, text);
        } else {
            measurement.default_field(name, &FieldValue::from(text));
        }
    }

    /// Whether the path is that of a method of gRPC: it is once a call of it has succeeded.
    fn is_grpc_method(&self, path: &str, has_succeeded: bool) -> bool {
        let known = self.grpc_methods.read().unwrap_or_else(PoisonError::into_inner);
        if known.contains(path) || !has_succeeded || known.len() >= MOST_GRPC_METHODS {
            return known.contains(path);
        }
        drop(known);
        self.grpc_methods.write().unwrap_or_else(PoisonError::into_inner).insert(path.into());
        true
    }

    /// Adds what became of the request, and the whole to the client's buffer.
    pub(super) fn record(&self, mut measurement: Measurement, progress: &Progress) {
        self.complete(&mut measurement, progress);
        if let Err(error) = self.client.add_measurement(&measurement) {
            self.warn(&error);
        }
        keep_spare(measurement);
    }

    fn complete(&self, measurement: &mut Measurement, progress: &Progress) {
        let duration = progress.started.elapsed();
        if let Some(Grpc { path, status }) = &progress.grpc {
            if self.is_grpc_method(path, *status == Some(0)) {
                self.set(measurement, Property::Endpoint, path);
            }
            if let Some(status) = status {
                self.set(measurement, Property::GrpcStatus, itoa::Buffer::new().format(*status));
            }
        }
        self.set(measurement, Property::Endpoint, UNMATCHED);
        let status_code = match progress.status_code {
            Some(status_code) => status_code,
            None if progress.exception.is_some() => 500,
            None => CLIENT_CLOSED_REQUEST,
        };
        self.set(measurement, Property::StatusCode, itoa::Buffer::new().format(status_code));
        let mut field = |property, value: Option<FieldValue<'_>>| {
            if let Some((name, value)) = self.vocabulary.name(property).zip(value) {
                measurement.default_field(name, &value);
            }
        };
        field(Property::ContentLength, Some(progress.content_length.into()));
        let counted = progress.counted.as_ref().map(RequestBytes::so_far);
        let request_length = progress.request_length.or(counted);
        field(Property::RequestLength, request_length.map(FieldValue::from));
        field(Property::Duration, Some(duration.as_secs_f64().into()));
        let first_byte = progress.time_to_first_byte.map(|time| time.as_secs_f64());
        field(Property::TimeToFirstByte, first_byte.map(FieldValue::from));
        if let Some(exception) = &progress.exception {
            self.set(measurement, Property::Exception, exception);
        }
    }

    #[cold]
    fn warn(&self, error: &crate::Error) {
        let now = self.born.elapsed().as_secs() + 1;
        let last = self.warned.load(Ordering::Relaxed);
        let is_due = last == 0 || now - last >= QUIET.as_secs();
        let is_ours = || {
            self.warned.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        };
        if is_due && is_ours() {
            tracing::warn!("a request is not recorded: {error}");
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("database", &self.database)
            .field("measurement", &self.name)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

thread_local! {
    /// Measurements whose memory is used again.
    static SPARE: RefCell<Vec<Measurement>> = const { RefCell::new(Vec::new()) };
}

/// So many are kept for each thread.
const MOST_SPARE: usize = 16;

fn take_spare() -> Measurement {
    let spare = SPARE.try_with(|spare| spare.borrow_mut().pop()).ok().flatten();
    spare.unwrap_or_else(|| Measurement::new("", ""))
}

fn keep_spare(measurement: Measurement) {
    // One with a large text is not worth its memory.
    let is_kept = measurement.memory() <= 4 * 1024;
    // The thread may be at its end.
    let _ = SPARE.try_with(|spare| {
        let mut spare = spare.borrow_mut();
        if is_kept && spare.len() < MOST_SPARE {
            spare.push(measurement);
        }
    });
}
