//! A client, a real influxd, a proxy between them, and a journal of the accepted measurements, each
//! of which influxd must have once in the end.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sprockets_influxdb::{Client, Config, Measurement, SettingValue, Stats};
use test_support::influxd::Influxd;
use test_support::{LONG, balanced};

use super::proxy::{Fault, Proxy};
use super::{SHORT, TIMEOUT};

pub(crate) struct Setup {
    pub(crate) client: Client,
    pub(crate) proxy: Proxy,
    pub(crate) influxd: Influxd,
    journal: Arc<Journal>,
    watch: Watch,
}

/// The numbers of the accepted measurements.
#[derive(Default)]
struct Journal {
    next: AtomicI64,
    taken: Mutex<Vec<i64>>,
}

/// Adds measurements from any thread.
#[derive(Clone)]
pub(crate) struct Load {
    client: Client,
    journal: Arc<Journal>,
}

impl Load {
    pub(crate) fn add(&self, count: usize) {
        self.add_long(count, 8);
    }

    /// Adds measurements of more than this many bytes each. They differ only in their numbers and
    /// in the timestamps that the client sets.
    pub(crate) fn add_long(&self, count: usize, bytes: usize) {
        let text = "x".repeat(bytes);
        for _ in 0..count {
            let n = self.journal.next.fetch_add(1, Ordering::Relaxed);
            let measurement = Measurement::new("db", "m").field("n", n).field("s", &*text);
            self.client.add_measurement(&measurement).unwrap();
            self.journal.taken.lock().unwrap().push(n);
        }
    }
}

impl Setup {
    /// `None` where no influxd can be started.
    pub(crate) fn start(configure: impl FnOnce(Config) -> Config) -> Option<Self> {
        Influxd::start().map(|influxd| Self::with(influxd, configure))
    }

    pub(crate) fn with(influxd: Influxd, configure: impl FnOnce(Config) -> Config) -> Self {
        influxd.create("db");
        let proxy = Proxy::before(influxd.address());
        let config = Config::new().url(&proxy.url()).tag_hostname(false);
        let config = config.timeout(TIMEOUT).shutdown_timeout(Duration::ZERO);
        let client = Client::new(configure(config)).unwrap();
        let watch = Watch::start(client.clone());
        Self { client, proxy, influxd, journal: Arc::default(), watch }
    }

    pub(crate) fn load(&self) -> Load {
        Load { client: self.client.clone(), journal: self.journal.clone() }
    }

    pub(crate) fn add(&self, count: usize) {
        self.load().add(count);
    }

    /// Lets some requests succeed, so that there are idle connections.
    pub(crate) fn warm_up(&self) {
        self.add(10);
        assert!(self.client.flush(LONG).is_complete(), "{:?}", self.client.stats());
    }

    /// A flush that cannot succeed returns at its own deadline while the fault lasts.
    #[track_caller]
    pub(crate) fn flush_without_success(&self) {
        let report = self.client.flush(SHORT);
        assert!(report.pending > 0, "{report:?} {:?}", self.client.stats());
    }

    /// Waits until one more request has failed with an error that contains this text.
    #[track_caller]
    pub(crate) fn wait_for_failure(&self, says: &str) {
        let batches = self.client.stats().batches;
        self.flush_until(|stats| {
            let error = stats.last_error.as_deref();
            stats.batches > batches && error.is_some_and(|error| error.contains(says))
        });
    }

    /// Flushes until the counters meet a condition. Each flush retries what waits for its backoff.
    #[track_caller]
    pub(crate) fn flush_until(&self, is_reached: impl Fn(&Stats) -> bool) -> Stats {
        for _ in 0..2_000 {
            self.client.flush(SHORT);
            let stats = balanced(&self.client);
            if is_reached(&stats) {
                return stats;
            }
        }
        panic!("{:?}", self.client.stats());
    }

    /// Injects a fault under which every request fails with this text, and ends it.
    #[track_caller]
    pub(crate) fn fail_and_recover(&self, fault: Fault, says: &str) {
        self.proxy.inject(fault);
        self.add(100);
        self.flush_without_success();
        self.wait_for_failure(says);
        assert!(self.client.stats().pending >= 100, "{:?}", self.client.stats());
        self.recover();
    }

    /// Ends the fault. Every accepted measurement is then stored once.
    #[track_caller]
    pub(crate) fn recover(&self) -> Stats {
        self.proxy.clear();
        let stats = self.flush_until(|stats| stats.pending == 0);
        let mut taken = self.journal.taken.lock().unwrap().clone();
        taken.sort_unstable();
        assert_eq!((stats.rejected, stats.dropped.total()), (0, 0), "{stats:?}");
        assert_eq!((stats.added, stats.delivered), (taken.len() as u64, stats.added), "{stats:?}");
        self.assert_stored(&taken);
        self.assert_balanced_so_far();
        stats
    }

    /// The counters have balanced all the time so far.
    #[track_caller]
    pub(crate) fn assert_balanced_so_far(&self) {
        assert!(!self.watch.thread.is_finished(), "the counters did not balance: see above");
    }

    /// Compares the stored numbers with the journal.
    #[track_caller]
    fn assert_stored(&self, taken: &[i64]) {
        let stored = self.stored();
        let missing: Vec<_> = taken.iter().filter(|n| stored.binary_search(n).is_err()).collect();
        assert!(missing.is_empty(), "{} are missing: {missing:?}", missing.len());
        // At that length it has none twice and none that nobody added.
        assert_eq!(stored.len(), taken.len(), "{:?}", self.client.stats());
    }

    /// The stored numbers, ascending.
    pub(crate) fn stored(&self) -> Vec<i64> {
        let result = self.influxd.query("db", "SELECT n FROM m");
        let values = result["results"][0]["series"][0]["values"].as_array();
        let numbers = values.into_iter().flatten().map(|row| row[1].as_i64().expect("a number"));
        let mut numbers: Vec<i64> = numbers.collect();
        numbers.sort_unstable();
        numbers
    }
}

/// Checks continually that the counters balance and that the buffer keeps its limit.
struct Watch {
    /// Closes when the test is over.
    _goes_on: Sender<()>,
    thread: JoinHandle<()>,
}

impl Watch {
    fn start(client: Client) -> Self {
        let settings = client.settings();
        let limit = settings.iter().find(|setting| setting.name() == "max_buffer_size").unwrap();
        let SettingValue::Integer(limit) = *limit.value() else { panic!("{limit:?}") };
        let (_goes_on, is_over) = channel::<()>();
        let thread = thread::spawn(move || {
            while is_over.recv_timeout(Duration::from_millis(1)) == Err(RecvTimeoutError::Timeout) {
                let stats = client.stats();
                assert!(stats.is_balanced() && stats.pending <= limit, "{stats:?}");
            }
        });
        Self { _goes_on, thread }
    }
}
