//! The loop of `forward`: takes messages while there is room, and acknowledges each when all its
//! lines are decided.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::Message;
use sprockets_influxdb::{Client, Config, Stats};
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::jetstream::JetStream;
use super::lane::{Decided, GROUP_AGE, Lane};
use super::message::{self, Receipt};
use super::pull::{Pull, Pulled};
use super::set_aside::SetAside;
use super::totals::{self, Totals};
use crate::progress::{Position, Progress};
use crate::signals;

const ACK: &str = "+ACK";
const IN_PROGRESS: &str = "+WPI";
/// Delivers the message again at once, to any forwarder.
const NAK: &str = "-NAK";
/// The same, but after a while, in nanoseconds.
const NAK_LATER: &str = r#"-NAK {"delay": 30000000000}"#;

/// A client without messages for so long is dropped.
const LANE_IDLE: Duration = Duration::from_secs(60);

/// How often it looks whether the stream is empty, or the consumer gone.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

pub(super) struct Forwarder {
    jetstream: JetStream,
    config: Config,
    set_aside: SetAside,
    /// Bytes of lines that may be held.
    window: usize,
    /// How long the end may take.
    timeout: Duration,
    /// How often the server is told that a message is in progress.
    renewal: Duration,
    progress: Progress,
    /// By database.
    lanes: HashMap<String, Lane>,
    /// Bytes of lines that are held.
    held: usize,
    totals: Totals,
    is_ending: Arc<AtomicBool>,
    decided: UnboundedSender<Decided>,
}

impl Forwarder {
    /// `ack_wait`: how long the server waits for an acknowledgement.
    pub(super) fn new(
        jetstream: JetStream,
        config: Config,
        set_aside: SetAside,
        window: usize,
        times: (Duration, Duration),
        progress: Progress,
    ) -> (Self, UnboundedReceiver<Decided>) {
        let (timeout, ack_wait) = times;
        let (decided, decisions) = unbounded_channel();
        let forwarder = Self {
            jetstream,
            config,
            set_aside,
            window,
            timeout,
            renewal: ack_wait / 3,
            progress,
            lanes: HashMap::new(),
            held: 0,
            totals: Totals::default(),
            is_ending: Arc::default(),
            decided,
        };
        (forwarder, decisions)
    }

    /// Runs until a signal arrives, or the stream is empty if `until_empty`.
    pub(super) async fn run(
        mut self,
        mut decisions: UnboundedReceiver<Decided>,
        until_empty: bool,
    ) -> Totals {
        let started = Instant::now();
        let signal = Arc::new(Notify::new());
        let notified = signal.clone();
        signals::listen(move || notified.notify_one());
        match Pull::new(&self.jetstream).await {
            Ok(mut pull) => {
                let ended = self.forward(&mut pull, &mut decisions, &signal, until_empty).await;
                self.totals.problem = ended.err();
                self.end(pull, &mut decisions).await;
            }
            Err(problem) => self.totals.problem = Some(problem),
        }
        signals::reset();
        self.progress.clear();
        self.totals.stats = self.stats();
        self.totals.lost = self.set_aside.lost();
        self.totals.elapsed = started.elapsed();
        self.totals
    }

    /// `Err` is a reason to end.
    async fn forward(
        &mut self,
        pull: &mut Pull,
        decisions: &mut UnboundedReceiver<Decided>,
        signal: &Notify,
        until_empty: bool,
    ) -> Result<(), String> {
        let mut tick = interval(GROUP_AGE);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut renewed, mut looked) = (Instant::now(), Instant::now());
        loop {
            let room = self.window.saturating_sub(self.held);
            tokio::select! {
                biased;
                () = signal.notified() => {
                    self.progress.message("ending: delivering the lines that were taken; \
                                           Ctrl-C again ends at once");
                    return Ok(());
                }
                Some(decided) = decisions.recv() => self.acknowledge(&decided).await,
                _ = tick.tick() => {
                    // Neither messages nor acknowledgements get through, and nothing says so later.
                    if let Some(refusal) = self.jetstream.cluster.refusal() {
                        return Err(refusal);
                    }
                    if renewed.elapsed() >= self.renewal {
                        renewed = Instant::now();
                        self.renew().await;
                    }
                    if until_empty && looked.elapsed() >= LOOK_INTERVAL {
                        looked = Instant::now();
                        if self.is_empty().await? {
                            return Ok(());
                        }
                    }
                    self.drop_idle();
                    self.show();
                }
                pulled = pull.next(room), if room > 0 => match pulled {
                    Pulled::Message(message) => self.take(&message).await?,
                    Pulled::Nothing => {}
                    Pulled::NoConsumer => self.require_consumer().await?,
                    Pulled::Closed => return Err("the connection to NATS was closed".to_owned()),
                },
            }
            self.close_due();
        }
    }

    /// Adds the lines of a message to the lane of its database.
    async fn take(&mut self, message: &Message) -> Result<(), String> {
        // Not one of a stream: there is nothing to acknowledge.
        let Some(receipt) = Receipt::of(message) else { return Ok(()) };
        self.totals.messages += 1;
        self.totals.redelivered += u64::from(receipt.deliveries > 1);
        self.totals.bytes += message.payload.len() as u64;
        let lines = match message::read(message) {
            Ok(lines) => lines,
            Err(reason) => {
                let (stream, sequence) = (&self.jetstream.stream, receipt.sequence);
                let kept = self.set_aside.message(message, stream, sequence, &reason);
                self.set_aside(&receipt, kept, &reason, None).await;
                return Ok(());
            }
        };
        if !self.lanes.contains_key(&lines.database) {
            let lane = self.lane()?;
            self.lanes.insert(lines.database.clone(), lane);
        }
        let Some(lane) = self.lanes.get_mut(&lines.database) else { return Ok(()) };
        let added = lane.add(&lines, &receipt);
        self.totals.lines += added.lines;
        if added.lines > 0 {
            self.held += lines.bytes.len();
        }
        if added.bad.is_empty() {
            // A message without lines asks for nothing.
            if added.lines == 0 {
                self.totals.acknowledged += 1;
                self.reply(&receipt, ACK).await;
            }
            return Ok(());
        }
        self.totals.bad_lines += added.bad.len() as u64;
        let (stream, sequence) = (&self.jetstream.stream, receipt.sequence);
        let kept = self.set_aside.lines(message, stream, sequence, &added.bad);
        let reason = added.bad[0].1.clone();
        let held_for = Some(&*lines.database).filter(|_| added.lines > 0);
        self.set_aside(&receipt, kept, &reason, held_for).await;
        Ok(())
    }

    /// A message, or a part of it, was set aside. `held_for`: the database whose lane has its other
    /// lines.
    async fn set_aside(
        &mut self,
        receipt: &Receipt,
        kept: std::io::Result<()>,
        reason: &str,
        held_for: Option<&str>,
    ) {
        let sequence = receipt.sequence;
        match kept {
            Ok(()) => {
                self.totals.set_aside += 1;
                if self.totals.set_aside <= 20 {
                    self.progress.message(&format!("message {sequence} is set aside: {reason}"));
                }
                if held_for.is_none() {
                    self.totals.acknowledged += 1;
                    self.reply(receipt, ACK).await;
                }
            }
            Err(error) => {
                self.progress.message(&format!(
                    "error: message {sequence} cannot be set aside, and comes again: {error}"
                ));
                match held_for.and_then(|database| self.lanes.get_mut(database)) {
                    Some(lane) => lane.return_last(),
                    None => self.reply(receipt, NAK_LATER).await,
                }
            }
        }
    }

    fn lane(&self) -> Result<Lane, String> {
        let set_aside = self.set_aside.clone();
        let config = self.config.clone();
        let config = config.on_rejected(move |rejected| set_aside.rejected(rejected));
        Client::new(config).map(Lane::new).map_err(|error| error.to_string())
    }

    async fn acknowledge(&mut self, decided: &Decided) {
        let Some(lane) = self.lanes.get_mut(&decided.database) else { return };
        let Some(group) = lane.take(decided) else { return };
        self.held -= group.bytes;
        for receipt in &group.receipts {
            let text = if receipt.comes_again { NAK_LATER } else { ACK };
            self.totals.acknowledged += u64::from(!receipt.comes_again);
            self.reply(receipt, text).await;
        }
    }

    /// Replies to the server. A reply that is lost makes it deliver the message again.
    async fn reply(&self, receipt: &Receipt, text: &'static str) {
        let _ = self.jetstream.client.publish(receipt.reply.clone(), text.into()).await;
    }

    /// Tells the server that what is held is in progress.
    async fn renew(&self) {
        for receipt in self.lanes.values().flat_map(Lane::receipts) {
            self.reply(receipt, IN_PROGRESS).await;
        }
    }

    fn close_due(&mut self) {
        for (database, lane) in &mut self.lanes {
            lane.close_due(database, &self.is_ending, &self.decided);
        }
    }

    /// Whether all messages of the consumer are acknowledged.
    async fn is_empty(&self) -> Result<bool, String> {
        if !self.lanes.values().all(Lane::is_idle) {
            return Ok(false);
        }
        let Ok(info) = self.jetstream.consumer_info().await else { return Ok(false) };
        let info = info.ok_or_else(|| self.gone())?;
        Ok(info["num_pending"] == 0 && info["num_ack_pending"] == 0)
    }

    /// Fails if there is no such consumer any more. It may only be without a leader.
    async fn require_consumer(&self) -> Result<(), String> {
        match self.jetstream.consumer_info().await {
            Ok(None) => Err(self.gone()),
            _ => Ok(()),
        }
    }

    fn gone(&self) -> String {
        let JetStream { stream, durable, .. } = &self.jetstream;
        format!("consumer {durable} of stream {stream} was deleted")
    }

    /// Drops clients that have had nothing to do for long. Each has threads of its own.
    fn drop_idle(&mut self) {
        let stats = &mut self.totals.stats;
        self.lanes.retain(|_, lane| {
            let is_kept = !lane.is_idle() || lane.used_at.elapsed() < LANE_IDLE;
            if !is_kept {
                totals::add(stats, &lane.client.stats());
            }
            is_kept
        });
    }

    /// The counters of all clients, also of those that were dropped.
    fn stats(&self) -> Stats {
        let mut sum = self.totals.stats.clone();
        self.lanes.values().for_each(|lane| totals::add(&mut sum, &lane.client.stats()));
        sum
    }

    fn show(&mut self) {
        if self.progress.is_due() {
            let stats = self.stats();
            let position = Position {
                count: self.totals.bytes,
                lines: self.totals.lines,
                invalid: self.totals.bad_lines,
            };
            let stalled = if stats.pending > 0 && stats.last_error.is_some() {
                Duration::MAX
            } else {
                Duration::ZERO
            };
            self.progress.update(position, &stats, stalled);
        }
    }

    /// Waits for what is held, within the timeout, and gives the rest back.
    async fn end(&mut self, pull: Pull, decisions: &mut UnboundedReceiver<Decided>) {
        self.is_ending.store(true, Ordering::Relaxed);
        self.close_due();
        let until = Instant::now() + self.timeout;
        let arrived = pull.stop().await;
        while !self.lanes.values().all(Lane::is_idle) {
            match tokio::time::timeout_at(until, decisions.recv()).await {
                Ok(Some(decided)) => self.acknowledge(&decided).await,
                _ => break,
            }
        }
        let arrived: Vec<_> = arrived.iter().filter_map(Receipt::of).collect();
        for receipt in self.lanes.values().flat_map(Lane::receipts).chain(&arrived) {
            self.reply(receipt, NAK).await;
            self.totals.returned += 1;
        }
        let _ = tokio::time::timeout(self.timeout, self.jetstream.client.flush()).await;
        for lane in self.lanes.values() {
            lane.client.shutdown(Duration::ZERO);
        }
    }
}
