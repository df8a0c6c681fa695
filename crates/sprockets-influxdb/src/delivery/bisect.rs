//! What becomes of the parts of a rejected batch, for the sender. Lines that the server named are
//! rejected. Lines that it did not name are found by bisection: each half is sent by itself. A
//! budget of requests may be spent at once. After that, the search goes on slowly: no line is
//! rejected without proof.

use std::sync::Arc;

use super::disposition::{RejectedLines, Rejection};
use crate::buffer::Batch;
use crate::sync::atomic::{AtomicU32, Ordering};

/// Requests that the search in one batch may make at once, for each doubling of its lines. Enough
/// to find some ten bad lines anywhere, or any number that stand together.
const SEARCH_REQUESTS: u32 = 16;

/// Requests to send both halves of a batch.
const HALVES: u32 = 2;

/// A part of a rejected batch, and what becomes of it.
#[derive(Debug)]
pub(super) enum Part {
    /// The server has stored it.
    Stored(Batch),
    /// The server rejected every line of it.
    Rejected(Batch, Reasons),
    /// It goes back to the front of the queue. Of several such parts, the last is sent first.
    Resend(Batch),
    /// It waits for its turn among the slow searches.
    ResendLater(Batch),
}

/// Why lines were rejected.
#[derive(Debug)]
pub(super) enum Reasons {
    /// All of them for the same reason.
    Same(String),
    /// Each line, in order, for its own.
    Each(Vec<String>),
}

impl Reasons {
    /// The reason for the line with this index.
    pub(super) fn of(&self, index: usize) -> &str {
        match self {
            Self::Same(reason) => reason,
            Self::Each(reasons) => reasons.get(index).map_or("", String::as_str),
        }
    }
}

/// The parts of a batch that the server rejected as a whole or in part.
pub(super) fn parts(batch: Batch, rejection: Rejection) -> Vec<Part> {
    let Rejection { lines, rest_stored, reason } = rejection;
    match lines {
        RejectedLines::All => vec![Part::Rejected(batch, Reasons::Same(reason))],
        RejectedLines::Named(named) => separate(batch, named, rest_stored),
        RejectedLines::Unnamed { count } => {
            let is_all = rest_stored && count == Some(batch.lines());
            if is_all || batch.lines() == 1 {
                return vec![Part::Rejected(batch, Reasons::Same(reason))];
            }
            search(batch)
        }
    }
}

/// The halves of a batch, each to be sent by itself at once. A single line stays whole.
pub(super) fn halves(batch: Batch) -> Vec<Part> {
    let (head, tail) = batch.split();
    tail.into_iter().chain([head]).map(Part::Resend).collect()
}

/// The parts of a batch, each to be sent by itself. The first to be sent is a sixteenth of it.
pub(super) fn slices(mut batch: Batch) -> Vec<Part> {
    let mut parts = Vec::new();
    for _ in 0..4 {
        let (head, tail) = batch.split();
        batch = head;
        parts.extend(tail.map(Part::Resend));
    }
    parts.push(Part::Resend(batch));
    parts
}

/// The halves of a batch, each to be sent by itself: at once while the budget lasts.
pub(super) fn search(mut batch: Batch) -> Vec<Part> {
    let resend = if spend(&mut batch, HALVES) { Part::Resend } else { Part::ResendLater };
    let (head, tail) = batch.split();
    tail.into_iter().chain([head]).map(resend).collect()
}

/// Separates the lines that the server named from the rest.
fn separate(batch: Batch, named: Vec<(usize, String)>, rest_stored: bool) -> Vec<Part> {
    let mut named = named.into_iter().peekable();
    let mut index = 0;
    let mut reasons = Vec::new();
    let (bad, mut rest) = batch.partition(|_| {
        let reason = named.next_if(|(bad, _)| *bad == index).map(|(_, reason)| reason);
        index += 1;
        let is_bad = reason.is_some();
        reasons.extend(reason);
        is_bad
    });
    if bad.lines() == 0 {
        return search(rest);
    }
    let mut parts = vec![Part::Rejected(bad, Reasons::Each(reasons))];
    if rest.lines() > 0 {
        parts.push(if rest_stored {
            Part::Stored(rest)
        } else if spend(&mut rest, 1) {
            Part::Resend(rest)
        } else {
            Part::ResendLater(rest)
        });
    }
    parts
}

/// Takes requests from the search budget, which a batch shares with all of its parts. Returns
/// whether there were enough.
fn spend(batch: &mut Batch, requests: u32) -> bool {
    let budget = SEARCH_REQUESTS * (batch.lines().ilog2() + 1);
    let left = batch.retry.search.get_or_insert_with(|| Arc::new(AtomicU32::new(budget)));
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(requests))
        .is_ok()
}
