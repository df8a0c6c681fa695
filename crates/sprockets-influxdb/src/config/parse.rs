//! Kinds of values: how each is read from text, which are valid, and what is said of the others. Setters and
//! environment share them.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use ureq::tls::{PemItem, parse_pem};

use super::secret::{MASK, Secret};
use super::types::Origin;
use super::url;
use crate::error::{Error, Result};

/// A value, or what is wrong with it; the name of its setting is put in front where it is known.
pub(super) type Checked<T> = std::result::Result<T, String>;

/// Where a value was asked for: the kind of place, and the variable's or the argument's name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    pub(super) origin: Origin,
    pub(super) name: &'static str,
}

impl Source {
    pub(super) const DEFAULT: Self = Self { origin: Origin::Default, name: "" };

    pub(super) fn argument(name: &'static str) -> Self {
        let origin = Origin::Argument;
        Self { origin, name }
    }

    pub(super) fn environment(name: &'static str) -> Self {
        let origin = Origin::Environment;
        Self { origin, name }
    }

    pub(super) fn error(&self, problem: impl fmt::Display) -> Error {
        Error::configuration(format!("{}: {problem}", self.name))
    }
}

/// A setting that may have been asked for: its value, or what is wrong with it when that is told later.
#[derive(Clone)]
pub(super) struct Provided<T>(Option<(Checked<T>, Source)>);

impl<T> Provided<T> {
    /// For setters that cannot fail: what is wrong is told when a client is made.
    pub(super) fn put(&mut self, source: Source, value: Checked<T>) {
        self.0 = Some((value, source));
    }

    /// For setters that can fail, and for the environment.
    pub(super) fn set(&mut self, source: Source, value: Checked<T>) -> Result<()> {
        let value = value.map_err(|problem| source.error(problem))?;
        self.put(source, Ok(value));
        Ok(())
    }

    pub(super) fn value(&self) -> Result<Option<&T>> {
        match &self.0 {
            None => Ok(None),
            Some((Ok(value), _)) => Ok(Some(value)),
            Some((Err(problem), source)) => Err(source.error(problem)),
        }
    }

    /// As [`Provided::value`], where what is wrong has been told already.
    pub(super) fn valid(&self) -> Option<&T> {
        self.value().ok().flatten()
    }

    pub(super) fn source(&self) -> Option<Source> {
        self.0.as_ref().map(|(_, source)| *source)
    }

    /// As [`Provided::source`], with one for the default.
    pub(super) fn from(&self) -> Source {
        self.source().unwrap_or(Source::DEFAULT)
    }

    pub(super) fn origin(&self) -> Origin {
        self.from().origin
    }
}

impl<T: AsRef<str>> Provided<T> {
    /// A text; an empty one asks for none.
    pub(super) fn filled(&self) -> Result<Option<&T>> {
        Ok(self.value()?.filter(|text| !text.as_ref().is_empty()))
    }
}

impl<T: Copy> Provided<T> {
    pub(super) fn or(&self, default: T) -> Result<T> {
        Ok(self.value()?.copied().unwrap_or(default))
    }
}

impl<T> Default for Provided<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: fmt::Debug> fmt::Debug for Provided<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => f.write_str("None"),
            Some((Ok(value), _)) => value.fmt(f),
            Some((Err(problem), _)) => f.write_str(problem),
        }
    }
}

/// A kind of value.
pub(super) struct ValueParser<T> {
    /// With its article: "a port".
    pub(super) noun: &'static str,
    pub(super) expected: &'static str,
    pub(super) parse: fn(&str) -> Option<T>,
    pub(super) valid: fn(&T) -> bool,
}

impl<T> ValueParser<T> {
    /// Reads a value from text; white space around it does not count. Masked as a URL is: one may stand where it does
    /// not belong.
    pub(super) fn read(&self, text: &str) -> Checked<T> {
        (self.parse)(text.trim())
            .filter(self.valid)
            .ok_or_else(|| self.refusal(quoted(&url::masked(text))))
    }

    fn refusal(&self, value: impl fmt::Display) -> String {
        format!("{value} is not {}: expected {}", self.noun, self.expected)
    }
}

impl<T: fmt::Debug> ValueParser<T> {
    pub(super) fn check(&self, value: T) -> Checked<T> {
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

pub(super) static HOST: ValueParser<String> = ValueParser {
    noun: "a host",
    expected: "a host name or an IP address alone (a whole URL belongs in INFLUXDB_URL or url)",
    parse: url::host,
    valid: |_| true,
};

pub(super) static INTERVAL: ValueParser<Duration> = ValueParser {
    noun: "an interval",
    expected: "whole milliseconds from 1 to 31536000000 (a trigger size of 1 submits each measurement at once)",
    parse: milliseconds,
    valid: |interval| !interval.is_zero() && *interval <= LONGEST,
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

pub(super) static SCHEME: ValueParser<url::Scheme> = ValueParser {
    noun: "a scheme",
    expected: "http or https",
    parse: url::Scheme::named,
    valid: |_| true,
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

pub(super) static TIMEOUT: ValueParser<Duration> = ValueParser {
    noun: "a timeout",
    expected: "whole milliseconds from 1 to 31536000000",
    parse: milliseconds,
    valid: |timeout| !timeout.is_zero() && *timeout <= LONGEST,
};

/// A timeout for something that need not be waited for.
pub(super) static WAIT: ValueParser<Duration> = ValueParser {
    noun: "a timeout",
    expected: "whole milliseconds from 0 to 31536000000",
    parse: milliseconds,
    valid: |timeout| *timeout <= LONGEST,
};

/// 365 days: more is a mistake, and much more could not be added to the present time.
const LONGEST: Duration = Duration::from_millis(31_536_000_000);

fn number<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

fn milliseconds(text: &str) -> Option<Duration> {
    number(text).map(Duration::from_millis)
}

/// A text as it is shown in an error: in quotes, without control characters, not endless.
pub(super) fn quoted(text: &str) -> String {
    const LONGEST: usize = 200;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// A token that can stand in a header. What is said of another does not show it.
pub(super) fn token(token: Secret) -> Checked<Secret> {
    if token.expose().bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Ok(token);
    }
    let problem = "the token (not shown) holds a character that cannot stand in an HTTP header: expected printable \
                   ASCII (is there a line break at its end?)";
    Err(problem.into())
}

/// A user name that can be told from the password that follows it in Basic authentication.
pub(super) fn user(user: String) -> Checked<String> {
    let Some((start, _)) = user.split_once(':') else {
        return Ok(user);
    };
    // What follows the colon may be a password.
    let shown = quoted(&format!("{start}:{MASK}"));
    Err(format!(
        "{shown} is not a user name: expected one without a colon, where HTTP lets the password begin"
    ))
}

/// Whether a file holds certificates.
pub(super) fn ca_file(path: &Path) -> Checked<()> {
    /// The largest bundles in use have a quarter of a megabyte.
    const MOST: u64 = 16 << 20;
    let refuse = |problem: &dyn fmt::Display| {
        let path = quoted(&path.to_string_lossy());
        format!("{path} {problem}: expected a file of PEM certificates")
    };
    let unreadable = |error| refuse(&format_args!("cannot be read ({error})"));
    // Provided of the path, not of the open file: to open a pipe would wait for its writer.
    if !path.metadata().map_err(unreadable)?.is_file() {
        return Err(refuse(&"is not a file"));
    }
    let mut pem = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(MOST + 1).read_to_end(&mut pem).map_err(unreadable)?;
    if pem.len() as u64 > MOST {
        return Err(refuse(&"is larger than 16 MiB"));
    }
    let mut certificates = 0;
    for item in parse_pem(&pem) {
        match item {
            Ok(PemItem::Certificate(certificate)) if certificate.der().starts_with(&[SEQUENCE]) => {
                certificates += 1
            }
            Ok(PemItem::Certificate(_)) | Err(_) => {
                return Err(refuse(&"holds a damaged PEM section"));
            }
            Ok(_) => {}
        }
    }
    if certificates == 0 {
        return Err(refuse(&"holds no PEM certificate"));
    }
    Ok(())
}

/// The first byte of every certificate in DER.
const SEQUENCE: u8 = 0x30;

/// Adds a tag; a name that is there already keeps its place and gets the new value.
pub(super) fn put_tag(tags: &mut Vec<(String, String)>, name: String, value: String) {
    match tags.iter_mut().find(|(present, _)| *present == name) {
        Some((_, present)) => *present = value,
        None => tags.push((name, value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_are_read_in_any_case() {
        for text in ["true", "TRUE", "True", "1", "yes", "Yes", "on", " on\n"] {
            assert_eq!(BOOLEAN.read(text), Ok(true), "{text}");
        }
        for text in ["false", "FALSE", "False", "0", "no", "No", "off", "OFF"] {
            assert_eq!(BOOLEAN.read(text), Ok(false), "{text}");
        }
    }

    #[test]
    fn a_refusal_says_value_kind_and_expectation() {
        assert_eq!(
            PORT.read("80a86").unwrap_err(),
            r#""80a86" is not a port: expected a whole number from 1 to 65535"#
        );
        assert_eq!(
            PROBABILITY.check(f64::NAN).unwrap_err(),
            "NaN is not a probability: expected a number from 0 to 1"
        );
        let told = SIZE.read(&"9".repeat(10_000)).unwrap_err();
        assert!(told.len() < 400, "{told}");
    }

    #[test]
    fn limits_are_exact() {
        assert_eq!(PORT.read("65535"), Ok(65535));
        assert!(PORT.read("65536").is_err());
        assert!(PORT.read("0").is_err());
        assert_eq!(CLIENTS.check(1024), Ok(1024));
        assert!(CLIENTS.check(1025).is_err());
        assert_eq!(SIZE.check(isize::MAX as usize), Ok(isize::MAX as usize));
        assert!(SIZE.check(usize::MAX).is_err());
        assert!(SIZE.expected.ends_with(&isize::MAX.to_string()));
        assert_eq!(WAIT.read("0"), Ok(Duration::ZERO));
        assert!(TIMEOUT.read("0").is_err());
        assert_eq!(INTERVAL.check(LONGEST), Ok(LONGEST));
        assert!(INTERVAL.check(LONGEST + Duration::from_nanos(1)).is_err());
        assert!(INTERVAL.check(Duration::MAX).is_err());
        for kind in [&INTERVAL, &TIMEOUT, &WAIT] {
            assert!(kind.expected.contains(&LONGEST.as_millis().to_string()));
        }
    }

    #[test]
    fn only_a_file_of_certificates_is_a_ca_file() {
        let directory =
            std::env::temp_dir().join(format!("sprockets-influxdb-ca-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let told = |content: &str| {
            let path = directory.join("ca.pem");
            std::fs::write(&path, content).unwrap();
            ca_file(&path)
        };
        let certificate = "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n";
        let key = "-----BEGIN PRIVATE KEY-----\nMAMCAQE=\n-----END PRIVATE KEY-----\n";

        assert_eq!(told(certificate), Ok(()));
        assert_eq!(told(&format!("# a comment\n{key}{certificate}{certificate}")), Ok(()));
        for (content, problem) in [
            ("", "holds no PEM certificate"),
            ("not a certificate", "holds no PEM certificate"),
            (key, "holds no PEM certificate"),
            ("-----BEGIN CERTIFICATE-----\nMAMCAQE=\n", "holds a damaged PEM section"),
            (
                "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
                "holds a damaged PEM section",
            ),
            (
                "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n",
                "holds a damaged PEM section",
            ),
        ] {
            let told = told(content).unwrap_err();
            assert!(told.contains("ca.pem") && told.contains(problem), "{told}");
        }
        assert!(ca_file(&directory).unwrap_err().contains("is not a file"));
        let absent = ca_file(&directory.join("absent")).unwrap_err();
        assert!(absent.contains("absent\" cannot be read ("), "{absent}");
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
