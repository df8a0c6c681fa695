//! Where measurements wait: as bytes of line protocol, by database. Any thread adds, sender threads take; both bounds
//! (measurements and bytes) are exact, and the books are kept here, under the same locks as what they count.
//!
//! A thread that adds takes the lock of its shard only, as long as its grant and its chunk last. Everything else, a
//! few times in a thousand lines, happens under the lock of the [`Queue`]. Locks are taken in the order queue, shard.

mod amount;
mod batch;
mod chunk;
mod flush;
mod keeper;
mod queue;
mod shard;
mod stock;
mod waiting;

pub(crate) use amount::Amount;
pub(crate) use batch::Batch;
pub(crate) use keeper::Keeper;
pub(crate) use queue::{Door, Order, Outcome};
pub(crate) use waiting::Place;

use std::sync::Arc;
use std::time::Duration;

use crate::config::{Overflow, Precision};
use crate::interruption;
use crate::measurement::Clock;
use crate::spool::Spool;
use crate::stats::{DropReason, Stats};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Condvar, Mutex, MutexGuard, lock, wait};
use queue::Queue;
use shard::Shard;

/// How many databases of a shard get chunks of full size, and keep them.
const WARM_DATABASES: usize = 4;

/// A sender with nothing to do does not look more often than this.
const LEAST_WAIT: Duration = Duration::from_secs(1);

/// The bounds of what waits, and when it is due.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// The most that may wait.
    pub(crate) buffer: Amount,
    /// The most in one batch. A single line may have more bytes.
    pub(crate) batch: Amount,
    /// So many open lines are submitted at once.
    pub(crate) trigger_size: usize,
    /// Fewer are submitted when the first of them has waited so long.
    pub(crate) submission_interval: Duration,
    /// The probability that a batch is submitted at all.
    pub(crate) sample_probability: f64,
    pub(crate) overflow: Overflow,
    /// How long an add may wait for room, with [`Overflow::Block`].
    pub(crate) block_timeout: Duration,
    /// The most in the spool, which counts instead of `buffer` where there is one that works.
    pub(crate) spool_bytes: usize,
}

pub(crate) struct Buffer {
    shards: Box<[Shard]>,
    queue: Mutex<Queue>,
    /// Set while no measurement fits and the newest is to be dropped: then there is nothing to ask the queue.
    full: AtomicBool,
    /// Set when something was dropped that a sender has not seen yet: the log is to tell of it.
    has_drops: AtomicBool,
    /// Tells senders that there may be something to do.
    work: Condvar,
    /// Tells those who wait for room or for a flush that something was decided.
    decided: Condvar,
    /// Tells the keeper of the spool that there is something to do.
    kept: Condvar,
    /// Held by the keeper while it does something, and at the end of all: what it makes then, nobody would remove.
    keeping: Mutex<()>,
    spool: Option<Arc<Spool>>,
    clock: Clock,
}

/// A line that is to be added: where it belongs, and what appends its bytes.
pub(crate) struct Incoming<'a, W: Fn(&mut Vec<u8>)> {
    /// UTF-8; looked at as text only where that is worth its time.
    pub(crate) database: &'a [u8],
    pub(crate) precision: Precision,
    /// How many bytes `write` appends.
    pub(crate) len: usize,
    pub(crate) write: W,
}

impl<W: Fn(&mut Vec<u8>)> Incoming<'_, W> {
    #[inline]
    fn amount(&self) -> Amount {
        Amount { lines: 1, bytes: self.len }
    }
}

/// What is to be counted of a measurement beside its line.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Notes {
    pub(crate) non_finite: usize,
    pub(crate) repaired: bool,
}

impl Buffer {
    pub(crate) fn new(limits: Limits, door: Door, spool: Option<Arc<Spool>>, clock: Clock) -> Self {
        let shards: Box<[Shard]> = (0..shard::count()).map(|_| Shard::default()).collect();
        let buffer = Self {
            shards,
            queue: Mutex::new(Queue::new(limits, door, spool.clone())),
            full: AtomicBool::new(false),
            has_drops: AtomicBool::new(false),
            work: Condvar::new(),
            decided: Condvar::new(),
            kept: Condvar::new(),
            keeping: Mutex::new(()),
            spool,
            clock,
        };
        buffer.tell_shards(&lock(&buffer.queue));
        buffer
    }

    /// Adds a line, or counts why it was dropped. Returns whether it is the first to be open, or the first drop that no
    /// sender has seen: then somebody has to listen.
    #[inline]
    pub(crate) fn push(&self, line: Incoming<'_, impl Fn(&mut Vec<u8>)>, notes: Notes) -> bool {
        let shard = self.shard();
        let mut open = lock(&shard.0);
        if notes.repaired {
            open.tally.repaired += 1;
        }
        open.tally.non_finite += notes.non_finite as u64;
        if open.push(&line) {
            return false;
        }
        if self.full.load(Ordering::Relaxed) {
            open.tally.drop_added(DropReason::Newest);
            drop(open);
            return self.announce_drop();
        }
        drop(open);
        self.push_slowly(shard, &line)
    }

    /// Counts a measurement that never became a line. Returns what [`push`](Self::push) does.
    #[cold]
    pub(crate) fn drop_added(&self, reason: DropReason, notes: Notes) -> bool {
        let mut open = lock(&self.shard().0);
        open.tally.drop_added(reason);
        open.tally.non_finite += notes.non_finite as u64;
        drop(open);
        self.announce_drop()
    }

    /// Wakes a sender for the first drop that none has seen yet, and returns whether this is it. Called without a lock.
    fn announce_drop(&self) -> bool {
        let is_first = !self.has_drops.load(Ordering::Relaxed)
            && !self.has_drops.swap(true, Ordering::Relaxed);
        if is_first {
            self.wake();
        }
        is_first
    }

    #[inline]
    fn shard(&self) -> &Shard {
        &self.shards[shard::index_for_this_thread(self.shards.len())]
    }

    #[cold]
    fn push_slowly(&self, shard: &Shard, line: &Incoming<'_, impl Fn(&mut Vec<u8>)>) -> bool {
        let mut blocked_until = None;
        let mut queue = lock(&self.queue);
        let dropped = loop {
            match queue.door {
                Door::Open => {}
                Door::Disabled => break DropReason::Disabled,
                Door::Closed => break DropReason::Closed,
            }
            let is_first = queue.first_open.is_none();
            if self.push_granted(&mut queue, shard, line) {
                return is_first;
            }
            match queue.limits.overflow {
                Overflow::Oldest => {
                    if !self.make_room(&mut queue, line.amount()) {
                        break DropReason::Newest;
                    }
                }
                Overflow::Block => {
                    let now = self.clock.now();
                    let timeout = queue.limits.block_timeout;
                    let until = *blocked_until.get_or_insert(now.saturating_add(timeout));
                    if now >= until {
                        break DropReason::BlockTimeout;
                    }
                    self.submit(&mut queue);
                    queue.blocked += 1;
                    let slice_end = until.min(now + interruption::INTERVAL);
                    queue = wait(&self.decided, queue, Some(slice_end - now));
                    queue.blocked -= 1;
                    if self.clock.now() >= slice_end {
                        drop(queue);
                        let is_interrupted = interruption::is_interrupted();
                        queue = lock(&self.queue);
                        if is_interrupted {
                            break DropReason::BlockTimeout;
                        }
                    }
                }
                Overflow::Newest => {
                    self.submit(&mut queue);
                    let full = queue.room().lines == 0;
                    self.full.store(full, Ordering::Relaxed);
                    break DropReason::Newest;
                }
            }
        };
        lock(&shard.0).tally.drop_added(dropped);
        drop(queue);
        self.announce_drop()
    }

    /// Pushes a line to a shard after getting it what it needs for that, a grant and a chunk; false if the bounds do not
    /// allow it.
    fn push_granted(
        &self,
        queue: &mut Queue,
        shard: &Shard,
        line: &Incoming<'_, impl Fn(&mut Vec<u8>)>,
    ) -> bool {
        let needed = line.amount();
        let mut open = lock(&shard.0);
        if !open.grant.covers(needed) && queue.grant(needed).is_none() {
            drop(open);
            self.reclaim(queue);
            open = lock(&shard.0);
        }
        if !open.grant.covers(needed) {
            let Some(grant) = queue.grant(needed) else { return false };
            queue.granted += grant;
            open.grant += grant;
        }
        if queue.first_open.is_none() {
            let now = self.clock.now();
            queue.first_open = Some(now);
            // Whoever listens looks again in time, as a rule: then the application need not wake them.
            let due = now.saturating_add(queue.limits.submission_interval);
            if queue.listeners == 0 || queue.listens_until > due {
                self.signal(queue);
            }
        }
        if !open.has_chunk(line) {
            // Others may have made files since this was granted.
            if queue.lacks_file(needed) {
                return false;
            }
            let capacity = queue.chunk_capacity(open.databases() < WARM_DATABASES);
            let database = queue.database(line.database);
            let chunk = queue.stock.chunk(capacity, line.len, &database, line.precision);
            if let Some(full) = open.replace_chunk(&database, line.precision, chunk) {
                let is_empty = full.lines() == 0;
                let mut emptied = if is_empty {
                    Some(full)
                } else {
                    queue.gather(&database, line.precision, full)
                };
                emptied.iter_mut().for_each(|chunk| queue.stock.retire(chunk));
                queue.stock.recycle(emptied);
            }
            self.call_keeper(queue);
        }
        let pushed = open.push(line);
        drop(open);
        if queue.is_triggered() {
            self.reclaim(queue);
            if queue.is_triggered() {
                self.submit(queue);
            }
        }
        pushed
    }

    /// Drops the oldest lines until `needed` fits. What is open can only be dropped once it is sealed.
    fn make_room(&self, queue: &mut Queue, needed: Amount) -> bool {
        let mut has_room = queue.drop_oldest(needed);
        if !has_room {
            self.seal(queue);
            has_room = queue.drop_oldest(needed);
        }
        if !self.has_drops.swap(true, Ordering::Relaxed) {
            self.signal(queue);
        }
        if queue.is_awaited() {
            self.decided.notify_all();
        }
        has_room
    }

    /// Takes back what was granted to shards and not used, so that what is left counts open lines exactly.
    fn reclaim(&self, queue: &mut Queue) {
        for shard in &self.shards {
            let mut open = lock(&shard.0);
            queue.granted -= open.grant;
            open.grant = Amount::default();
        }
    }

    /// Makes all that is open due at once. A sender seals it: that is not the application's work.
    fn submit(&self, queue: &mut Queue) {
        if !queue.submit && queue.granted.lines > 0 {
            queue.submit = true;
            self.signal(queue);
        }
    }

    /// Gathers what is open in the shards and seals it into batches.
    fn seal(&self, queue: &mut Queue) {
        for shard in &self.shards {
            let released = lock(&shard.0).collect(WARM_DATABASES, |database, precision, chunk| {
                let mut copied = queue.gather(database, precision, chunk)?;
                queue.stock.renew(&mut copied, database, precision);
                Some(copied)
            });
            queue.stock.recycle(released);
        }
        if queue.seal() {
            self.tell(queue);
        }
        self.call_keeper(queue);
        self.signal(queue);
    }

    fn signal(&self, queue: &mut Queue) {
        queue.signals += 1;
        // It is a system call even if nobody listens.
        if queue.listeners > 0 {
            self.work.notify_all();
        }
    }

    /// Tells whoever waits for room, or for a flush, that something was decided: there may be room again.
    fn tell(&self, queue: &Queue) {
        self.full.store(false, Ordering::Relaxed);
        if queue.is_awaited() {
            self.decided.notify_all();
        }
    }

    fn tell_shards(&self, queue: &Queue) {
        for shard in &self.shards {
            lock(&shard.0).batch_limit = queue.limits.batch;
        }
    }
}

/// For senders.
impl Buffer {
    /// Seals what is due by its number or by its age.
    pub(crate) fn seal_due(&self) {
        let mut queue = lock(&self.queue);
        if queue.due_at().is_some_and(|due| due <= self.clock.now()) {
            self.seal(&mut queue);
        }
    }

    /// Takes the first batch that is due for a database that `is_open`, of at most so many bytes. It stays pending until
    /// it is settled, whole or in parts.
    pub(crate) fn take(&self, most_bytes: usize, is_open: impl Fn(&str) -> bool) -> Option<Batch> {
        lock(&self.queue).take(most_bytes, is_open)
    }

    /// Puts back a batch that was taken, or a part of one.
    pub(crate) fn put_back(&self, batch: Batch, place: Place) {
        let mut queue = lock(&self.queue);
        queue.put_back(batch, place);
        self.signal(&mut queue);
    }

    /// Enters in the books what became of a batch, or of a part of one: each of its lines is delivered or rejected.
    pub(crate) fn settle(&self, batch: Batch, outcome: Outcome) {
        debug_assert_eq!(outcome.delivered + outcome.rejected, batch.lines());
        let mut queue = lock(&self.queue);
        queue.settle(batch.order, batch.amount(), outcome);
        queue.stock.recycle_batch(batch);
        self.call_keeper(&mut queue);
        self.tell(&queue);
    }

    /// Enters a request in the books.
    pub(crate) fn count_request(&self, bytes: u64, is_retry: bool) {
        let mut queue = lock(&self.queue);
        queue.books.batches += 1;
        queue.books.retries += u64::from(is_retry);
        queue.books.bytes_sent += bytes;
    }

    pub(crate) fn note_error(&self, error: String) {
        lock(&self.queue).books.last_error = Some(error);
    }

    /// Whether something was dropped since [`see_drops`](Self::see_drops).
    pub(crate) fn has_drops(&self) -> bool {
        self.has_drops.load(Ordering::Relaxed)
    }

    /// To be called before the books are looked at: what is dropped from here on is announced again.
    pub(crate) fn see_drops(&self) {
        self.has_drops.store(false, Ordering::Relaxed);
    }

    /// When what is open will be due.
    pub(crate) fn due_at(&self) -> Option<Duration> {
        lock(&self.queue).due_at()
    }

    /// A number that changes with every signal: taken before a look at the buffer, it tells [`wait`](Self::wait)
    /// whether there was one since.
    pub(crate) fn signals(&self) -> u64 {
        lock(&self.queue).signals
    }

    /// Waits for a signal after `seen`, or until a time; in any case for no longer than a measurement that is added
    /// meanwhile may wait.
    pub(crate) fn wait(&self, seen: u64, until: Option<Duration>) {
        let mut queue = lock(&self.queue);
        if queue.signals != seen {
            return;
        }
        let now = self.clock.now();
        let interval = queue.limits.submission_interval.max(LEAST_WAIT);
        let until = until.unwrap_or(Duration::MAX).min(now.saturating_add(interval));
        queue.listeners += 1;
        queue.listens_until = until;
        queue = wait(&self.work, queue, Some(until.saturating_sub(now)));
        queue.listeners -= 1;
        queue.listens_until = Duration::MAX;
    }

    /// Wakes every sender.
    pub(crate) fn wake(&self) {
        self.signal(&mut lock(&self.queue));
    }
}

/// For the client.
impl Buffer {
    /// Changes the limits, for what waits as well. What is open stays so, unless the new ones make it due.
    pub(crate) fn set_limits(&self, limits: Limits, door: Door) {
        let mut queue = lock(&self.queue);
        queue.limits = limits;
        if queue.door != Door::Closed {
            queue.door = door;
        }
        self.tell_shards(&queue);
        self.reclaim(&mut queue);
        if queue.is_triggered() {
            self.submit(&mut queue);
        }
        self.full.store(false, Ordering::Relaxed);
        self.signal(&mut queue);
        self.decided.notify_all();
    }

    /// The books, taken in one piece.
    pub(crate) fn stats(&self) -> Stats {
        let queue = lock(&self.queue);
        let shards: Vec<MutexGuard<'_, shard::Open>> =
            self.shards.iter().map(|shard| lock(&shard.0)).collect();
        let books = &queue.books;
        let mut stats = Stats {
            added: books.recovered,
            recovered: books.recovered,
            delivered: books.delivered,
            rejected: books.rejected,
            sampled_out: books.sampled_out,
            dropped: books.dropped,
            batches: books.batches,
            retries: books.retries,
            bytes_sent: books.bytes_sent,
            last_error: books.last_error.clone(),
            ..Stats::default()
        };
        let mut unused = Amount::default();
        let mut unspooled = queue.waiting.unspooled();
        for open in shards {
            unspooled += open.unspooled();
            stats.added += open.tally.added;
            stats.dropped.add_all(&open.tally.dropped);
            stats.non_finite += open.tally.non_finite;
            stats.repaired += open.tally.repaired;
            unused += open.grant;
        }
        let pending = (queue.granted - unused + queue.sealed).lines;
        stats.pending = pending as u64;
        if self.spool.is_some() {
            stats.spooled = pending.saturating_sub(unspooled) as u64;
        }
        stats
    }
}

#[cfg(test)]
mod tests;
