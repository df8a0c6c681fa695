//! A request under way, and the guard that records it.

use std::fmt;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::attributes::Property;
use super::handle::RequestMeasurement;

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
    pub(super) fn new(measurement: RequestMeasurement, started: Instant) -> Self {
        Self { measurement, progress: Progress::new(started), is_recorded: false }
    }

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

/// What became of a request so far.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) started: Instant,
    pub(super) time_to_first_byte: Option<Duration>,
    pub(super) status_code: Option<u16>,
    pub(super) content_length: u64,
    pub(super) request_length: Option<u64>,
    pub(super) counted: Option<RequestBytes>,
    pub(super) exception: Option<String>,
    pub(super) grpc: Option<Grpc>,
}

#[derive(Debug)]
pub(super) struct Grpc {
    pub(super) path: Box<str>,
    pub(super) status: Option<u32>,
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

    pub(super) fn so_far(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
