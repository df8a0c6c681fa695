//! The client of the process, for the functions that make it, add to it and flush it.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use sprockets_influxdb::Client;

pub(crate) static CLIENT: ArcSwapOption<Client> = ArcSwapOption::const_empty();

/// The client, if there is one.
pub(crate) fn current() -> Option<Arc<Client>> {
    CLIENT.load_full()
}
