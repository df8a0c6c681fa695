//! Parts of a batch. Each part copies its lines, and shares the files and the retry state of the
//! whole.

use super::Batch;
use crate::buffer::chunk::Chunk;
use crate::buffer::spool_files::SpoolFiles;

impl Batch {
    /// Splits it in two parts of about half of the bytes each. The second is `None` if there is
    /// only one line.
    pub(crate) fn split(self) -> (Self, Option<Self>) {
        if self.lines() < 2 {
            return (self, None);
        }
        let half = self.len() / 2;
        let mut first = 0;
        let mut taken = 0;
        for line in self.iter_lines() {
            if first > 0 && (taken + line.len() > half || first + 1 == self.lines()) {
                break;
            }
            taken += line.len() + 1;
            first += 1;
        }
        let mut index = 0;
        let (head, tail) = self.partition(|_| {
            index += 1;
            index <= first
        });
        (head, Some(tail))
    }

    /// Splits it into the lines for which `chosen` returns true, and the others.
    pub(crate) fn partition(mut self, mut chosen: impl FnMut(&[u8]) -> bool) -> (Self, Self) {
        let mut parts = [(Vec::new(), 0), (Vec::new(), 0)];
        for line in self.iter_lines() {
            let (bytes, lines) = &mut parts[usize::from(!chosen(line))];
            bytes.extend_from_slice(line);
            bytes.push(b'\n');
            *lines += 1;
        }
        let lacks_files = !self.is_spooled();
        let segments: Vec<_> = self.chunks.iter_mut().filter_map(Chunk::take_segment).collect();
        if !segments.is_empty() {
            self.files = Some(SpoolFiles::of_segments(segments, self.files.take()));
        }
        let [chosen, others] = parts.map(|(bytes, lines)| {
            let mut part = Self::new(self.database.clone(), self.precision);
            if lines > 0 {
                part.sequence = self.sequence;
                part.permit = self.permit.clone();
                part.files = self.files.clone();
                part.lacks_files = lacks_files;
                part.is_counted_unspooled = self.is_counted_unspooled;
                part.retry = self.retry.clone();
                part.push_chunk(Chunk::of(bytes, lines));
            }
            part
        });
        (chosen, others)
    }
}
