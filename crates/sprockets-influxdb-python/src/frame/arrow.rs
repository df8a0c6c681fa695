//! Reads the values of an Arrow column.

use sprockets_influxdb::FieldValue;

use super::ffi::Array;
use super::kind::Kind;
use super::rows::Column;

/// The data of a column. Reads are within the bytes that its length allows.
pub(super) struct ArrowColumn<'a> {
    kind: &'a Kind,
    /// The place of the first row.
    start: usize,
    /// A bit for each place, which is 0 for null. Empty if no row is null.
    validity: &'a [u8],
    /// Numbers, bits, offsets or views.
    values: &'a [u8],
    /// The texts that offsets or views point into.
    texts: Vec<&'a [u8]>,
    dictionary: Option<Box<ArrowColumn<'a>>>,
}

impl<'a> ArrowColumn<'a> {
    /// `start`: the place of the batch's first row.
    pub(super) fn new(kind: &'a Kind, array: Array<'a>, start: usize) -> Self {
        let places = array.offset() + array.length();
        let values = match kind {
            // A column without places need not have an offset.
            _ if places == 0 => &[],
            Kind::Null | Kind::Other => &[],
            Kind::Boolean => array.buffer(1, places.div_ceil(8)),
            Kind::Integer { width, .. }
            | Kind::Float { width }
            | Kind::Time { width, .. }
            | Kind::Decimal { width, .. }
            | Kind::Dictionary { width, .. } => array.buffer(1, places * width),
            Kind::Text { width } => array.buffer(1, (places + 1) * width),
            Kind::TextView => array.buffer(1, places * 16),
        };
        let texts = match kind {
            _ if places == 0 => Vec::new(),
            Kind::Text { width } => {
                let end = unsigned(values, places, *width).unwrap_or(0);
                vec![array.buffer(2, end)]
            }
            Kind::TextView => {
                // The last buffer has the lengths of those before it.
                let count = array.buffers().saturating_sub(3);
                let lengths = array.buffer(count + 2, count * 8);
                let length = |at| unsigned(lengths, at, 8).unwrap_or(0);
                (0..count).map(|at| array.buffer(at + 2, length(at))).collect()
            }
            _ => Vec::new(),
        };
        let dictionary = match kind {
            Kind::Dictionary { values, .. } => {
                array.dictionary().map(|array| Box::new(ArrowColumn::new(values, array, 0)))
            }
            _ => None,
        };
        let validity = match kind {
            Kind::Null | Kind::Other => &[],
            _ => array.buffer(0, places.div_ceil(8)),
        };
        Self { kind, start: start + array.offset(), validity, values, texts, dictionary }
    }

    /// The time of a row, in nanoseconds since the epoch. `None` if it is null or out of range.
    pub(super) fn time(&self, row: usize) -> Option<i64> {
        let Kind::Time { width, unit } = self.kind else { return None };
        let place = self.place(row)?;
        signed(self.values, place, *width)?.checked_mul(*unit)
    }

    /// Whether a row has no value.
    pub(super) fn is_null(&self, row: usize) -> bool {
        self.place(row).is_none()
    }

    /// The place of a row, unless it is null.
    fn place(&self, row: usize) -> Option<usize> {
        let place = self.start + row;
        (self.validity.is_empty() || bit(self.validity, place)).then_some(place)
    }

    fn text(&self, place: usize) -> Option<&[u8]> {
        if let Kind::Text { width } = self.kind {
            let begin = unsigned(self.values, place, *width)?;
            let end = unsigned(self.values, place + 1, *width)?;
            return self.texts.first()?.get(begin..end);
        }
        let view = bytes(self.values, place, 16)?;
        let length = unsigned(view, 0, 4)?;
        if length <= 12 {
            return view.get(4..4 + length);
        }
        let (text, begin) = (self.texts.get(unsigned(view, 2, 4)?)?, unsigned(view, 3, 4)?);
        text.get(begin..begin + length)
    }
}

impl Column for ArrowColumn<'_> {
    fn value(&self, row: usize) -> Option<FieldValue<'_>> {
        let place = self.place(row)?;
        match self.kind {
            Kind::Null | Kind::Other | Kind::Time { .. } => None,
            Kind::Boolean => Some(FieldValue::Boolean(bit(self.values, place))),
            Kind::Integer { width: 8, is_signed: false } => {
                let value = bytes(self.values, place, 8)?.try_into().ok()?;
                Some(FieldValue::Unsigned(u64::from_le_bytes(value)))
            }
            Kind::Integer { width, is_signed } => {
                integer(self.values, place, *width, *is_signed).map(FieldValue::Integer)
            }
            Kind::Float { width: 4 } => {
                let value = bytes(self.values, place, 4)?.try_into().ok()?;
                Some(FieldValue::Float(f32::from_le_bytes(value).into()))
            }
            Kind::Float { .. } => {
                let value = bytes(self.values, place, 8)?.try_into().ok()?;
                Some(FieldValue::Float(f64::from_le_bytes(value)))
            }
            Kind::Text { .. } | Kind::TextView => {
                Some(FieldValue::String(String::from_utf8_lossy(self.text(place)?)))
            }
            Kind::Decimal { width, scale } => {
                let digits = wide(bytes(self.values, place, *width)?)?;
                // The float that is nearest to the decimal number.
                format!("{digits}e{}", -scale).parse().ok().map(FieldValue::Float)
            }
            Kind::Dictionary { width, is_signed, .. } => {
                let index = integer(self.values, place, *width, *is_signed)?;
                let dictionary = self.dictionary.as_ref()?;
                dictionary.value(usize::try_from(index).ok()?)
            }
        }
    }
}

fn bit(bits: &[u8], place: usize) -> bool {
    bits.get(place / 8).is_some_and(|byte| byte >> (place % 8) & 1 == 1)
}

fn bytes(values: &[u8], place: usize, width: usize) -> Option<&[u8]> {
    values.get(place * width..(place + 1) * width)
}

fn signed(values: &[u8], place: usize, width: usize) -> Option<i64> {
    integer(values, place, width, true)
}

fn unsigned(values: &[u8], place: usize, width: usize) -> Option<usize> {
    usize::try_from(integer(values, place, width, width < 8)?).ok()
}

/// A little-endian integer. An unsigned one of eight bytes must fit.
fn integer(values: &[u8], place: usize, width: usize, is_signed: bool) -> Option<i64> {
    let value = bytes(values, place, width)?;
    let is_negative = is_signed && value.last()? >> 7 == 1;
    let mut wide = [if is_negative { 0xff } else { 0 }; 8];
    wide.get_mut(..width)?.copy_from_slice(value);
    Some(i64::from_le_bytes(wide)).filter(|value| is_signed || *value >= 0)
}

/// A little-endian integer of a decimal. `None` if it has more than 128 bits.
fn wide(value: &[u8]) -> Option<i128> {
    let sign = if value.last()? >> 7 == 1 { 0xff } else { 0 };
    let mut wide = [sign; 16];
    let (low, high) = value.split_at(value.len().min(16));
    wide.get_mut(..low.len())?.copy_from_slice(low);
    let is_narrow = high.iter().all(|byte| *byte == sign) && wide[15] >> 7 == sign >> 7;
    is_narrow.then(|| i128::from_le_bytes(wide))
}
