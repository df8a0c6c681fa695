//! Copies short strings and scans their bytes in pairs of 64-bit words, without calls.
//!
//! Every read here has the width in which the bytes were written, or reads the caller's string.
//! A wide read of bytes just written in narrow pieces stalls the processor: see `DESIGN.md`,
//! "Line protocol".

/// Copies `text` to a place of the same length, and passes all its bytes to `inspect`, in pairs of
/// words. Strings of up to 16 bytes take a few instructions and no call, unlike `copy_from_slice`.
#[inline]
pub(super) fn copy(place: &mut [u8], text: &[u8], mut inspect: impl FnMut(u64, u64)) {
    if let (Some(first), Some(last)) = (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        if text.len() > 16 {
            for (place, piece) in place.chunks_exact_mut(16).zip(text.chunks_exact(16)) {
                place.copy_from_slice(piece);
            }
            if let (Some(place), Some(tail)) = (place.last_chunk_mut::<16>(), text.last_chunk()) {
                *place = *tail;
            }
        } else if let Some(place) = place.first_chunk_mut() {
            *place = *first;
        }
        if let Some(place) = place.last_chunk_mut() {
            *place = *last;
        }
    } else if let (Some(first), Some(last)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        if let Some(place) = place.first_chunk_mut() {
            *place = *first;
        }
        if let Some(place) = place.last_chunk_mut() {
            *place = *last;
        }
    } else {
        for (place, byte) in place.iter_mut().zip(text) {
            *place = *byte;
        }
    }
    each_pair_of_words(text, &mut inspect);
}

/// The bytes of a string, 16 at a time; the last 16 may overlap those before.
#[inline]
fn each_pair_of_words(text: &[u8], mut inspect: impl FnMut(u64, u64)) {
    if text.len() <= 16 {
        let (first, last) = words(text);
        return inspect(first, last);
    }
    for piece in text.chunks_exact(16) {
        let (first, last) = words(piece);
        inspect(first, last);
    }
    let (first, last) = words(&text[text.len() - 16..]);
    inspect(first, last);
}

/// The first and the last bytes of a string of up to 16 bytes, as words. Together they hold every
/// byte; bytes in the middle may be in both. Words of strings of up to three bytes are padded with
/// letters, which are special nowhere.
#[inline]
fn words(bytes: &[u8]) -> (u64, u64) {
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        (u64::from_le_bytes(*first), u64::from_le_bytes(*last))
    } else if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        let word = u64::from(first) | u64::from(last) << 32;
        (word, word)
    } else if let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) {
        let word =
            u64::from_le_bytes([first, bytes[bytes.len() / 2], last, b'a', b'a', b'a', b'a', b'a']);
        (word, word)
    } else {
        (EVERY * b'a' as u64, EVERY * b'a' as u64)
    }
}

/// Multiplied by a byte, a word with that byte in every place.
const EVERY: u64 = 0x0101_0101_0101_0101;

const HIGH_BITS: u64 = EVERY * 0x80;

/// Checks that no byte is special anywhere in a line: no control character, space, `"`, `,`, `=`
/// or `\`.
pub(super) struct PlainCheck(u64);

impl Default for PlainCheck {
    fn default() -> Self {
        Self(HIGH_BITS)
    }
}

impl PlainCheck {
    #[inline]
    pub(super) fn add(&mut self, first: u64, last: u64) {
        self.0 &= plain_bytes(first) & plain_bytes(last);
    }

    #[inline]
    pub(super) fn is_plain(&self) -> bool {
        self.0 == HIGH_BITS
    }
}

/// Sets the high bit of each byte that is not special, and leaves the other bits undefined. The
/// high bits are cleared first, so that no sum of two bytes carries into the next. `!` counts as
/// special, which costs time but not correctness.
#[inline]
fn plain_bytes(word: u64) -> u64 {
    const LOW_BITS: u64 = EVERY * 0x7f;
    let differs = |low: u64, byte: u8| (low ^ (EVERY * u64::from(byte))) + LOW_BITS;
    let low = word & LOW_BITS;
    let above_quote = low + EVERY * (0x80 - (b'"' as u64 + 1));
    let ascii = above_quote & differs(low, b',') & differs(low, b'=') & differs(low, b'\\');
    word | (ascii & differs(low, 0x7f))
}

/// The fingerprint of a key: 16 bits, equal for equal keys.
#[inline]
pub(super) fn fingerprint(key: &[u8]) -> u64 {
    let mut fingerprint = Fingerprint::of_length(key.len());
    each_pair_of_words(key, |first, last| fingerprint.add(first, last));
    fingerprint.finish()
}

/// Computes a key's fingerprint while the key is copied.
pub(super) struct Fingerprint(u64);

impl Fingerprint {
    #[inline]
    pub(super) fn of_length(len: usize) -> Self {
        Self(len as u64)
    }

    #[inline]
    pub(super) fn add(&mut self, first: u64, last: u64) {
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        self.0 = (self.0 ^ first ^ last.rotate_left(29)).wrapping_mul(ODD);
    }

    #[inline]
    pub(super) fn finish(self) -> u64 {
        self.0 >> 48
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_plain(bytes: &[u8]) -> bool {
        let (mut check, mut copied) = (PlainCheck::default(), vec![0; bytes.len()]);
        copy(&mut copied, bytes, |first, last| check.add(first, last));
        assert_eq!(copied, bytes);
        check.is_plain()
    }

    #[test]
    fn a_byte_is_plain_exactly_if_it_needs_no_escape_anywhere() {
        for byte in (0..=u8::MAX).step_by(if cfg!(miri) { 31 } else { 1 }) {
            let special = matches!(byte, 0..=b' ' | b'!' | b'"' | b',' | b'=' | b'\\' | 0x7f);
            for len in (1..40).step_by(if cfg!(miri) { 13 } else { 1 }) {
                for at in 0..len {
                    let mut bytes = vec![b'x'; len];
                    bytes[at] = byte;
                    assert_eq!(is_plain(&bytes), !special, "{byte} at {at} of {len}");
                }
            }
        }
    }
}
