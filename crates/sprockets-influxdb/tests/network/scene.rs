//! A client, a real influxd, the network between them, and a journal of what the client took: what influxd has to have in
//! the end, once.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sprockets_influxdb::{Client, Config, Measurement, SettingValue, Stats};

use super::proxy::{Fault, Proxy};
use super::server::Influxd;
use super::{SHORT, TIMEOUT};

pub(crate) struct Scene {
    pub(crate) client: Client,
    pub(crate) proxy: Proxy,
    pub(crate) influxd: Influxd,
    journal: Arc<Journal>,
    watch: Watch,
}

/// The measurements that were taken, by their numbers.
#[derive(Default)]
struct Journal {
    next: AtomicI64,
    taken: Mutex<Vec<i64>>,
}

/// What any thread adds with.
#[derive(Clone)]
pub(crate) struct Load {
    client: Client,
    journal: Arc<Journal>,
}

impl Load {
    pub(crate) fn add(&self, count: usize) {
        self.add_long(count, 8);
    }

    /// Adds measurements that take more than so many bytes each. They differ in nothing but their numbers and what the
    /// client stamps them with.
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

impl Scene {
    /// One with this configuration, where an influxd can be started.
    pub(crate) fn start(configure: impl FnOnce(Config) -> Config) -> Option<Self> {
        Influxd::start().map(|influxd| Self::with(influxd, configure))
    }

    pub(crate) fn with(influxd: Influxd, configure: impl FnOnce(Config) -> Config) -> Self {
        influxd.create("db");
        let proxy = Proxy::before(address(&influxd));
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

    /// Some requests succeed, so that there are connections that wait for more.
    pub(crate) fn warm_up(&self) {
        self.add(10);
        assert!(self.client.flush(super::LONG).is_complete(), "{:?}", self.client.stats());
    }

    /// A flush under a fault ends in its own time, not in the fault's: it returns here, and the fault lasts.
    #[track_caller]
    pub(crate) fn flush_in_vain(&self) {
        let report = self.client.flush(SHORT);
        assert!(report.pending > 0, "{report:?} {:?}", self.client.stats());
    }

    /// Waits until one more request has failed, with these words.
    #[track_caller]
    pub(crate) fn await_failure(&self, says: &str) {
        let batches = self.client.stats().batches;
        self.flush_until(|stats| {
            let error = stats.last_error.as_deref();
            stats.batches > batches && error.is_some_and(|error| error.contains(says))
        });
    }

    /// Flushes until the books are as they should be: a flush hurries what waits for better times.
    #[track_caller]
    pub(crate) fn flush_until(&self, settled: impl Fn(&Stats) -> bool) -> Stats {
        for _ in 0..2_000 {
            self.client.flush(SHORT);
            let stats = self.client.stats();
            if settled(&stats) {
                return stats;
            }
        }
        panic!("{:?}", self.client.stats());
    }

    /// While the network does that, every request fails with these words; then everything is there.
    #[track_caller]
    pub(crate) fn suffers(&self, fault: Fault, says: &str) {
        self.proxy.play(fault);
        self.add(100);
        self.flush_in_vain();
        self.await_failure(says);
        assert!(self.client.stats().pending >= 100, "{:?}", self.client.stats());
        self.recovers();
    }

    /// The fault is lifted, and what the client took is there, once.
    #[track_caller]
    pub(crate) fn recovers(&self) -> Stats {
        self.proxy.lift();
        let stats = self.flush_until(|stats| stats.pending == 0);
        let mut taken = self.journal.taken.lock().unwrap().clone();
        taken.sort_unstable();
        assert_eq!((stats.rejected, stats.dropped.total()), (0, 0), "{stats:?}");
        assert_eq!((stats.added, stats.delivered), (taken.len() as u64, stats.added), "{stats:?}");
        self.assert_stored(&taken);
        self.check_books();
        stats
    }

    /// The books balanced at every look so far.
    #[track_caller]
    pub(crate) fn check_books(&self) {
        assert!(!self.watch.thread.is_finished(), "the books did not balance: see above");
    }

    /// Compares what is stored with what should be.
    #[track_caller]
    fn assert_stored(&self, taken: &[i64]) {
        let stored = self.stored();
        let missing: Vec<_> = taken.iter().filter(|n| stored.binary_search(n).is_err()).collect();
        assert!(missing.is_empty(), "{} are missing: {missing:?}", missing.len());
        // As long as that, it has none twice, and none that nobody added.
        assert_eq!(stored.len(), taken.len(), "{:?}", self.client.stats());
    }

    /// The numbers that influxd has, in their order.
    pub(crate) fn stored(&self) -> Vec<i64> {
        let result = self.influxd.query("db", "SELECT n FROM m");
        let values = result["results"][0]["series"][0]["values"].as_array();
        let numbers = values.into_iter().flatten().map(|row| row[1].as_i64().expect("a number"));
        let mut numbers: Vec<i64> = numbers.collect();
        numbers.sort_unstable();
        numbers
    }
}

pub(crate) fn address(influxd: &Influxd) -> SocketAddr {
    influxd.url().trim_start_matches("http://").parse().expect("an address")
}

/// Looks at the books again and again: they balance, and the buffer holds no more than it may.
struct Watch {
    /// Closed when the test is over.
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
