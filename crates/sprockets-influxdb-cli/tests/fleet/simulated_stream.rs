//! A stream of JetStream without a disk: a server that speaks the protocol of NATS and makes the
//! messages of a fleet when they are asked for. It knows a pull consumer, and nothing else.

use std::collections::{HashMap, HashSet};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sprockets_influxdb::Measurement;
use sprockets_influxdb::internal::nats::{DATABASE_HEADER, PRECISION_HEADER};
use test_support::tcp::listen;

/// As `forward --create` sets it.
const MAX_ACK_PENDING: usize = 5_000;

/// Measurements in a message.
pub(crate) const PER_MESSAGE: u64 = 10;

const PROCESSES: u64 = 10_000;
const EPOCH: u64 = 1_700_000_000_000_000_000;

pub(crate) struct SimulatedStream {
    url: String,
    state: Arc<Mutex<State>>,
}

pub(crate) struct State {
    /// Messages that the stream has.
    total: u64,
    next: u64,
    taken: HashSet<u64>,
    pub(crate) acknowledged: u64,
    /// Acknowledgements of messages that nobody holds.
    pub(crate) repeated: u64,
    /// Messages that a forwarder said to be in progress, again and again.
    pub(crate) renewed: u64,
    /// Bytes of lines that were sent.
    pub(crate) bytes: u64,
}

/// What a client sent.
enum Frame {
    Ping,
    Subscribe { subject: String, id: String },
    Publish { subject: String, reply: String, payload: Vec<u8> },
}

struct PullRequest {
    inbox: String,
    messages: u64,
    bytes: usize,
    until: Instant,
}

impl SimulatedStream {
    pub(crate) fn start(total: u64) -> Self {
        let state = Arc::new(Mutex::new(State {
            total,
            next: 0,
            taken: HashSet::new(),
            acknowledged: 0,
            repeated: 0,
            renewed: 0,
            bytes: 0,
        }));
        let shared = state.clone();
        let address = listen(move |stream| Connection::new(stream, shared.clone())?.serve());
        Self { url: format!("nats://{address}"), state }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl State {
    /// Messages that a forwarder holds.
    pub(crate) fn held(&self) -> usize {
        self.taken.len()
    }

    fn consumer(&self) -> Value {
        json!({
            "config": { "ack_policy": "explicit", "ack_wait": 3_000_000_000_u64 },
            "num_pending": self.total - self.next,
            "num_ack_pending": self.taken.len(),
        })
    }
}

struct Connection {
    stream: TcpStream,
    frames: Receiver<Frame>,
    state: Arc<Mutex<State>>,
    /// The identifiers of subscriptions, by subject.
    subscriptions: HashMap<String, String>,
    pull: Option<PullRequest>,
    encoder: Encoder,
}

impl Connection {
    fn new(stream: TcpStream, state: Arc<Mutex<State>>) -> io::Result<Self> {
        let (sender, frames) = channel();
        let reader = stream.try_clone()?;
        // Ends with the connection.
        thread::spawn(move || read_frames(reader, &sender));
        let (subscriptions, pull) = (HashMap::new(), None);
        Ok(Self { stream, frames, state, subscriptions, pull, encoder: Encoder::new() })
    }

    fn serve(mut self) -> io::Result<()> {
        let info = json!({
            "server_id": "S", "server_name": "S", "version": "2.9.10", "proto": 1,
            "headers": true, "jetstream": true, "max_payload": 1 << 20,
        });
        self.stream.write_all(format!("INFO {info}\r\n").as_bytes())?;
        loop {
            match self.frames.recv_timeout(Duration::from_millis(20)) {
                Ok(frame) => self.take(frame)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            while let Ok(frame) = self.frames.try_recv() {
                self.take(frame)?;
            }
            self.deliver()?;
        }
    }

    fn take(&mut self, frame: Frame) -> io::Result<()> {
        match frame {
            Frame::Ping => self.stream.write_all(b"PONG\r\n"),
            Frame::Subscribe { subject, id } => {
                self.subscriptions.insert(subject, id);
                Ok(())
            }
            Frame::Publish { subject, reply, payload } => self.request(&subject, reply, &payload),
        }
    }

    fn request(&mut self, subject: &str, reply: String, payload: &[u8]) -> io::Result<()> {
        if let Some(place) = subject.strip_prefix("$JS.ACK.") {
            let mut state = self.state.lock().unwrap();
            if payload == b"+WPI" {
                state.renewed += 1;
            } else if payload == b"+ACK" {
                let sequence = place.split('.').nth(3).and_then(|number| number.parse().ok());
                match sequence.is_some_and(|sequence| state.taken.remove(&sequence)) {
                    true => state.acknowledged += 1,
                    false => state.repeated += 1,
                }
            }
            return Ok(());
        }
        if subject.starts_with("$JS.API.CONSUMER.MSG.NEXT.") {
            let request: Value = serde_json::from_slice(payload)?;
            let number = |key: &str| request[key].as_u64().expect("a number");
            self.pull = Some(PullRequest {
                inbox: reply,
                messages: number("batch"),
                bytes: number("max_bytes") as usize,
                until: Instant::now() + Duration::from_nanos(number("expires")),
            });
            return Ok(());
        }
        let answer = if subject.starts_with("$JS.API.CONSUMER.INFO.") {
            self.state.lock().unwrap().consumer()
        } else {
            json!({ "config": {}, "state": {} })
        };
        let (id, answer) = (self.subscription(&reply), answer.to_string());
        let message = format!("MSG {reply} {id} {}\r\n{answer}\r\n", answer.len());
        self.stream.write_all(message.as_bytes())
    }

    /// The identifier of the subscription that has this subject.
    fn subscription(&self, subject: &str) -> &str {
        let is_of = |pattern: &str| match pattern.strip_suffix('*') {
            Some(start) => subject.starts_with(start),
            None => subject == pattern,
        };
        let found = self.subscriptions.iter().find(|(pattern, _)| is_of(pattern));
        found.map(|(_, id)| id.as_str()).expect("a subscription")
    }

    /// Sends what the pull request asks for, and ends it if it is over.
    fn deliver(&mut self) -> io::Result<()> {
        let Some(mut pull) = self.pull.take() else { return Ok(()) };
        let id = self.subscription(&pull.inbox).to_owned();
        let mut out = Vec::new();
        let mut is_too_large = false;
        {
            let mut state = self.state.lock().unwrap();
            while pull.messages > 0
                && state.next < state.total
                && state.taken.len() < MAX_ACK_PENDING
            {
                let sequence = state.next + 1;
                let lines = self.encoder.message(state.next);
                if lines.len() > pull.bytes {
                    is_too_large = true;
                    break;
                }
                pull.bytes -= lines.len();
                pull.messages -= 1;
                state.next += 1;
                state.taken.insert(sequence);
                state.bytes += lines.len() as u64;
                let head = format!(
                    "NATS/1.0\r\n{DATABASE_HEADER}: fleet\r\n{PRECISION_HEADER}: ns\r\n\
                     Influxdb-Lines: {PER_MESSAGE}\r\n\r\n"
                );
                let reply = format!("$JS.ACK.S.forward.1.{sequence}.{sequence}.{EPOCH}.1");
                let (length, total) = (head.len(), head.len() + lines.len());
                write!(out, "HMSG influxdb.fleet {id} {reply} {length} {total}\r\n{head}")?;
                out.extend_from_slice(lines);
                out.extend_from_slice(b"\r\n");
            }
        }
        let status = match pull.messages {
            0 => None,
            _ if is_too_large => Some("409 Message Size Exceeds MaxBytes"),
            _ if Instant::now() >= pull.until => Some("408 Request Timeout"),
            _ => {
                self.pull = Some(pull);
                return self.stream.write_all(&out);
            }
        };
        if let Some(status) = status {
            let head = format!("NATS/1.0 {status}\r\n\r\n");
            let (inbox, length) = (&pull.inbox, head.len());
            write!(out, "HMSG {inbox} {id} {length} {length}\r\n{head}\r\n")?;
        }
        self.stream.write_all(&out)
    }
}

fn read_frames(stream: TcpStream, frames: &Sender<Frame>) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(256 << 10, stream);
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let mut words = line.split_ascii_whitespace();
        let operation = words.next().unwrap_or_default();
        let words: Vec<&str> = words.collect();
        let frame = match (operation, words.as_slice()) {
            ("PING", _) => Frame::Ping,
            ("SUB", [subject, .., id]) => {
                Frame::Subscribe { subject: (*subject).to_owned(), id: (*id).to_owned() }
            }
            ("PUB", [subject, reply @ .., length]) => {
                let length: usize = length.parse().map_err(io::Error::other)?;
                let mut payload = vec![0; length + 2];
                reader.read_exact(&mut payload)?;
                payload.truncate(length);
                let reply = reply.first().copied().unwrap_or_default().to_owned();
                Frame::Publish { subject: (*subject).to_owned(), reply, payload }
            }
            ("CONNECT" | "UNSUB" | "PONG", _) => continue,
            _ => return Err(io::Error::other(format!("not expected: {line:?}"))),
        };
        if frames.send(frame).is_err() {
            return Ok(());
        }
    }
}

/// Makes the lines of messages as the processes of a fleet do.
struct Encoder {
    measurement: Measurement,
    lines: Vec<u8>,
}

impl Encoder {
    fn new() -> Self {
        let measurement = Measurement::new("fleet", "http_requests")
            .tag("service", "checkout")
            .tag("environment", "production")
            .tag("method", "POST")
            .tag("endpoint", "/orders/{order_id}/items")
            .tag("status_code", "200");
        Self { measurement, lines: Vec::new() }
    }

    /// The lines of message `index`: of one process, and one minute.
    fn message(&mut self, index: u64) -> &[u8] {
        let (process, minute) = (index % PROCESSES, index / PROCESSES);
        self.lines.clear();
        self.measurement.set_tag("host", format!("host-{process:05}.example.com"));
        for line in 0..PER_MESSAGE {
            let number = minute * PER_MESSAGE + line;
            let duration = 0.001 + (number * 7_919 % 1_000_003) as f64 / 1e6;
            self.measurement.set_field("duration", duration);
            self.measurement.set_field("content_length", (number * 31 % 65_536) as i64);
            self.measurement.set_field("number", number as i64);
            let time = EPOCH + minute * 60_000_000_000 + process * 1_000 + line;
            self.measurement.set_timestamp(time as i64);
            self.measurement.append_to(&mut self.lines);
        }
        &self.lines
    }
}
