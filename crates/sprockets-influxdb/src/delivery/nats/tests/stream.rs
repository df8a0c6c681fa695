//! A simulated stream of JetStream: it stores messages, knows their ids for a while, loses replies,
//! and has no quorum at times.

use std::collections::{HashSet, VecDeque};
use std::io::Read;
use std::ops::Range;
use std::time::Duration;

use flate2::read::GzDecoder;

use super::super::message::{ENCODING_HEADER, Message};

/// `forward --create` makes streams with this duplicate window.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(600);

/// Of so many replies one is lost.
const LOST: u64 = 300;

/// Bytes that nats-server stores with each message that has headers, beside these, its subject and
/// its payload. A test with a real server holds it to that.
pub(crate) const RECORD_BYTES: usize = 34;

pub(crate) struct Stream {
    /// Without a quorum in this time.
    without_quorum: Range<Duration>,
    ids: HashSet<String>,
    ages: VecDeque<(Duration, String)>,
    /// Lines and bytes of what no forwarder has taken, in order, summed up by second.
    waiting: VecDeque<Second>,
    random: fastrand::Rng,
    sequence: u64,
    pub(crate) totals: Totals,
}

#[derive(Default)]
struct Second {
    number: u64,
    lines: u64,
    bytes: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) messages: u64,
    /// Messages that came again and were not stored again.
    pub(crate) duplicates: u64,
    pub(crate) lines: u64,
    /// Bytes of lines before compression.
    pub(crate) line_bytes: u64,
    /// Bytes on the disk of one server.
    pub(crate) bytes: u64,
    pub(crate) waiting_lines: u64,
    pub(crate) waiting_bytes: u64,
    /// The most that waited.
    pub(crate) most_waiting_bytes: u64,
}

/// What a client sees of its message.
pub(crate) struct Reply {
    pub(crate) text: String,
    pub(crate) latency: Duration,
    /// The lines, unless they were stored before.
    pub(crate) stored: Option<Vec<u8>>,
    pub(crate) is_lost: bool,
}

impl Stream {
    pub(crate) fn new(without_quorum: Range<Duration>, seed: u64) -> Self {
        Self {
            without_quorum,
            ids: HashSet::new(),
            ages: VecDeque::new(),
            waiting: VecDeque::new(),
            random: fastrand::Rng::with_seed(seed),
            sequence: 0,
            totals: Totals::default(),
        }
    }

    /// `None`: there is no quorum, and no reply.
    pub(crate) fn receive(&mut self, message: &Message, now: Duration) -> Option<Reply> {
        if self.without_quorum.contains(&now) {
            return None;
        }
        let latency = Duration::from_micros(self.random.u64(1_000..20_000));
        let is_lost = self.random.u64(..LOST) == 0;
        while self.ages.front().is_some_and(|(stored, _)| now >= *stored + DUPLICATE_WINDOW) {
            let oldest = self.ages.pop_front();
            oldest.map(|(_, id)| self.ids.remove(&id));
        }
        let id = message.headers.get("Nats-Msg-Id").expect("an id").as_str().to_owned();
        if !self.ids.insert(id.clone()) {
            self.totals.duplicates += 1;
            let text = format!(r#"{{"stream":"S","seq":{},"duplicate":true}}"#, self.sequence);
            return Some(Reply { text, latency, stored: None, is_lost });
        }
        self.ages.push_back((now, id));
        self.sequence += 1;
        let lines = lines(message);
        self.store(message, &lines, now);
        let text = format!(r#"{{"stream":"S","seq":{}}}"#, self.sequence);
        Some(Reply { text, latency, stored: Some(lines), is_lost })
    }

    fn store(&mut self, message: &Message, lines: &[u8], now: Duration) {
        let bytes = (RECORD_BYTES + message.subject.len() + message.len()) as u64;
        let count = memchr::memchr_iter(b'\n', lines).count() as u64;
        if self.waiting.back().is_none_or(|last| last.number < now.as_secs()) {
            self.waiting.push_back(Second { number: now.as_secs(), ..Second::default() });
        }
        let last = self.waiting.back_mut().expect("one");
        last.lines += count;
        last.bytes += bytes;
        let totals = &mut self.totals;
        totals.messages += 1;
        totals.lines += count;
        totals.line_bytes += lines.len() as u64;
        totals.bytes += bytes;
        totals.waiting_lines += count;
        totals.waiting_bytes += bytes;
        totals.most_waiting_bytes = totals.most_waiting_bytes.max(totals.waiting_bytes);
    }

    /// Forwarders take and acknowledge so many lines, at least.
    pub(crate) fn take(&mut self, lines: u64) {
        let mut taken = 0;
        while taken < lines {
            let Some(second) = self.waiting.pop_front() else { return };
            taken += second.lines;
            self.totals.waiting_lines -= second.lines;
            self.totals.waiting_bytes -= second.bytes;
        }
    }
}

fn lines(message: &Message) -> Vec<u8> {
    if message.headers.get(ENCODING_HEADER).is_none() {
        return message.payload.to_vec();
    }
    let mut lines = Vec::new();
    GzDecoder::new(&message.payload[..]).read_to_end(&mut lines).expect("gzip");
    lines
}
