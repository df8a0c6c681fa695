//! The figures of a run.

use std::collections::BTreeMap;
use std::fmt;

#[derive(Debug, Default)]
pub(crate) struct Figures {
    /// Processes killed, by phase.
    pub(crate) kills: BTreeMap<&'static str, u64>,
    /// Processes killed, by state of the server.
    pub(crate) servers: BTreeMap<&'static str, u64>,
    /// Other faults.
    pub(crate) faults: BTreeMap<&'static str, u64>,
    pub(crate) journalled: u64,
    pub(crate) lost: u64,
    pub(crate) twice: u64,
    pub(crate) invented: u64,
    /// Lines that were damaged on purpose and may be missing.
    pub(crate) damaged: u64,
    /// The most memory of a process, in KiB.
    pub(crate) peak_memory: u64,
    pub(crate) most_files: u64,
}

impl Figures {
    pub(crate) fn count(counts: &mut BTreeMap<&'static str, u64>, what: &'static str) {
        *counts.entry(what).or_default() += 1;
    }

    pub(crate) fn killed(&self) -> u64 {
        self.kills.values().sum()
    }

    pub(crate) fn assert_nothing_is_wrong(&self) {
        assert_eq!((self.lost, self.twice, self.invented), (0, 0, 0), "{self}");
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |counts: &BTreeMap<_, _>| {
            let all: Vec<_> =
                counts.iter().map(|(what, count)| format!("{count} {what}")).collect();
            all.join(", ")
        };
        writeln!(f, "killed      {}: {}", self.killed(), list(&self.kills))?;
        writeln!(f, "server      {}", list(&self.servers))?;
        writeln!(f, "also        {}", list(&self.faults))?;
        writeln!(f, "journalled  {}", self.journalled)?;
        writeln!(f, "lost        {}", self.lost)?;
        writeln!(f, "twice       {}", self.twice)?;
        writeln!(f, "invented    {}", self.invented)?;
        writeln!(f, "damaged     {} on purpose", self.damaged)?;
        write!(
            f,
            "at most     {:.1} MiB of memory, {} open files",
            self.peak_memory as f64 / 1024.0,
            self.most_files
        )
    }
}
