//! The Arrow C stream interface: the only unsafe code of the bindings. The producer vouches for the
//! pointers and lengths in its structures. What is built on them here is safe: slices that live as
//! long as their array.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

use pyo3::prelude::*;
use pyo3::types::PyCapsule;

#[repr(C)]
struct RawSchema {
    format: *const c_char,
    name: *const c_char,
    metadata: *const c_char,
    flags: i64,
    n_children: i64,
    children: *mut *mut RawSchema,
    dictionary: *mut RawSchema,
    release: Option<unsafe extern "C" fn(*mut RawSchema)>,
    private_data: *mut c_void,
}

#[repr(C)]
struct RawArray {
    length: i64,
    null_count: i64,
    offset: i64,
    n_buffers: i64,
    n_children: i64,
    buffers: *mut *const c_void,
    children: *mut *mut RawArray,
    dictionary: *mut RawArray,
    release: Option<unsafe extern "C" fn(*mut RawArray)>,
    private_data: *mut c_void,
}

#[repr(C)]
struct RawStream {
    get_schema: Option<unsafe extern "C" fn(*mut RawStream, *mut RawSchema) -> c_int>,
    get_next: Option<unsafe extern "C" fn(*mut RawStream, *mut RawArray) -> c_int>,
    get_last_error: Option<unsafe extern "C" fn(*mut RawStream) -> *const c_char>,
    release: Option<unsafe extern "C" fn(*mut RawStream)>,
    private_data: *mut c_void,
}

/// A stream of record batches, moved out of its capsule.
pub(super) struct Stream(Box<RawStream>);

/// The schema of a stream.
pub(super) struct Schema(Box<RawSchema>);

/// A record batch, or a part of one.
pub(super) struct Batch(Box<RawArray>);

// SAFETY: the interface does not bind its structures to a thread. Each has one owner, who alone
// calls its functions; from several threads there are only reads.
unsafe impl Send for Stream {}
// SAFETY: as above.
unsafe impl Sync for Stream {}
// SAFETY: as above.
unsafe impl Send for Batch {}
// SAFETY: as above.
unsafe impl Sync for Batch {}

impl Stream {
    /// Takes the stream out of a capsule, which is empty afterwards. `None` if it was before.
    pub(super) fn take(capsule: &Bound<'_, PyCapsule>) -> PyResult<Option<Self>> {
        let pointer = capsule.pointer_checked(Some(c"arrow_array_stream"))?.cast::<RawStream>();
        // SAFETY: a capsule of this name has such a structure. The interpreter's lock is held, so
        // that nobody else takes it at the same time. A structure without `release` is not read
        // again, as the interface demands.
        let stream = unsafe { ptr::read(pointer.as_ptr()) };
        if stream.release.is_none() {
            return Ok(None);
        }
        // SAFETY: as above.
        unsafe { (*pointer.as_ptr()).release = None };
        Ok(Some(Self(Box::new(stream))))
    }

    pub(super) fn schema(&mut self) -> Result<Schema, String> {
        let mut schema = Schema(Box::new(RawSchema {
            format: ptr::null(),
            name: ptr::null(),
            metadata: ptr::null(),
            flags: 0,
            n_children: 0,
            children: ptr::null_mut(),
            dictionary: ptr::null_mut(),
            release: None,
            private_data: ptr::null_mut(),
        }));
        let Some(get_schema) = self.0.get_schema else { return Err("it has no schema".into()) };
        // SAFETY: the stream is not released, and the schema is there to be written to.
        match unsafe { get_schema(&mut *self.0, &mut *schema.0) } {
            0 => Ok(schema),
            _ => Err(self.last_error()),
        }
    }

    /// The next batch. `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Batch>, String> {
        let mut batch = Batch(Box::new(RawArray {
            length: 0,
            null_count: 0,
            offset: 0,
            n_buffers: 0,
            n_children: 0,
            buffers: ptr::null_mut(),
            children: ptr::null_mut(),
            dictionary: ptr::null_mut(),
            release: None,
            private_data: ptr::null_mut(),
        }));
        let Some(get_next) = self.0.get_next else { return Ok(None) };
        // SAFETY: the stream is not released, and the array is there to be written to.
        match unsafe { get_next(&mut *self.0, &mut *batch.0) } {
            0 => Ok(batch.0.release.is_some().then_some(batch)),
            _ => Err(self.last_error()),
        }
    }

    fn last_error(&mut self) -> String {
        // SAFETY: the stream is not released.
        let error = self.0.get_last_error.map(|get| unsafe { get(&mut *self.0) });
        // SAFETY: the text is valid until the next call of the stream.
        error.and_then(|error| unsafe { text(error) }).unwrap_or("it failed").to_owned()
    }
}

impl Schema {
    pub(super) fn root(&self) -> Type<'_> {
        Type(&self.0)
    }
}

/// The type of a column, or of the batches.
#[derive(Clone, Copy)]
pub(super) struct Type<'a>(&'a RawSchema);

impl<'a> Type<'a> {
    pub(super) fn format(self) -> &'a str {
        // SAFETY: the schema is not released, and so its texts are valid.
        unsafe { text(self.0.format) }.unwrap_or_default()
    }

    pub(super) fn name(self) -> &'a str {
        // SAFETY: as in `format`.
        unsafe { text(self.0.name) }.unwrap_or_default()
    }

    pub(super) fn children(self) -> impl Iterator<Item = Type<'a>> {
        let count = usize::try_from(self.0.n_children).unwrap_or(0);
        // SAFETY: a schema has as many valid children as it says.
        (0..count).map(move |at| Type(unsafe { &**self.0.children.add(at) }))
    }

    /// The type of the values, if the column has indices into a dictionary.
    pub(super) fn dictionary(self) -> Option<Type<'a>> {
        // SAFETY: the dictionary is null or valid.
        unsafe { self.0.dictionary.as_ref() }.map(Type)
    }
}

impl Batch {
    pub(super) fn root(&self) -> Array<'_> {
        Array(&self.0)
    }
}

/// The data of a column, or of a batch.
#[derive(Clone, Copy)]
pub(super) struct Array<'a>(&'a RawArray);

impl<'a> Array<'a> {
    pub(super) fn length(self) -> usize {
        usize::try_from(self.0.length).unwrap_or(0)
    }

    /// The place of the first row.
    pub(super) fn offset(self) -> usize {
        usize::try_from(self.0.offset).unwrap_or(0)
    }

    pub(super) fn child(self, at: usize) -> Option<Array<'a>> {
        let count = usize::try_from(self.0.n_children).unwrap_or(0);
        // SAFETY: an array has as many valid children as it says.
        (at < count).then(|| Array(unsafe { &**self.0.children.add(at) }))
    }

    pub(super) fn dictionary(self) -> Option<Array<'a>> {
        // SAFETY: the dictionary is null or valid.
        unsafe { self.0.dictionary.as_ref() }.map(Array)
    }

    pub(super) fn buffers(self) -> usize {
        usize::try_from(self.0.n_buffers).unwrap_or(0)
    }

    /// A buffer of `bytes` bytes, which must be what the column's type and length demand. Empty if
    /// there is none, as where no row is null.
    pub(super) fn buffer(self, at: usize, bytes: usize) -> &'a [u8] {
        if at >= self.buffers() {
            return &[];
        }
        // SAFETY: an array has as many buffers as it says.
        let pointer = unsafe { *self.0.buffers.add(at) }.cast::<u8>();
        if pointer.is_null() {
            return &[];
        }
        // SAFETY: the interface demands the length that the caller computes. The array is not
        // released while it is borrowed.
        unsafe { std::slice::from_raw_parts(pointer, bytes) }
    }
}

/// # Safety
///
/// The pointer is null or that of a text.
unsafe fn text<'a>(pointer: *const c_char) -> Option<&'a str> {
    // SAFETY: the caller vouches for it.
    (!pointer.is_null()).then(|| unsafe { CStr::from_ptr(pointer) }.to_str().ok()).flatten()
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(release) = self.0.release {
            // SAFETY: it is released once, here.
            unsafe { release(&mut *self.0) };
        }
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        if let Some(release) = self.0.release {
            // SAFETY: it is released once, here.
            unsafe { release(&mut *self.0) };
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        if let Some(release) = self.0.release {
            // SAFETY: it is released once, here.
            unsafe { release(&mut *self.0) };
        }
    }
}
