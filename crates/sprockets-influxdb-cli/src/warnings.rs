//! The core logs warnings about configurations that work but are unusual. This collects them.

use std::sync::{Arc, Mutex, PoisonError};

use sprockets_influxdb::internal::LogSubscriber;
use tracing::Level;

/// Calls `function`, and returns its result with the warnings that it logged.
pub(crate) fn collect<T>(function: impl FnOnce() -> T) -> (T, Vec<String>) {
    let warnings = Arc::new(Mutex::new(Vec::new()));
    let collected = warnings.clone();
    let subscriber = LogSubscriber(move |level, message| {
        if level <= Level::WARN {
            collected.lock().unwrap_or_else(PoisonError::into_inner).push(message);
        }
    });
    let result = tracing::subscriber::with_default(subscriber, function);
    let mut warnings = warnings.lock().unwrap_or_else(PoisonError::into_inner);
    (result, std::mem::take(&mut *warnings))
}
