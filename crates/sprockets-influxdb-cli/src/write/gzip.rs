//! Decompresses gzip: members one after the other, and zeros after each, with which tapes and block
//! devices pad files.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

pub(super) struct Members<R> {
    /// `None` at the end.
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> Members<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { member: Some(GzDecoder::new(reader)) }
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let read = member.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            let Some(mut reader) = self.member.take().map(GzDecoder::into_inner) else { break };
            if !skip_zeros(&mut reader)? {
                self.member = Some(GzDecoder::new(reader));
            }
        }
        Ok(0)
    }
}

/// Returns whether nothing follows.
fn skip_zeros(reader: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let bytes = reader.fill_buf()?;
        if bytes.is_empty() {
            return Ok(true);
        }
        let (zeros, length) = (bytes.iter().take_while(|byte| **byte == 0).count(), bytes.len());
        reader.consume(zeros);
        if zeros < length {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Write};

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn member(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    fn read(bytes: &[u8], capacity: usize) -> io::Result<String> {
        let mut text = String::new();
        Members::new(BufReader::with_capacity(capacity, bytes)).read_to_string(&mut text)?;
        Ok(text)
    }

    #[test]
    fn members_and_zeros_between_and_after_them_are_read() {
        let padded =
            [member("one"), vec![0; 3], member(""), member("two"), vec![0; 10_000]].concat();
        for capacity in [1, 7, 100_000] {
            assert_eq!(read(&padded, capacity).unwrap(), "onetwo");
        }
    }

    #[test]
    fn a_member_that_is_cut_off_and_other_bytes_after_one_are_errors() {
        let whole = member("a text that is compressed");
        for end in 1..whole.len() {
            read(&whole[..end], 100).unwrap_err();
        }
        read(&[whole.clone(), b"x".to_vec()].concat(), 100).unwrap_err();
        read(&[whole, vec![0, 0, 1]].concat(), 100).unwrap_err();
    }
}
