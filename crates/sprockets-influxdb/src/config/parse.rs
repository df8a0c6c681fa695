//! How values are read from text, which ones are valid, and what is said of the others.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::mask::{MASK, Secret, masked, quoted};

/// A value, or the reason why it cannot be used. The reason does not name the setting.
pub(super) type Checked<T> = Result<T, String>;

/// Reads and checks the values of a setting.
pub(super) trait Parser<T> {
    /// Reads a value from text, as an environment variable has it.
    fn read(&self, text: &str) -> Checked<T>;

    /// Checks a value that was provided by a typed setter.
    fn check(&self, value: T) -> Checked<T> {
        Ok(value)
    }
}

impl<T, F: Fn(&str) -> Checked<T>> Parser<T> for F {
    fn read(&self, text: &str) -> Checked<T> {
        self(text)
    }
}

/// A parser whose refusals all have the same form.
pub(super) struct ValueParser<T> {
    /// With its article: "a port".
    pub(super) noun: &'static str,
    pub(super) expected: &'static str,
    pub(super) parse: fn(&str) -> Option<T>,
    pub(super) valid: fn(&T) -> bool,
}

impl<T> ValueParser<T> {
    fn refusal(&self, value: impl fmt::Display) -> String {
        format!("{value} is not {}: expected {}", self.noun, self.expected)
    }
}

impl<T: fmt::Debug> Parser<T> for ValueParser<T> {
    /// White space around the value does not count.
    fn read(&self, text: &str) -> Checked<T> {
        (self.parse)(text.trim())
            .filter(self.valid)
            // A URL with a password may stand where it does not belong.
            .ok_or_else(|| self.refusal(quoted(&masked(text))))
    }

    fn check(&self, value: T) -> Checked<T> {
        if (self.valid)(&value) { Ok(value) } else { Err(self.refusal(format_args!("{value:?}"))) }
    }
}

pub(super) static BOOLEAN: ValueParser<bool> = ValueParser {
    noun: "a boolean",
    expected: "true, false, 1, 0, yes, no, on or off",
    parse: |text| match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    },
    valid: |_| true,
};

pub(super) static CLIENTS: ValueParser<usize> = ValueParser {
    noun: "a number of clients",
    expected: "a whole number from 1 to 1024",
    parse: number,
    valid: |clients| (1..=1024).contains(clients),
};

pub(super) static INTERVAL: ValueParser<Duration> = ValueParser {
    noun: "an interval",
    expected: "whole milliseconds from 1 to 31536000000 \
               (a trigger size of 1 submits each measurement at once)",
    parse: milliseconds,
    valid: |interval| !interval.is_zero() && *interval <= MAX_DURATION,
};

pub(super) static PORT: ValueParser<u16> = ValueParser {
    noun: "a port",
    expected: "a whole number from 1 to 65535",
    parse: number,
    valid: |port| *port != 0,
};

pub(super) static PROBABILITY: ValueParser<f64> = ValueParser {
    noun: "a probability",
    expected: "a number from 0 to 1",
    parse: number,
    valid: |probability| (0.0..=1.0).contains(probability),
};

pub(super) static SIZE: ValueParser<usize> = ValueParser {
    noun: "a size",
    #[cfg(target_pointer_width = "64")]
    expected: "a whole number from 1 to 9223372036854775807",
    #[cfg(not(target_pointer_width = "64"))]
    expected: "a whole number from 1 to 2147483647",
    parse: number,
    valid: |size| (1..=isize::MAX as usize).contains(size),
};

/// Whether a token of a subject, or the name of a stream, may have this character.
fn is_token(character: char) -> bool {
    character.is_ascii_graphic() && !['.', '*', '>', '/', '\\'].contains(&character)
}

pub(super) static STREAM: ValueParser<String> = ValueParser {
    noun: "the name of a stream",
    expected: "printable ASCII without space, '.', '*', '>', '/' and '\\'",
    parse: |text| Some(text.to_owned()),
    valid: |name| name.chars().all(is_token),
};

pub(super) static SUBJECT: ValueParser<String> = ValueParser {
    noun: "a subject of NATS",
    expected: "tokens of printable ASCII with dots between them, without '*' and '>'",
    parse: |text| Some(text.to_owned()),
    valid: |subject| {
        subject.split('.').all(|token| !token.is_empty() && token.chars().all(is_token))
            && !subject.starts_with('$')
    },
};

/// A timeout within which something has to happen.
pub(super) static TIMEOUT: ValueParser<Duration> = ValueParser {
    noun: "a timeout",
    expected: "whole milliseconds from 1 to 31536000000",
    parse: milliseconds,
    valid: |timeout| !timeout.is_zero() && *timeout <= MAX_DURATION,
};

/// A timeout of which zero means: do not wait.
pub(super) static WAIT: ValueParser<Duration> = ValueParser {
    noun: "a timeout",
    expected: "whole milliseconds from 0 to 31536000000",
    parse: milliseconds,
    valid: |timeout| *timeout <= MAX_DURATION,
};

/// 365 days. More is a mistake, and much more could not be added to the present time.
const MAX_DURATION: Duration = Duration::from_millis(31_536_000_000);

fn number<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

fn milliseconds(text: &str) -> Option<Duration> {
    number(text).map(Duration::from_millis)
}

/// Any text. An empty one means: none.
pub(super) fn text(text: &str) -> Checked<String> {
    Ok(text.into())
}

pub(super) fn path(text: &str) -> Checked<PathBuf> {
    Ok(text.into())
}

pub(super) fn password(text: &str) -> Checked<Secret> {
    Ok(Secret::new(text))
}

/// A token has to fit into a header. The refusal does not show it.
pub(super) fn token(text: &str) -> Checked<Secret> {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Ok(Secret::new(text));
    }
    let problem = "the token (not shown) has a character that cannot stand in an HTTP header: \
                   expected printable ASCII (is there a line break at its end?)";
    Err(problem.into())
}

/// In Basic authentication a colon ends the user name.
pub(super) fn user(text: &str) -> Checked<String> {
    let Some((start, _)) = text.split_once(':') else {
        return Ok(text.into());
    };
    // What follows the colon may be a password.
    let shown = quoted(&format!("{start}:{MASK}"));
    Err(format!(
        "{shown} is not a user name: expected one without a colon, where HTTP lets the password \
         begin"
    ))
}

#[cfg(test)]
mod tests;
