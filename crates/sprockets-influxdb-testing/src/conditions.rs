//! For which requests a fault is.

/// What is known of a request so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    /// The database that a write names; `None` for a request that is no write.
    pub(crate) database: Option<&'a str>,
    /// Bytes of the body on the wire, once they are known.
    pub(crate) length: Option<usize>,
    /// The unpacked body, once it is read.
    pub(crate) body: Option<&'a [u8]>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Conditions {
    pub(crate) database: Option<String>,
    pub(crate) text: Option<String>,
    pub(crate) exceeds: Option<usize>,
    pub(crate) every_request: bool,
}

impl Conditions {
    /// Whether a request fits as far as is known.
    pub(crate) fn may_fit(&self, target: Target<'_>) -> bool {
        let database_fits = match (&self.database, target.database) {
            (Some(wanted), Some(found)) => wanted == found,
            (Some(_), None) => false,
            (None, Some(_)) => true,
            (None, None) => self.every_request,
        };
        let text_fits = match (&self.text, target.body) {
            (Some(text), Some(body)) => String::from_utf8_lossy(body).contains(text.as_str()),
            _ => true,
        };
        let length_fits = match (self.exceeds, target.length) {
            (Some(bytes), Some(length)) => length > bytes,
            _ => true,
        };
        database_fits && text_fits && length_fits
    }

    /// Whether only the body tells if a request fits.
    pub(crate) fn need_body(&self, target: Target<'_>) -> bool {
        self.text.is_some() && target.body.is_none()
            || self.exceeds.is_some() && target.length.is_none()
    }
}
