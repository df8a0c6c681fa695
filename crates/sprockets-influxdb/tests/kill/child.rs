//! A victim, as who kills it sees it.

use std::io::Read;
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::figures::Figures;
use super::victim::{Mark, Plan, Then};

pub(crate) struct Victim {
    process: Child,
    marks: Receiver<Mark>,
    /// What else it says: nothing, if all is well.
    said: JoinHandle<String>,
    forks: bool,
}

impl Victim {
    pub(crate) fn start(plan: &Plan) -> Self {
        let mut process = plan.command().spawn().expect("a process");
        let mut output = process.stderr.take().expect("its standard error");
        let (marked, marks) = channel();
        let said = thread::spawn(move || {
            let mut said = Vec::new();
            let mut piece = [0; 4096];
            // It ends when every process that has it does.
            while let Ok(read @ 1..) = output.read(&mut piece) {
                for byte in &piece[..read] {
                    match Mark::of(*byte) {
                        // Nobody may listen any more.
                        Some(mark) => drop(marked.send(mark)),
                        None => said.push(*byte),
                    }
                }
            }
            String::from_utf8_lossy(&said).into_owned()
        });
        Self { process, marks, said, forks: plan.then == Then::Fork }
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Waits until it tells that. Returns whether it did in time.
    pub(crate) fn awaits(&self, wanted: Mark, timeout: Duration) -> bool {
        let until = Instant::now() + timeout;
        loop {
            match self.marks.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(mark) if mark == wanted => return true,
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return false,
            }
        }
    }

    /// Notes what it has of the machine, where that can be told.
    pub(crate) fn measure(&self, figures: &mut Figures) {
        let directory = format!("/proc/{}", self.id());
        let status = std::fs::read_to_string(format!("{directory}/status")).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.parse().ok());
        figures.peak_memory = figures.peak_memory.max(peak.unwrap_or(0));
        let files = std::fs::read_dir(format!("{directory}/fd")).map_or(0, Iterator::count) as u64;
        figures.most_files = figures.most_files.max(files);
    }

    /// SIGKILL, for its child as well.
    pub(crate) fn kill(&mut self) {
        if self.forks {
            let group = format!("kill -KILL -{}", self.id());
            let killed = Command::new("sh").args(["-c", &group]).status();
            assert!(killed.expect("a shell").success(), "{group}");
        }
        self.process.kill().expect("killed");
    }

    /// Waits until it is no more, nor is its child. Returns what it said.
    pub(crate) fn bury(mut self) -> String {
        drop(self.process.stdin.take());
        self.process.wait().expect("its end");
        self.said.join().expect("its words")
    }
}
