//! What becomes of a connection after a request.

pub(crate) enum Next {
    Request,
    Close,
    Reset,
}

impl Next {
    pub(crate) fn after(keep_alive: bool) -> Self {
        if keep_alive { Next::Request } else { Next::Close }
    }
}
