//! What happened to each message of a fleet, as seen between the processes and the servers.

use std::collections::{BTreeSet, HashMap};
use std::fmt::{self, Write};
use std::ops::RangeInclusive;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Lost messages that are explained.
const MAX_EXPLAINED: usize = 10;

pub(crate) struct Record {
    started: Instant,
    events: Mutex<Vec<(Duration, Event)>>,
}

enum Event {
    /// A process sent lines, and expects a reply at this inbox.
    Published {
        inbox: String,
        lines: Lines,
    },
    Replied {
        inbox: String,
        text: String,
    },
    /// A forwarder got lines, and acknowledges them at this subject.
    Delivered {
        place: String,
        lines: Lines,
    },
    /// A forwarder replied to a delivery, other than that it is in progress.
    Decided {
        place: String,
        text: String,
    },
}

/// Numbers of measurements, by process.
#[derive(Default)]
struct Lines(Vec<(String, RangeInclusive<u64>)>);

impl Record {
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), events: Mutex::default() }
    }

    /// A client sent this.
    pub(crate) fn note_sent(&self, words: &[&str], content: &[u8]) {
        let (subject, reply) = match words {
            ["PUB", subject, reply, _] | ["HPUB", subject, reply, _, _] => (*subject, *reply),
            ["PUB", subject, _] => (*subject, ""),
            _ => return,
        };
        if subject.starts_with("influxdb.") {
            let lines = Lines::of(content);
            self.note(Event::Published { inbox: reply.to_owned(), lines });
        } else if subject.starts_with("$JS.ACK.") && content != b"+WPI\r\n" {
            self.note(Event::Decided { place: subject.to_owned(), text: text(content) });
        }
    }

    /// A client received this.
    pub(crate) fn note_received(&self, words: &[&str], content: &[u8]) {
        match words {
            ["MSG" | "HMSG", _, _, place, ..] if place.starts_with("$JS.ACK.") => {
                let lines = Lines::of(content);
                self.note(Event::Delivered { place: (*place).to_owned(), lines });
            }
            ["MSG" | "HMSG", inbox, ..] if content.len() < 1_000 => {
                self.note(Event::Replied { inbox: (*inbox).to_owned(), text: text(content) });
            }
            _ => {}
        }
    }

    fn note(&self, event: Event) {
        self.events.lock().unwrap().push((self.started.elapsed(), event));
    }

    /// Where the measurements of a process that are not in the database were last seen.
    pub(crate) fn explain(&self, process: &str, lost: &[u64]) -> String {
        let events = self.events.lock().unwrap();
        let mut replies: HashMap<&str, (Duration, &str)> = HashMap::new();
        for (at, event) in events.iter() {
            if let Event::Replied { inbox: to, text } | Event::Decided { place: to, text } = event {
                replies.insert(to, (*at, text));
            }
        }
        let reply = |to: &str| match replies.get(to) {
            Some((at, text)) => format!("{} s: {text}", at.as_secs_f64()),
            None => "none".to_owned(),
        };
        let mut out = format!("{process}: {} lost\n", lost.len());
        let (mut explained, mut messages) = (BTreeSet::new(), 0);
        for number in lost {
            if messages == MAX_EXPLAINED || !explained.insert(*number) {
                continue;
            }
            messages += 1;
            let mut sequences = BTreeSet::new();
            let _ = writeln!(out, "  {process} {number}");
            for (at, event) in events.iter() {
                let at = at.as_secs_f64();
                match event {
                    Event::Published { inbox, lines } if lines.contains(process, *number) => {
                        let reply = reply(inbox);
                        sequences.extend(stored_as(&reply));
                        let _ = writeln!(out, "    {at} s published {lines}; reply {reply}");
                        explained.extend(lines.numbers(process));
                    }
                    Event::Delivered { place, lines } if lines.contains(process, *number) => {
                        let reply = reply(place);
                        let _ = writeln!(out, "    {at} s delivered as {place}; reply {reply}");
                        explained.extend(lines.numbers(process));
                    }
                    _ => {}
                }
            }
            for (at, event) in events.iter() {
                let at = at.as_secs_f64();
                let Event::Delivered { place, lines } = event else { continue };
                let is_there = sequence(place).is_some_and(|number| sequences.contains(&number));
                if is_there && !lines.contains(process, *number) {
                    let reply = reply(place);
                    let _ = writeln!(
                        out,
                        "    {at} s, the same sequence: {lines} delivered as {place}; reply {reply}"
                    );
                }
            }
        }
        out
    }
}

/// The sequence in a reply to a publisher.
fn stored_as(reply: &str) -> Option<u64> {
    let (_, rest) = reply.split_once("\"seq\":")?;
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != ' ')?;
    rest[..end].trim().parse().ok()
}

/// The sequence in `$JS.ACK.stream.consumer.deliveries.sequence…`.
fn sequence(place: &str) -> Option<u64> {
    place.split('.').nth(5)?.parse().ok()
}

fn text(content: &[u8]) -> String {
    String::from_utf8_lossy(content).trim().replace("\r\n", " ")
}

impl Lines {
    /// From the headers and the payload of a message.
    fn of(content: &[u8]) -> Self {
        let mut lines = Self::default();
        for line in String::from_utf8_lossy(content).lines() {
            let Some(rest) = line.strip_prefix("job,process=") else { continue };
            let Some((process, rest)) = rest.split_once(" number=") else { continue };
            let Some((number, _)) = rest.split_once('i') else { continue };
            let Ok(number) = number.parse() else { continue };
            match lines.0.last_mut() {
                Some((last, range)) if last == process && *range.end() + 1 == number => {
                    *range = *range.start()..=number;
                }
                _ => lines.0.push((process.to_owned(), number..=number)),
            }
        }
        lines
    }

    fn contains(&self, process: &str, number: u64) -> bool {
        self.0.iter().any(|(name, range)| name == process && range.contains(&number))
    }

    fn numbers(&self, process: &str) -> impl Iterator<Item = u64> {
        let of_process = self.0.iter().filter(move |(name, _)| name == process);
        of_process.flat_map(|(_, range)| range.clone())
    }
}

impl fmt::Display for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (process, range)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{process} {}-{}", range.start(), range.end())?;
        }
        Ok(())
    }
}

#[test]
fn a_loss_is_explained_by_what_was_published_and_delivered() {
    let record = Record::new();
    let lines = |process: &str, number: u64| {
        let line = |n| format!("job,process={process} number={n}i 1700000000000000000\n");
        format!("NATS/1.0\r\nInfluxdb-Lines: 2\r\n\r\n{}{}\r\n", line(number), line(number + 1))
    };
    let publish = |inbox: &str, lines: &str, reply: &str| {
        record.note_sent(&["HPUB", "influxdb.fleet", inbox, "1", "2"], lines.as_bytes());
        record.note_received(&["MSG", inbox, "1", "9"], format!("{reply}\r\n").as_bytes());
    };
    publish("_INBOX.a.1", &lines("p0", 4), r#"{"stream":"S", "seq":7}"#);
    publish("_INBOX.a.2", &lines("p1", 0), r#"{"stream":"S","seq":8}"#);
    let place = "$JS.ACK.S.forward.1.7.9.1700000000000000000.0";
    let delivered = lines("p1", 0);
    record.note_received(&["HMSG", "influxdb.fleet", "3", place, "1", "2"], delivered.as_bytes());
    for reply in ["+WPI\r\n", "+ACK\r\n"] {
        record.note_sent(&["PUB", place, "4"], reply.as_bytes());
    }
    let text = record.explain("p0", &[4, 5]);
    assert!(text.starts_with("p0: 2 lost\n  p0 4\n"), "{text}");
    assert_eq!(text.matches("published p0 4-5; reply").count(), 1, "{text}");
    assert!(text.contains("\"seq\":7}") && !text.contains("delivered as $JS.ACK.S.forward.1.8"));
    assert!(text.contains("the same sequence: p1 0-1 delivered as $JS.ACK.S.forward.1.7"));
    assert!(text.trim_end().ends_with("+ACK"), "{text}");
}
