//! What the log says, and when. The log is that of the whole process, so each test looks for the
//! address of its own server.

mod first_batch;
mod losses;

use std::sync::OnceLock;

use test_support::log::Log;

fn log() -> &'static Log {
    static LOG: OnceLock<&Log> = OnceLock::new();
    LOG.get_or_init(Log::capture)
}
