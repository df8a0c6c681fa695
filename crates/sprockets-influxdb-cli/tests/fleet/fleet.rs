//! All processes of a fleet, and what is in the database in the end.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use sprockets_influxdb::Config;
use sprockets_influxdb::internal::nats::{Cluster, request};
use test_support::influxd::Influxd;
use test_support::nats::NatsServers;
use test_support::process::{Process, remove_settings};
use test_support::{wait_until, wait_within};

use super::faults::Fault;
use super::proxy;
use super::publisher::{DATABASE, Plan, journals};
use super::record::Record;

const STREAM: &str = "FLEET";

/// How long a fault lasts.
const OUTAGE: Duration = Duration::from_secs(1);

/// How long everything may take to be stored after the last fault.
const DRAIN: Duration = Duration::from_secs(300);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) nodes: usize,
    pub(crate) publishers: usize,
    /// Measurements of each.
    pub(crate) adds: u32,
    /// Microseconds between two of them.
    pub(crate) pause: u64,
    pub(crate) forwarders: usize,
}

pub(crate) struct Fleet {
    size: Size,
    directory: tempfile::TempDir,
    servers: NatsServers,
    /// Of the proxies before the servers.
    url: String,
    record: Arc<Record>,
    influxd: Influxd,
    publishers: Vec<Publisher>,
    forwarders: Vec<Process>,
    started: usize,
    killed_forwarders: u64,
    random: fastrand::Rng,
}

struct Publisher {
    plan: Plan,
    process: Process,
    is_done: bool,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    /// Measurements that processes noted as accepted.
    pub(crate) accepted: u64,
    pub(crate) stored: u64,
    /// Accepted, and not stored.
    pub(crate) lost: u64,
    /// Stored more than once.
    pub(crate) twice: u64,
    pub(crate) publishers: usize,
    pub(crate) killed_forwarders: u64,
    /// Messages that forwarders took, those of killed ones left out.
    pub(crate) messages: u64,
    /// Of those, the ones that had been delivered before.
    pub(crate) redelivered: u64,
    /// Whether messages waited for forwarders to the end.
    pub(crate) waiting: bool,
    /// Messages that are acknowledged and still in the stream. A server that is killed may leave
    /// some.
    pub(crate) left: u64,
}

impl Fleet {
    /// `None` where nats-server or influxd cannot be started.
    pub(crate) fn start(size: Size) -> Option<Self> {
        let servers = NatsServers::start(size.nodes)?;
        let influxd = Influxd::start()?;
        influxd.create(DATABASE);
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(directory.path().join("journals")).expect("a directory");
        let record = Arc::new(Record::new());
        let proxy = |server| proxy::start(server, record.clone()).to_string();
        let url =
            format!("nats://{}", servers.addresses().map(proxy).collect::<Vec<_>>().join(","));
        let mut fleet = Self {
            size,
            directory,
            servers,
            url,
            record,
            influxd,
            publishers: Vec::new(),
            forwarders: Vec::new(),
            started: 0,
            killed_forwarders: 0,
            random: fastrand::Rng::new(),
        };
        let create = ["--create", "--until-empty", "--quiet", "--ack-wait", "5", "--max-gib", "1"];
        let status = fleet.forward(&create).wait();
        assert_eq!(status.code(), Some(0), "the stream is created");
        for _ in 0..size.forwarders {
            let forwarder = fleet.forward(&["--json"]);
            fleet.forwarders.push(forwarder);
        }
        for index in 0..size.publishers {
            // Every second has a spool, and may be killed.
            fleet.publish(size.adds, index % 2 == 0);
        }
        Some(fleet)
    }

    fn publish(&mut self, adds: u32, has_spool: bool) {
        let plan = Plan {
            name: format!("p{}", self.started),
            url: self.url.clone(),
            directory: self.directory.path().to_owned(),
            adds,
            pause: self.size.pause,
            has_spool,
        };
        self.started += 1;
        let process = plan.start();
        self.publishers.push(Publisher { plan, process, is_done: false });
    }

    fn forward(&self, arguments: &[&str]) -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sprockets-influxdb"));
        remove_settings(&mut command)
            .args(["forward", "--from", &self.url, "--stream", STREAM])
            .args(arguments)
            .env("INFLUXDB_URL", self.influxd.url())
            .env("INFLUXDB_TIMEOUT", "3000")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        Process::start(&mut command).expect("a forwarder")
    }

    /// Whether a publisher is not done.
    pub(crate) fn is_publishing(&mut self) -> bool {
        for publisher in &mut self.publishers {
            if let Some(status) = publisher.process.child().try_wait().expect("a child") {
                assert_eq!(status.code(), Some(0), "{:?}", publisher.plan);
                publisher.is_done = true;
            }
        }
        self.publishers.retain(|publisher| !publisher.is_done);
        !self.publishers.is_empty()
    }

    /// Makes a fault, and ends it.
    pub(crate) fn strike(&mut self, fault: Fault) {
        self.supervise();
        match fault {
            Fault::LeaderKilled => {
                let Some(leader) = self.leader() else { return };
                self.servers.crash(leader);
                std::thread::sleep(OUTAGE);
                self.servers.restart(leader);
            }
            Fault::QuorumLost => {
                let kept = self.random.usize(..self.servers.len());
                let others = (0..self.servers.len()).filter(|index| *index != kept);
                others.clone().for_each(|index| self.servers.crash(index));
                std::thread::sleep(3 * OUTAGE);
                others.for_each(|index| self.servers.restart(index));
            }
            Fault::InfluxdKilled => {
                self.influxd.crash();
                std::thread::sleep(OUTAGE);
                self.influxd.restart();
            }
            Fault::InfluxdFrozen => {
                self.influxd.freeze();
                std::thread::sleep(4 * OUTAGE);
                self.influxd.resume();
            }
            Fault::ForwarderKilled => {
                // It holds messages then.
                self.influxd.freeze();
                std::thread::sleep(OUTAGE);
                let index = self.random.usize(..self.forwarders.len());
                self.forwarders[index].kill();
                self.influxd.resume();
                self.killed_forwarders += 1;
                self.forwarders[index] = self.forward_when_connected();
            }
            Fault::PublisherKilled => {
                // It has something to lose by then.
                std::thread::sleep(OUTAGE);
                if !self.is_publishing() {
                    return;
                }
                let with_spool = |publisher: &Publisher| publisher.plan.has_spool;
                let Some(index) = self.publishers.iter().position(with_spool) else { return };
                let mut publisher = self.publishers.swap_remove(index);
                publisher.process.kill();
                let journals = journals(self.directory.path());
                let noted = journals.iter().find(|(name, _)| *name == publisher.plan.name);
                let noted = noted.map_or(0, |(_, noted)| *noted as u32);
                // The next one adds the rest, and recovers what this one left.
                self.publish((publisher.plan.adds - noted).max(1), true);
            }
        }
        std::thread::sleep(OUTAGE / 2);
    }

    /// A forwarder ends at once if it cannot connect, as a supervisor has to know.
    fn forward_when_connected(&self) -> Process {
        self.servers.await_jetstream();
        self.forward(&["--json"])
    }

    /// Starts forwarders again that found no leader of the stream when they started.
    fn supervise(&mut self) {
        for index in 0..self.forwarders.len() {
            let ended = self.forwarders[index].child().try_wait().expect("a child");
            if let Some(status) = ended {
                assert_eq!(status.code(), Some(2), "a forwarder ended");
                self.forwarders[index] = self.forward_when_connected();
            }
        }
    }

    /// The index of the server that leads the stream.
    fn leader(&self) -> Option<usize> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
        let cluster = Cluster::new(&Config::new().url(&self.servers.url())).ok()?;
        let info = runtime.block_on(async {
            let client = cluster.connect("fleet").await.ok()?;
            let verb = format!("STREAM.INFO.{STREAM}");
            request(&client, &verb, &Value::Null, Duration::from_secs(5)).await.ok()
        })?;
        self.servers.index(info["cluster"]["leader"].as_str()?)
    }

    /// Waits until everything is stored, ends the forwarders and compares. Returns also where lost
    /// measurements were last seen, and what each server has.
    pub(crate) fn finish(mut self) -> (Figures, String) {
        wait_within(DRAIN, "publishers end", || !self.is_publishing());
        // Killed processes left measurements in the spool.
        let drain = Plan {
            name: "drain".to_owned(),
            url: self.url.clone(),
            directory: self.directory.path().to_owned(),
            adds: 0,
            pause: 0,
            has_spool: true,
        };
        assert_eq!(drain.start().wait().code(), Some(0), "the spool is delivered");
        let deadline = Instant::now() + DRAIN;
        let mut status = self.status();
        while !nothing_waits(&status) && Instant::now() < deadline {
            std::thread::sleep(OUTAGE / 10);
            self.supervise();
            status = self.status();
        }
        let mut figures = Figures {
            publishers: self.started,
            killed_forwarders: self.killed_forwarders,
            waiting: !nothing_waits(&status),
            left: status["messages"].as_u64().unwrap_or_default(),
            ..Figures::default()
        };
        self.supervise();
        for forwarder in &mut self.forwarders {
            forwarder.signal("TERM");
        }
        for mut forwarder in std::mem::take(&mut self.forwarders) {
            assert_eq!(forwarder.wait().code(), Some(0), "a forwarder delivered everything");
            let totals: Value = serde_json::from_slice(&forwarder.output().stdout).expect("JSON");
            assert_eq!(totals["acknowledged"], totals["messages"], "{totals}");
            figures.messages += totals["messages"].as_u64().unwrap_or_default();
            figures.redelivered += totals["redelivered"].as_u64().unwrap_or_default();
        }
        let explanation = self.compare(&mut figures);
        (figures, format!("{explanation}{status}\n"))
    }

    fn status(&self) -> Value {
        let done = self.forward(&["--status", "--json"]).output();
        serde_json::from_slice(&done.stdout).unwrap_or_default()
    }

    fn compare(&self, figures: &mut Figures) -> String {
        let mut explanation = String::new();
        wait_until(|| self.influxd.count(DATABASE, "job", "number") > 0);
        for (process, noted) in journals(self.directory.path()) {
            let query = format!("SELECT number FROM job WHERE process = '{process}'");
            let result = self.influxd.query(DATABASE, &query);
            let rows = result["results"][0]["series"][0]["values"].as_array();
            let mut counts: BTreeMap<u64, u64> = BTreeMap::new();
            for row in rows.into_iter().flatten() {
                *counts.entry(row[1].as_u64().expect("a number")).or_default() += 1;
            }
            figures.accepted += noted;
            figures.stored += counts.values().sum::<u64>();
            figures.twice += counts.values().filter(|count| **count > 1).count() as u64;
            // A process may die between adding a measurement and noting it.
            let lost: Vec<_> = (0..noted).filter(|number| !counts.contains_key(number)).collect();
            assert!(counts.len() as u64 <= noted + 1, "{process}: stored, and never added");
            figures.lost += lost.len() as u64;
            if !lost.is_empty() {
                explanation += &self.record.explain(&process, &lost);
            }
        }
        for index in 0..self.servers.len() {
            let state = self.servers.stored(index, STREAM);
            explanation += &format!("server {index}: {state}\n");
        }
        explanation
    }
}

fn nothing_waits(status: &Value) -> bool {
    let consumer = &status["consumers"][0];
    consumer["waiting"] == 0 && consumer["taken"] == 0
}
