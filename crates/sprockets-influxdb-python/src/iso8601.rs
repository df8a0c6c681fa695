//! Reads times as ISO 8601 writes them, exact to the nanosecond.

/// The nanoseconds since the epoch of a date and time with an offset, such as
/// `2026-01-31T12:00:00.123456789+01:00`. `Err` says what is wrong with the text.
pub(crate) fn nanoseconds(text: &str) -> Result<i128, &'static str> {
    let mut rest = Rest(text.as_bytes());
    let local = local(&mut rest).ok_or("this is no ISO 8601 date and time")?;
    if rest.0.is_empty() {
        return Err("add the offset from UTC, such as Z or +01:00");
    }
    match offset(&mut rest) {
        Some(offset) if rest.0.is_empty() => Ok(local - offset * 1_000_000_000),
        _ => Err("after the time, only an offset such as Z or +01:00 is known"),
    }
}

/// What is left of a text.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    /// The next byte, if it is one of these.
    fn one_of(&mut self, bytes: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        bytes.contains(first).then(|| self.0 = rest)?;
        Some(*first)
    }

    fn digit(&mut self) -> Option<i64> {
        self.one_of(b"0123456789").map(|digit| i64::from(digit - b'0'))
    }

    /// A number of exactly `count` digits, if it is in the range.
    fn number(&mut self, count: u32, least: i64, most: i64) -> Option<i64> {
        let number = (0..count).try_fold(0, |number, _| Some(number * 10 + self.digit()?))?;
        (least..=most).contains(&number).then_some(number)
    }
}

/// Date and time in nanoseconds, without regard to the offset.
fn local(rest: &mut Rest<'_>) -> Option<i128> {
    let year = rest.number(4, 1, 9999)?;
    rest.one_of(b"-")?;
    let month = rest.number(2, 1, 12)?;
    rest.one_of(b"-")?;
    let day = rest.number(2, 1, days_in(year, month))?;
    rest.one_of(b"Tt ")?;
    let mut seconds = rest.number(2, 0, 23)? * 3600;
    rest.one_of(b":")?;
    seconds += rest.number(2, 0, 59)? * 60;
    let mut fraction = 0;
    if rest.one_of(b":").is_some() {
        seconds += rest.number(2, 0, 59)?;
        if rest.one_of(b".,").is_some() {
            fraction = nanoseconds_of_fraction(rest)?;
        }
    }
    let seconds = days_before(year, month, day) * 86_400 + seconds;
    Some(i128::from(seconds) * 1_000_000_000 + i128::from(fraction))
}

/// One to nine digits. More are refused unless they are zeros, as they would be lost.
fn nanoseconds_of_fraction(rest: &mut Rest<'_>) -> Option<i64> {
    let (mut fraction, mut unit) = (rest.digit()? * 100_000_000, 10_000_000);
    while let Some(digit) = rest.digit() {
        if unit == 0 && digit != 0 {
            return None;
        }
        fraction += digit * unit;
        unit /= 10;
    }
    Some(fraction)
}

/// The offset in seconds: `Z`, or hours and maybe minutes, with or without a colon.
fn offset(rest: &mut Rest<'_>) -> Option<i128> {
    let sign = match rest.one_of(b"Zz+-")? {
        b'+' => 1,
        b'-' => -1,
        _ => return Some(0),
    };
    let mut seconds = rest.number(2, 0, 23)? * 3600;
    if rest.one_of(b":").is_some() || !rest.0.is_empty() {
        seconds += rest.number(2, 0, 59)? * 60;
    }
    Some(i128::from(sign * seconds))
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The days from the epoch to a date.
fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let years = year - 1;
    let days_of_years = years * 365 + years / 4 - years / 100 + years / 400;
    let days_of_months: i64 = (1..month).map(|month| days_in(year, month)).sum();
    // 719,162 days lie between the first of January of the years 1 and 1970.
    days_of_years + days_of_months + day - 1 - 719_162
}
