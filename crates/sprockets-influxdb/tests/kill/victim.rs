//! The process that is killed: this test's own program, started again. It adds, tells what it does, and ends when nobody
//! holds its standard input any more.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

use sprockets_influxdb::{Client, Config, Measurement};

use super::journal::Journal;

/// What a victim tells of itself, as one byte on its standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// It has added a measurement.
    Added = 1,
    /// It has found what others left.
    Recovered = 2,
    /// It shuts its client down.
    Ending = 3,
    /// It has done all that it was to do.
    Done = 4,
}

impl Mark {
    pub(crate) fn of(byte: u8) -> Option<Self> {
        [Self::Added, Self::Recovered, Self::Ending, Self::Done]
            .into_iter()
            .find(|mark| *mark as u8 == byte)
    }

    fn tell(self) {
        io::stderr().write_all(&[self as u8]).expect("somebody who listens");
    }
}

/// What a victim does.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Of all victims, its own.
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) spool: PathBuf,
    pub(crate) journal: PathBuf,
    /// The beginning of the databases' names.
    pub(crate) databases: String,
    pub(crate) threads: usize,
    /// How many measurements each thread adds.
    pub(crate) adds: u32,
    /// How many of them without a pause; 0 for all.
    pub(crate) burst: u32,
    /// Bytes of a string in each.
    pub(crate) padding: usize,
    pub(crate) trigger: usize,
    pub(crate) batch: usize,
    pub(crate) interval: u64,
    pub(crate) then: Then,
}

/// What it does when it has added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// Waits for its death.
    Wait,
    /// Shuts down without waiting for the server, and drops the client.
    End,
    /// Forks, and both add again.
    Fork,
    /// Waits until all that is in the spool is delivered, and shuts down; its books have to say so.
    Drain,
    /// As [`Drain`](Self::Drain), of its own measurements, wherever they wait.
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
        let words = [&self.name, &self.url, paths[0], paths[1], &self.databases].map(str::to_owned);
        let plan: Vec<_> = words.into_iter().chain(numbers.map(|n| n.to_string())).collect();
        command
            .args(["the_victim", "--exact", "--nocapture", "--ignored"])
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
        let mut words = plan.split('\n');
        let mut word = || words.next().expect("a whole plan").to_owned();
        let (name, url, spool, journal, databases) = (word(), word(), word(), word(), word());
        let mut number = || word().parse::<usize>().expect("a number");
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

    /// Adds as one thread of one process, the victim or its child. Half of the threads set their timestamps.
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
                Mark::Added.tell();
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

    /// Waits until all is delivered that is there, and holds the books against that.
    fn drain(&self, client: &Client) {
        let is_all = self.then == Then::Drain;
        let deadline = Instant::now() + LONG;
        loop {
            client.flush(Duration::from_millis(500));
            let stats = client.stats();
            let is_empty = stats.pending == 0 && (!is_all || slots(&self.spool) <= 1);
            if is_empty {
                break;
            }
            assert!(Instant::now() < deadline, "not drained: {stats:?}");
            thread::sleep(Duration::from_millis(1));
        }
        Mark::Ending.tell();
        client.shutdown(LONG);
        let stats = client.stats();
        assert!(stats.is_balanced(), "{stats:?}");
        let dropped: Vec<_> =
            stats.dropped.iter().filter(|(reason, _)| reason.as_str() != "damaged").collect();
        assert!(dropped.iter().all(|(_, count)| *count == 0), "{stats:?}");
        assert_eq!((stats.pending, stats.rejected), (0, 0), "{stats:?}");
        assert_eq!(stats.delivered + stats.dropped.total(), stats.added, "{stats:?}");
    }
}

/// How many processes have something in a spool.
pub(crate) fn slots(spool: &Path) -> usize {
    fs::read_dir(spool.join("slots")).map_or(0, Iterator::count)
}

/// The victim's `main`, if this process is one.
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
                    return Mark::Recovered.tell();
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
            Mark::Ending.tell();
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
    Mark::Done.tell();
    loop {
        thread::park();
    }
}

/// Whatever becomes of who started this process, it ends.
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
    // SAFETY: the child goes on with this thread alone; what it uses of the others' is the client, which is made for that.
    let process = unsafe { libc::fork() };
    assert!(process >= 0, "no fork: {}", io::Error::last_os_error());
    process == 0
}

#[cfg(not(unix))]
fn fork() -> bool {
    true
}
