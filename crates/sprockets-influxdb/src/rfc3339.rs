//! Times as RFC 3339 writes them, in UTC.
//!
//! The calendar repeats every 400 years. Years are counted from March here, so that a leap day is
//! the last day of its year.

use std::time::{Duration, SystemTime};

const DAY: u64 = 24 * 3_600;

/// The days of 400 years.
const ERA: u64 = 146_097;

/// The days from 1 March of the year 0 to the epoch.
const EPOCH: u64 = 719_468;

/// A time in whole seconds, such as `2026-11-23T15:04:05Z`. One before 1970 is given as 1970.
pub(crate) fn format(time: SystemTime) -> String {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let days = seconds / DAY + EPOCH;
    let (era, day_of_era) = (days / ERA, days % ERA);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / (ERA - 1)) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = 400 * era + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// A time with or without a fraction of a second. `None` if it is none, or before 1970.
pub fn parse(text: &str) -> Option<SystemTime> {
    let form = b"0000-00-00T00:00:00";
    let (time, fraction) = text.strip_suffix('Z')?.split_at_checked(form.len())?;
    let is_of_form = |(byte, form): (u8, u8)| match form {
        b'0' => byte.is_ascii_digit(),
        form => byte == form,
    };
    if !time.bytes().zip(*form).all(is_of_form) {
        return None;
    }
    let number = |from: usize, to: usize| time[from..to].parse::<u64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let nanoseconds = match fraction {
        "" => 0,
        fraction => {
            let digits = fraction.strip_prefix('.').filter(|digits| !digits.is_empty())?;
            let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| format!("{digits:0<9}")[..9].parse().ok())??
        }
    };
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (year, month) =
        if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    let seconds = days.checked_sub(EPOCH)? * DAY + hour * 3_600 + minute * 60 + second;
    Some(SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_and_read() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_763_910_245, "2025-11-23T15:04:05Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!((format(time).as_str(), parse(text)), (text, Some(time)));
        }
    }

    #[test]
    fn a_fraction_is_read_and_other_text_is_no_time() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_500);
        for fraction in [".5", ".500000000", ".50000000099"] {
            assert_eq!(parse(&format!("2023-11-14T22:13:20{fraction}Z")), Some(time));
        }
        for text in [
            "",
            "yesterday",
            "2023-11-14T22:13:20",
            "2023-11-14T22:13:20.Z",
            "2023-11-14T22:13:20.5xZ",
            "2023-11-14 22:13:20Z",
            "2023-13-14T22:13:20Z",
            "2023-00-14T22:13:20Z",
            "2023-11-00T22:13:20Z",
            "1969-12-31T23:59:59Z",
            "0000-01-01T00:00:00Z",
            "+023-11-14T22:13:20Z",
            "2023-11-14T22:13:2\u{e9}Z",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
