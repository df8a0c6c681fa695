//! The processes that publish: this test binary, started again. Each adds numbered measurements and
//! notes each in a journal once it is added.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use sprockets_influxdb::{Client, Config, Measurement, Overflow};
use test_support::process::{Process, remove_settings};

pub(crate) const DATABASE: &str = "fleet";
const VARIABLE: &str = "FLEET_PLAN";
const LONG: Duration = Duration::from_secs(600);

/// What a process does.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Unique among all processes.
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) directory: PathBuf,
    pub(crate) adds: u32,
    /// Microseconds between two measurements.
    pub(crate) pause: u64,
    pub(crate) has_spool: bool,
}

impl Plan {
    pub(crate) fn start(&self) -> Process {
        let directory = self.directory.to_str().expect("UTF-8");
        let numbers = [u64::from(self.adds), self.pause, u64::from(self.has_spool)];
        let texts = [&self.name, &self.url, directory].map(str::to_owned);
        let plan: Vec<_> = texts.into_iter().chain(numbers.map(|n| n.to_string())).collect();
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        remove_settings(&mut command)
            .args(["publisher::publishes", "--exact", "--ignored", "--nocapture"])
            .env(VARIABLE, plan.join("\n"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit());
        Process::start(&mut command).expect("a process")
    }

    fn of_this_process() -> Option<Self> {
        let plan = std::env::var(VARIABLE).ok()?;
        let mut texts = plan.split('\n').map(str::to_owned);
        let mut text = || texts.next().expect("a whole plan");
        let (name, url, directory) = (text(), text(), text().into());
        let mut number = || text().parse::<u64>().expect("a number");
        let (adds, pause) = (number() as u32, number());
        Some(Self { name, url, directory, adds, pause, has_spool: number() == 1 })
    }

    fn config(&self) -> Config {
        let config = Config::new()
            .url(&self.url)
            .tag_hostname(false)
            .trigger_size(500)
            .max_batch_size(500)
            .submission_interval(Duration::from_millis(200))
            .timeout(Duration::from_secs(5))
            .overflow(Overflow::Block)
            .block_timeout(LONG);
        if self.has_spool { config.spool(self.directory.join("spool")) } else { config }
    }

    fn run(&self) {
        let client = Client::new(self.config()).expect("a client");
        let journal = self.directory.join("journals").join(&self.name);
        let mut journal =
            OpenOptions::new().append(true).create_new(true).open(journal).expect("a journal");
        for number in 0..self.adds {
            let measurement = Measurement::new(DATABASE, "job").tag("process", &self.name);
            let measurement = measurement.field("number", i64::from(number));
            client.add_measurement(&measurement).expect("accepted");
            journal.write_all(&[0]).expect("a journal");
            if self.pause > 0 {
                std::thread::sleep(Duration::from_micros(self.pause));
            }
        }
        // What earlier processes left belongs to the one that adds nothing.
        if self.adds == 0 {
            assert!(client.recover(LONG), "the spool is taken over");
        }
        while client.stats().pending > 0 {
            client.flush(Duration::from_secs(1));
        }
        let stats = client.stats();
        assert!(stats.is_balanced(), "{stats:?}");
        assert_eq!(stats.delivered, stats.added, "{stats:?}");
        client.shutdown(LONG);
    }
}

/// How many measurements each process noted.
pub(crate) fn journals(directory: &Path) -> Vec<(String, u64)> {
    let files = std::fs::read_dir(directory.join("journals")).expect("journals");
    let length = |file: std::io::Result<std::fs::DirEntry>| {
        let file = file.expect("a journal");
        let length = file.metadata().expect("a journal").len();
        (file.file_name().to_string_lossy().into_owned(), length)
    };
    files.map(length).collect()
}

/// Not a test: the program of the processes.
#[test]
#[ignore = "started by the fleet"]
fn publishes() {
    let Some(plan) = Plan::of_this_process() else { return };
    // Ends when the harness does.
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(3);
    });
    plan.run();
    // Not by the test framework, which would report.
    std::process::exit(0);
}
