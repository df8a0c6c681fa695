//! For any damage to a spool file: reading it ends, it returns only lines that were written, and a
//! change of some bytes loses only the lines that it touches.

use arbitrary::{Arbitrary, Result, Unstructured};
use sprockets_influxdb::fuzzing;

/// A file, and the damage to it.
#[derive(Debug)]
pub struct Spooled {
    lines: Vec<Vec<u8>>,
    is_ended: bool,
    /// Positions with the bytes that are there now.
    changes: Vec<(u16, u8)>,
    cut: Option<u16>,
    /// What follows the lines: those of an earlier use of the file, or anything.
    rest: Vec<u8>,
    is_raw: bool,
}

impl<'a> Arbitrary<'a> for Spooled {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let mut lines: Vec<Vec<u8>> = u.arbitrary()?;
        lines.iter_mut().for_each(|line| line.push(b'\n'));
        let (is_ended, changes, cut) = (u.arbitrary()?, u.arbitrary()?, u.arbitrary()?);
        let (is_raw, rest) = (u.arbitrary()?, u.arbitrary()?);
        Ok(Self { lines, is_ended, changes, cut, rest, is_raw })
    }
}

impl Spooled {
    pub fn check(&self) {
        if self.is_raw {
            fuzzing::spooled(&self.rest);
            return;
        }
        let lines: Vec<&[u8]> = self.lines.iter().map(Vec::as_slice).collect();
        let (mut file, places) = fuzzing::spool_file(&lines, self.is_ended);
        let mut intact = vec![true; lines.len()];
        for (at, byte) in &self.changes {
            let at = usize::from(*at);
            let Some(place) = file.get_mut(at) else { continue };
            // If both headers are changed, every line may be lost.
            if at < places.first().map_or(usize::MAX, |first| first.start) || *place == *byte {
                continue;
            }
            *place = *byte;
            places
                .iter()
                .zip(&mut intact)
                .for_each(|(place, intact)| *intact &= !place.contains(&at));
        }
        if let Some(cut) = self.cut.map(usize::from).filter(|cut| *cut < file.len()) {
            file.truncate(cut);
            places.iter().zip(&mut intact).for_each(|(place, intact)| *intact &= place.end <= cut);
        } else {
            file.extend_from_slice(&self.rest);
        }
        let read = fuzzing::spooled(&file);
        let mut written = self.lines.iter();
        for line in &read {
            assert!(written.any(|written| written == line), "invented: {line:?}");
        }
        let least = intact.iter().filter(|intact| **intact).count();
        if self.cut.is_none() {
            assert!(read.len() >= least, "{} read of {least}", read.len());
        }
    }
}
