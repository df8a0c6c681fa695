//! A process to kill, as the harness sees it.

use std::io::Read;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use test_support::process::{Process, signal};

use super::figures::Figures;
use super::program::{Event, Plan, Then};

pub(crate) struct ChildProcess {
    process: Process,
    events: Receiver<Event>,
    /// Reads the rest of its standard error, which is empty unless something is wrong.
    errors: JoinHandle<String>,
    forks: bool,
}

impl ChildProcess {
    pub(crate) fn start(plan: &Plan) -> Self {
        let mut process = Process::start(&mut plan.command()).expect("a process");
        let mut output = process.child().stderr.take().expect("its standard error");
        let (sender, events) = channel();
        let errors = thread::spawn(move || {
            let mut errors = Vec::new();
            let mut piece = [0; 4096];
            // Ends when no process has the other end of the pipe any more.
            while let Ok(read @ 1..) = output.read(&mut piece) {
                for byte in &piece[..read] {
                    match Event::of(*byte) {
                        // The receiver may be gone already.
                        Some(event) => drop(sender.send(event)),
                        None => errors.push(*byte),
                    }
                }
            }
            String::from_utf8_lossy(&errors).into_owned()
        });
        Self { process, events, errors, forks: plan.then == Then::Fork }
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Waits for an event. Returns whether it came in time.
    pub(crate) fn wait_for(&self, wanted: Event, timeout: Duration) -> bool {
        let until = Instant::now() + timeout;
        loop {
            match self.events.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(event) if event == wanted => return true,
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return false,
            }
        }
    }

    /// Records its memory and open files, where `/proc` shows them.
    pub(crate) fn measure(&self, figures: &mut Figures) {
        let directory = format!("/proc/{}", self.id());
        let status = std::fs::read_to_string(format!("{directory}/status")).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.parse().ok());
        figures.peak_memory = figures.peak_memory.max(peak.unwrap_or(0));
        let files = std::fs::read_dir(format!("{directory}/fd")).map_or(0, Iterator::count) as u64;
        figures.most_files = figures.most_files.max(files);
    }

    /// Sends SIGKILL to it and to its child.
    pub(crate) fn kill(&mut self) {
        if self.forks {
            signal(&format!("-{}", self.id()), "KILL");
        }
        self.process.child().kill().expect("killed");
    }

    /// Waits until it and its child have ended. Returns what it wrote to its standard error.
    pub(crate) fn finish(mut self) -> String {
        drop(self.process.child().stdin.take());
        self.process.wait();
        self.errors.join().expect("its standard error")
    }
}
