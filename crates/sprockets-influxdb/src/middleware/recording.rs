//! A request under way, and the guard that records it.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::measurement::RequestMeasurement;
use super::options::{RequestHead, RequestOptions};
use super::vocabulary::{CLIENT_CLOSED_REQUEST, Property, UNMATCHED, Vocabulary};
use crate::client::Client;
use crate::measurement::{FieldValue, Measurement};

/// So many gRPC methods have an endpoint of their own.
const MOST_GRPC_METHODS: usize = 1_000;

/// Between two warnings.
const QUIET: Duration = Duration::from_secs(60);

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
        let recording = Recording {
            progress: Progress::new(started),
            measurement: RequestMeasurement::new(shared.clone(), measurement),
            is_recorded: false,
        };
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
    fn set(&self, measurement: &mut Measurement, property: Property, text: &str) {
        let Some(name) = self.vocabulary.name(property).filter(|_| !text.is_empty()) else {
            return;
        };
        let text = super::cut(text);
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

/// What became of a request so far.
#[derive(Debug)]
pub(super) struct Progress {
    started: Instant,
    time_to_first_byte: Option<Duration>,
    status_code: Option<u16>,
    content_length: u64,
    request_length: Option<u64>,
    counted: Option<RequestBytes>,
    exception: Option<String>,
    grpc: Option<Grpc>,
}

#[derive(Debug)]
struct Grpc {
    path: Box<str>,
    status: Option<u32>,
}

impl Progress {
    fn new(started: Instant) -> Self {
        Self {
            started,
            time_to_first_byte: None,
            status_code: None,
            content_length: 0,
            request_length: None,
            counted: None,
            exception: None,
            grpc: None,
        }
    }
}

/// Counts the bytes of a request's body as they are read. Made by [`Recording::count_request`].
#[derive(Clone, Debug, Default)]
pub struct RequestBytes(Arc<AtomicU64>);

impl RequestBytes {
    /// So many more were read.
    pub fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn so_far(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A request under way. It is recorded once, when it is [ended](Self::end) or else when this is dropped; without a response
/// as one that failed (500), or else that its client gave up (499).
///
/// What the request's handler has set itself in its [measurement](Self::measurement) is kept.
#[derive(Debug)]
pub struct Recording {
    measurement: RequestMeasurement,
    progress: Progress,
    is_recorded: bool,
}

impl Recording {
    /// For the handler.
    pub fn measurement(&self) -> RequestMeasurement {
        self.measurement.clone()
    }

    /// The template of the route that matched.
    pub fn endpoint(&self, template: &str) {
        self.set(Property::Endpoint, template);
    }

    /// The handler's name.
    pub fn handler(&self, name: &str) {
        self.set(Property::Handler, name);
    }

    /// The client's address, unless a header was asked for it, and had it.
    pub fn remote_ip(&self, address: impl fmt::Display) {
        let mut text = [0; 64];
        let mut left = &mut text[..];
        // What does not fit is no address.
        if write!(left, "{address}").is_ok() {
            let length = 64 - left.len();
            self.set(Property::RemoteIp, std::str::from_utf8(&text[..length]).unwrap_or_default());
        }
    }

    /// Bytes of the request's body, in all.
    pub fn request_length(&mut self, bytes: u64) {
        self.progress.request_length = Some(bytes);
    }

    /// Counts the bytes of the request's body, where no header tells how many there will be.
    pub fn count_request(&mut self) -> RequestBytes {
        let counted = RequestBytes::default();
        self.progress.counted = Some(counted.clone());
        counted
    }

    /// It is a call of gRPC: once one of that path has succeeded, the path is its endpoint.
    pub fn grpc(&mut self, path: &str) {
        self.progress.grpc = Some(Grpc { path: path.into(), status: None });
    }

    /// What gRPC's trailers say.
    pub fn grpc_status(&mut self, status: u32) {
        if let Some(grpc) = &mut self.progress.grpc {
            grpc.status = Some(status);
        }
    }

    /// Whether [`grpc`](Self::grpc) was called.
    pub fn is_grpc(&self) -> bool {
        self.progress.grpc.is_some()
    }

    /// The response begins.
    pub fn respond(&mut self, status_code: u16) {
        self.progress.status_code = Some(status_code);
        self.progress.time_to_first_byte = Some(self.progress.started.elapsed());
    }

    /// So many more bytes of the response's body are sent.
    pub fn sent(&mut self, bytes: usize) {
        self.progress.content_length += bytes as u64;
    }

    /// Something went wrong, of which the first counts.
    pub fn fail(&mut self, exception: impl fmt::Display) {
        self.progress.exception.get_or_insert_with(|| exception.to_string());
    }

    /// Runs what handles the request, and notes if it panics.
    pub fn watch<T>(recording: &mut Option<Self>, run: impl FnOnce() -> T) -> T {
        struct Panicked<'r>(&'r mut Option<Recording>);

        impl Drop for Panicked<'_> {
            fn drop(&mut self) {
                if let Some(recording) = self.0 {
                    recording.fail("panic");
                }
            }
        }

        let panicked = Panicked(recording);
        let result = run();
        std::mem::forget(panicked);
        result
    }

    /// The request has ended.
    pub fn end(&mut self) {
        if !std::mem::replace(&mut self.is_recorded, true) {
            self.measurement.record(&self.progress);
        }
    }

    /// The connection is something else from here on, as a websocket: the request is recorded when the last clone of its
    /// [measurement](Self::measurement) is dropped.
    pub fn upgrade(mut self) {
        if !std::mem::replace(&mut self.is_recorded, true) {
            let progress = Progress::new(self.progress.started);
            self.measurement.record_when_dropped(std::mem::replace(&mut self.progress, progress));
        }
    }

    fn set(&self, property: Property, text: &str) {
        let recorder = self.measurement.recorder();
        self.measurement.change(|measurement| recorder.set(measurement, property, text));
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.end();
    }
}
