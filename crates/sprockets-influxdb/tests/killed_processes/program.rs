//! The program of the processes that are killed: this test binary, started again. It adds
//! measurements, reports events, and ends when its standard input closes.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

use sprockets_influxdb::{Client, Config, Measurement};

use super::journal::Journal;

/// What a process reports, as one byte on its standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// It has added a measurement.
    Added = 1,
    /// It has recovered files of a dead process.
    Recovered = 2,
    /// It is about to shut its client down.
    Ending = 3,
    /// It has finished.
    Done = 4,
}

impl Event {
    pub(crate) fn of(byte: u8) -> Option<Self> {
        [Self::Added, Self::Recovered, Self::Ending, Self::Done]
            .into_iter()
            .find(|event| *event as u8 == byte)
    }

    fn report(self) {
        io::stderr().write_all(&[self as u8]).expect("the harness");
    }
}

/// What a process does.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Unique among all processes.
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) spool: PathBuf,
    pub(crate) journal: PathBuf,
    /// The prefix of the databases' names.
    pub(crate) databases: String,
    pub(crate) threads: usize,
    /// Measurements of each thread.
    pub(crate) adds: u32,
    /// Measurements between two pauses; 0 means no pause.
    pub(crate) burst: u32,
    /// Length of a string in each measurement.
    pub(crate) padding: usize,
    pub(crate) trigger: usize,
    pub(crate) batch: usize,
    pub(crate) interval: u64,
    pub(crate) then: Then,
}

/// What a process does after it has added its measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// Waits to be killed.
    Wait,
    /// Shuts down without waiting for the server, and drops the client.
    End,
    /// Forks; parent and child add again.
    Fork,
    /// Waits until the whole spool is delivered, shuts down and checks its counters.
    Drain,
    /// Like [`Drain`](Self::Drain), for its own measurements only.
    Deliver,
}

pub(crate) const DATABASES: usize = 3;
const LONG: Duration = Duration::from_secs(120);
const VARIABLE: &str = "KILL_PLAN";

impl Plan {
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env::current_exe().expect("this program"));
        let paths = [&self.spool, &self.journal].map(|path| path.to_str().expect("UTF-8"));
        let numbers = [
            self.threads,
            self.adds as usize,
            self.burst as usize,
            self.padding,
            self.trigger,
            self.batch,
            self.interval as usize,
            self.then as usize,
        ];
        let texts = [&self.name, &self.url, paths[0], paths[1], &self.databases].map(str::to_owned);
        let plan: Vec<_> = texts.into_iter().chain(numbers.map(|n| n.to_string())).collect();
        command
            .args(["killed_program", "--exact", "--nocapture", "--ignored"])
            .env(VARIABLE, plan.join("\n"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command
    }

    fn of_this_process() -> Option<Self> {
        let plan = env::var(VARIABLE).ok()?;
        let mut texts = plan.split('\n');
        let mut text = || texts.next().expect("a whole plan").to_owned();
        let (name, url, spool, journal, databases) = (text(), text(), text(), text(), text());
        let mut number = || text().parse::<usize>().expect("a number");
        Some(Self {
            name,
            url,
            spool: spool.into(),
            journal: journal.into(),
            databases,
            threads: number(),
            adds: number() as u32,
            burst: number() as u32,
            padding: number(),
            trigger: number(),
            batch: number(),
            interval: number() as u64,
            then: [Then::Wait, Then::End, Then::Fork, Then::Drain, Then::Deliver][number()],
        })
    }

    fn client(&self) -> Client {
        let config = Config::new()
            .url(&self.url)
            .trigger_size(self.trigger)
            .max_batch_size(self.batch)
            .submission_interval(Duration::from_millis(self.interval))
            .tag_hostname(false)
            .spool(&self.spool);
        Client::new(config).expect("a client")
    }

    /// Adds measurements as one thread of one process. Every second thread sets timestamps.
    fn add(&self, client: &Client, process: usize, thread: usize, has_added: &AtomicBool) {
        let writer = format!("{}.{process}.{thread}", self.name);
        let mut journal = Journal::create(&self.journal, &writer).expect("a journal");
        let padding = "x".repeat(self.padding);
        for number in 0..self.adds {
            let database = format!("{}{}", self.databases, (number as usize + thread) % DATABASES);
            let mut measurement = Measurement::new(&database, "m")
                .tag("writer", &writer)
                .field("number", i64::from(number));
            if self.padding > 0 {
                measurement.set_field("padding", &*padding);
            }
            if thread % 2 == 1 {
                measurement.set_timestamp(1_700_000_000_000_000_000 + i64::from(number));
            }
            client.add_measurement(&measurement).expect("a good measurement");
            journal.note(number).expect("a journal");
            if number == 0 && !has_added.swap(true, Ordering::Relaxed) {
                Event::Added.report();
            }
            if self.burst > 0 && (number + 1) % self.burst == 0 {
                thread::sleep(Duration::from_millis(1));
            }
        }
    }

    fn add_in_threads(&self, client: &Client, process: usize) {
        let has_added = AtomicBool::new(process > 0);
        let start = Barrier::new(self.threads);
        thread::scope(|scope| {
            for thread in 0..self.threads {
                let (start, has_added) = (&start, &has_added);
                scope.spawn(move || {
                    start.wait();
                    self.add(client, process, thread, has_added);
                });
            }
        });
    }

    /// Waits until everything is delivered, and checks the counters.
    fn drain(&self, client: &Client) {
        let is_all = self.then == Then::Drain;
        let deadline = Instant::now() + LONG;
        loop {
            client.flush(Duration::from_millis(500));
            // What is taken over is counted a moment after its slot is removed.
            let is_taken_over =
                !is_all || (slots(&self.spool) <= 1 && client.recover(Duration::from_millis(500)));
            let stats = client.stats();
            if is_taken_over && stats.pending == 0 {
                break;
            }
            assert!(Instant::now() < deadline, "not drained: {stats:?}");
            thread::sleep(Duration::from_millis(1));
        }
        Event::Ending.report();
        client.shutdown(LONG);
        let stats = client.stats();
        assert!(stats.is_balanced(), "{stats:?}");
        let dropped: Vec<_> =
            stats.dropped.iter().filter(|(reason, _)| reason.as_str() != "damaged").collect();
        assert!(dropped.iter().all(|(_, count)| *count == 0), "{stats:?}");
        // What other processes leave may be taken over at any moment, until the end.
        let may_wait = if is_all { 0 } else { stats.spooled };
        assert_eq!((stats.pending, stats.rejected), (may_wait, 0), "{stats:?}");
        let decided = stats.delivered + stats.dropped.total();
        assert_eq!(decided + may_wait, stats.added, "{stats:?}");
    }
}

/// The number of processes that have files in a spool.
pub(crate) fn slots(spool: &Path) -> usize {
    fs::read_dir(spool.join("slots")).map_or(0, Iterator::count)
}

/// Runs the plan in the environment, if there is one.
pub(crate) fn run() {
    let Some(plan) = Plan::of_this_process() else { return };
    end_with_input();
    let client = plan.client();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let (client, is_over) = (&client, &is_over);
        scope.spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                if client.stats().recovered > 0 {
                    return Event::Recovered.report();
                }
                thread::sleep(Duration::from_micros(200));
            }
        });
        plan.add_in_threads(client, 0);
        is_over.store(true, Ordering::Relaxed);
    });
    match plan.then {
        Then::Wait => {}
        Then::End => {
            Event::Ending.report();
            client.shutdown(Duration::ZERO);
            drop(client);
        }
        Then::Fork => {
            let is_child = fork();
            end_with_input();
            plan.add_in_threads(&client, if is_child { 1 } else { 2 });
        }
        Then::Drain | Then::Deliver => {
            plan.drain(&client);
            drop(client);
        }
    }
    Event::Done.report();
    loop {
        thread::park();
    }
}

/// Ends this process when the harness does.
fn end_with_input() {
    thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        process::exit(0);
    });
}

/// Returns whether this is the child.
#[cfg(unix)]
#[allow(unsafe_code)]
fn fork() -> bool {
    // SAFETY: the child continues with this thread alone, and uses nothing of the other threads but
    // the client, which supports that.
    let process = unsafe { libc::fork() };
    assert!(process >= 0, "no fork: {}", io::Error::last_os_error());
    process == 0
}

#[cfg(not(unix))]
fn fork() -> bool {
    true
}
