//! Finds rows that have the time of another row.

/// Maximum number of rows that are looked at, so that a long stream takes little memory.
const MAX_ROWS: usize = 1_000_000;

/// The times of the rows so far.
#[derive(Default)]
pub(super) struct Times {
    times: Vec<i64>,
    /// Whether a row has no later time than the one before it.
    is_unsorted: bool,
}

impl Times {
    pub(super) fn push(&mut self, time: i64) {
        if self.times.len() < MAX_ROWS {
            self.is_unsorted |= self.times.last().is_some_and(|last| *last >= time);
            self.times.push(time);
        }
    }

    /// How many rows have a time that another row has as well, beside one row for each time.
    pub(super) fn duplicates(&mut self) -> usize {
        if !self.is_unsorted {
            return 0;
        }
        self.times.sort_unstable();
        self.times.windows(2).filter(|pair| pair[0] == pair[1]).count()
    }
}
