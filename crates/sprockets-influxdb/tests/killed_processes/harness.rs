//! Server, proxy, spool and journals of a run, and the comparison at the end of each round.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use test_support::influxd::Influxd;

use super::figures::Figures;
use super::journal;
use super::process::ChildProcess;
use super::program::{DATABASES, Event, Plan, Then, slots};
use super::proxy::{Moment, Network, Proxy};

const LONG: Duration = Duration::from_secs(150);
/// How long to wait for a moment. If it does not come, the process is killed anyway.
const SOON: Duration = Duration::from_secs(1);

pub(crate) struct Harness {
    pub(crate) random: fastrand::Rng,
    pub(crate) figures: Figures,
    pub(crate) influxd: Influxd,
    pub(crate) proxy: Proxy,
    is_down: bool,
    directory: tempfile::TempDir,
    round: u32,
    children: u32,
    /// Numbers that may be missing, by writer.
    pub(crate) damaged: BTreeMap<String, Vec<u32>>,
}

/// When a process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Starting,
    Adding,
    Forked,
    Recovering,
    /// While the client shuts down.
    Ending,
    /// While files are sealed.
    Sealing,
    Sending,
    /// The points are stored, and the process does not know.
    Stored,
    /// It has the reply, and removes its files or is about to.
    Replied,
}

impl Phase {
    const ALL: [Self; 9] = [
        Self::Starting,
        Self::Adding,
        Self::Forked,
        Self::Recovering,
        Self::Ending,
        Self::Sealing,
        Self::Sending,
        Self::Stored,
        Self::Replied,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Adding => "adding",
            Self::Forked => "after a fork",
            Self::Recovering => "recovering",
            Self::Ending => "ending",
            Self::Sealing => "sealing",
            Self::Sending => "sending",
            Self::Stored => "before the reply",
            Self::Replied => "after the reply",
        }
    }

    /// The longest wait after the moment, in microseconds.
    fn slack(self) -> u64 {
        match self {
            Self::Starting => 15_000,
            Self::Adding | Self::Forked => 40_000,
            Self::Recovering => 8_000,
            Self::Ending => 3_000,
            Self::Sealing | Self::Sending | Self::Replied => 1_000,
            Self::Stored => 1,
        }
    }

    fn moment(self) -> Option<Moment> {
        match self {
            Self::Sending => Some(Moment::Request),
            Self::Stored => Some(Moment::Reply),
            Self::Replied => Some(Moment::Replied),
            _ => None,
        }
    }
}

impl Harness {
    /// `None` where there is no influxd.
    pub(crate) fn new(seed: u64) -> Option<Self> {
        let influxd = Influxd::start()?;
        Some(Self {
            random: fastrand::Rng::with_seed(seed),
            figures: Figures::default(),
            proxy: Proxy::before(influxd.address()),
            influxd,
            is_down: false,
            directory: tempfile::tempdir().expect("a directory"),
            round: 0,
            children: 0,
            damaged: BTreeMap::new(),
        })
    }

    pub(crate) fn spool(&self) -> PathBuf {
        self.directory.path().join("spool")
    }

    fn journal(&self) -> PathBuf {
        self.directory.path().join(format!("journal-{}", self.round))
    }

    fn databases(&self) -> String {
        format!("round{}-", self.round)
    }

    pub(crate) fn begin_round(&mut self) {
        self.round += 1;
        std::fs::create_dir(self.journal()).expect("a directory");
        for number in 0..DATABASES {
            self.influxd.create(&format!("{}{number}", self.databases()));
        }
    }

    pub(crate) fn plan(&mut self, then: Then) -> Plan {
        self.children += 1;
        let random = &mut self.random;
        Plan {
            name: format!("v{}", self.children),
            url: self.proxy.url(),
            spool: self.directory.path().join("spool"),
            journal: self.directory.path().join(format!("journal-{}", self.round)),
            databases: format!("round{}-", self.round),
            threads: random.usize(1..=4),
            adds: u32::MAX,
            burst: [1, 10, 30][random.usize(..3)],
            padding: 0,
            trigger: [10, 100, 1_000][random.usize(..3)],
            batch: [7, 50, 1_000, 10_000][random.usize(..4)],
            interval: random.u64(1..30),
            then,
        }
    }

    pub(crate) fn crash_server(&mut self) {
        if !self.is_down {
            self.influxd.crash();
            self.is_down = true;
            Figures::count(&mut self.figures.faults, "servers killed");
        }
    }

    pub(crate) fn restart_server(&mut self) {
        if std::mem::take(&mut self.is_down) {
            self.influxd.restart();
        }
    }

    /// Starts one or several processes, and kills them.
    pub(crate) fn kill_some(&mut self) {
        let (network, mut server) = match self.random.u32(..10) {
            0..=4 => (Network::Up, "up"),
            5 | 6 => (Network::Slow(Duration::from_millis(self.random.u64(1..30))), "slow"),
            7 => (Network::Cutting(4), "cut off at times"),
            _ => (Network::Down, "unreachable"),
        };
        if self.is_down {
            server = "killed";
        }
        let is_reachable = network != Network::Down && !self.is_down;
        let mut phase = Phase::ALL[self.random.usize(..Phase::ALL.len())];
        if phase.moment().is_some() && !is_reachable
            // It writes much, and the server needs long for that.
            || phase == Phase::Sealing && self.random.u32(..8) > 0
        {
            phase = Phase::Ending;
        }
        self.proxy.set(if phase == Phase::Sealing { Network::Down } else { network });
        let many = if self.random.u32(..5) == 0 { self.random.usize(2..=4) } else { 1 };
        let plans: Vec<_> = (0..many).map(|_| self.plan_for(phase)).collect();
        let trap = phase.moment().map(|moment| self.proxy.trap(moment));
        let mut children: Vec<_> = plans.iter().map(ChildProcess::start).collect();
        let first = &children[0];
        let mut hold = None;
        let has_come = match phase {
            Phase::Starting => true,
            Phase::Adding => first.wait_for(Event::Added, SOON),
            Phase::Forked => first.wait_for(Event::Added, SOON),
            // Nothing is recovered unless another process left something.
            Phase::Recovering => first.wait_for(Event::Recovered, SOON / 5),
            Phase::Ending => first.wait_for(Event::Ending, SOON),
            Phase::Sealing => self.wait_for_a_sealed_file(first),
            Phase::Sending | Phase::Stored | Phase::Replied => {
                hold = trap.and_then(|trap| trap.recv_timeout(SOON).ok());
                hold.is_some()
            }
        };
        self.proxy.disarm();
        if phase.moment().is_none() {
            children.iter().for_each(|child| child.measure(&mut self.figures));
        }
        let slack = if has_come { self.random.u64(..phase.slack()) } else { 0 };
        thread::sleep(Duration::from_micros(slack));
        children.iter_mut().for_each(ChildProcess::kill);
        drop(hold);
        for child in children {
            let errors = child.finish();
            assert_eq!(errors, "", "{phase:?}");
            let name = if has_come { phase.name() } else { "at a moment that did not come" };
            Figures::count(&mut self.figures.kills, name);
            Figures::count(&mut self.figures.servers, server);
        }
    }

    fn plan_for(&mut self, phase: Phase) -> Plan {
        let then = match phase {
            Phase::Ending => Then::End,
            Phase::Forked => Then::Fork,
            _ => Then::Wait,
        };
        let mut plan = self.plan(then);
        match phase {
            Phase::Forked => plan.adds = self.random.u32(1..60),
            Phase::Ending => plan.adds = self.random.u32(1..600),
            // More than stays in memory, so that files are sealed.
            Phase::Sealing => {
                (plan.threads, plan.adds, plan.burst, plan.padding) = (2, 6_000, 0, 2_000);
            }
            _ => {}
        }
        plan
    }

    /// Waits for a file that is sealed, or about to be.
    fn wait_for_a_sealed_file(&self, child: &ChildProcess) -> bool {
        let slots = self.spool().join("slots");
        let own = format!("{}-", child.id());
        for _ in 0..20_000 {
            let directories = std::fs::read_dir(&slots).into_iter().flatten().flatten();
            let own =
                directories.filter(|entry| entry.file_name().to_string_lossy().starts_with(&own));
            let mut files =
                own.filter_map(|entry| entry.path().read_dir().ok()).flatten().flatten();
            if files.any(|file| file.file_name().to_string_lossy().contains('-')) {
                return true;
            }
            thread::sleep(Duration::from_micros(100));
        }
        false
    }

    /// Lets one more process deliver the rest, and compares the database with the journals.
    pub(crate) fn end_round(&mut self) {
        self.restart_server();
        self.proxy.set(Network::Up);
        let mut plan = self.plan(Then::Drain);
        (plan.threads, plan.adds) = (1, 1);
        self.run_to_its_end(&plan);
        assert_eq!(slots(&self.spool()), 0, "the spool is not empty");
        self.compare();
    }

    /// Runs a process to its end, at which it checks its counters.
    pub(crate) fn run_to_its_end(&mut self, plan: &Plan) {
        let child = ChildProcess::start(plan);
        self.finish(child);
    }

    pub(crate) fn finish(&mut self, child: ChildProcess) {
        let is_done = child.wait_for(Event::Done, LONG);
        child.measure(&mut self.figures);
        let errors = child.finish();
        assert!(is_done && errors.is_empty(), "{errors}\n{}", self.figures);
    }

    fn compare(&mut self) {
        let mut stored = BTreeMap::<String, Vec<u32>>::new();
        for number in 0..DATABASES {
            let database = format!("{}{number}", self.databases());
            let result = self.influxd.query(&database, "SELECT number FROM m GROUP BY writer");
            for series in result["results"][0]["series"].as_array().into_iter().flatten() {
                let writer = series["tags"]["writer"].as_str().expect("a writer").to_owned();
                let numbers = series["values"].as_array().expect("values").iter();
                let numbers = numbers.map(|row| row[1].as_u64().expect("a number") as u32);
                stored.entry(writer).or_default().extend(numbers);
            }
            self.influxd.query("", &format!("DROP DATABASE \"{database}\""));
        }
        let damaged = std::mem::take(&mut self.damaged);
        let journals = journal::read(&self.journal());
        let mut wrong = Vec::new();
        for (writer, noted) in &journals {
            let mut numbers = stored.remove(writer).unwrap_or_default();
            numbers.sort_unstable();
            let all = numbers.len();
            numbers.dedup();
            let may_miss = damaged.get(writer).map_or(&[][..], Vec::as_slice);
            let is_missing =
                |number: &u32| numbers.binary_search(number).is_err() && !may_miss.contains(number);
            let missing: Vec<_> = (0..*noted).filter(is_missing).collect();
            // The process may die between an addition and its journal entry.
            let invented = numbers.iter().filter(|number| *number > noted).count();
            self.figures.journalled += u64::from(*noted);
            self.figures.lost += missing.len() as u64;
            self.figures.twice += (all - numbers.len()) as u64;
            self.figures.invented += invented as u64;
            if !missing.is_empty() || all > numbers.len() || invented > 0 {
                let (twice, missing) = (all - numbers.len(), &missing[..missing.len().min(20)]);
                wrong.push(format!(
                    "{writer}: {noted} noted, {all} stored, {twice} of them twice, \
                     {invented} invented, missing {missing:?}"
                ));
            }
        }
        self.figures.invented += stored.values().map(|numbers| numbers.len() as u64).sum::<u64>();
        assert!(wrong.is_empty() && stored.is_empty(), "{wrong:#?} {stored:?}\n{}", self.figures);
        std::fs::remove_dir_all(self.journal()).expect("removed");
    }
}
