//! The error text of a reply, from all the forms that servers put it into: JSON of InfluxDB 1.x,
//! 2.x and 3.x, Telegraf's almost-JSON, plain text of VictoriaMetrics and of proxies, or only a
//! header.

use std::str::Chars;

use serde_json::Value;

use super::reply::Reply;
use crate::delivery::sanitize::{Secrets, sanitize};

/// The codes of InfluxDB 2.x, beside the message.
const CODES: [&str; 13] = [
    "conflict",
    "empty value",
    "forbidden",
    "internal error",
    "invalid",
    "method not allowed",
    "not found",
    "request timeout",
    "request too large",
    "too many requests",
    "unauthorized",
    "unavailable",
    "unprocessable entity",
];

#[derive(Debug)]
pub(super) struct ErrorBody<'a> {
    status: u16,
    message: String,
    is_complete: bool,
    /// Whether only an InfluxDB, or a server compatible with it, gives its errors this form.
    has_influxdb_form: bool,
    numbered: Option<Numbered>,
    secrets: &'a Secrets,
}

/// Lines that a reply names by their number.
#[derive(Debug, PartialEq)]
pub(super) struct Numbered {
    /// Each counted from 1, with its reason.
    pub(super) lines: Vec<(u64, String)>,
    /// Whether the other lines are stored.
    pub(super) rest_stored: bool,
}

impl<'a> ErrorBody<'a> {
    pub(super) fn of(reply: &Reply<'a>) -> Self {
        let Reply { status, secrets, truncated, .. } = *reply;
        let new = |message, is_complete, has_influxdb_form| {
            let numbered = None;
            Self { status, message, is_complete, has_influxdb_form, numbered, secrets }
        };
        if let Ok(json @ Value::Object(_)) = serde_json::from_slice(reply.body) {
            let message = [&json["error"], &json["message"]].into_iter().find_map(Value::as_str);
            if let Some(message) = message {
                let numbered = Numbered::read(&json, message, secrets);
                let has_code = json["message"].is_string()
                    && json["code"].as_str().is_some_and(|code| CODES.contains(&code));
                let has_lines = json["data"].pointer("/0/line_number").is_some()
                    || json["data"]["line_number"].is_number();
                let body = new(message.trim_end().to_owned(), !truncated, has_code || has_lines);
                return Self { numbered, ..body };
            }
        }
        let body = String::from_utf8_lossy(reply.body);
        let body = body.trim();
        if let Some((message, is_closed)) = broken_json(body) {
            return new(message, is_closed && !truncated, false);
        }
        match (body, reply.error_header()) {
            ("", Some(header)) => new(String::from_utf8_lossy(header).into_owned(), false, true),
            _ => match victoria_metrics_error(body) {
                Some(error) => new(error.to_owned(), !truncated, true),
                None => new(without_request(body).to_owned(), !truncated, false),
            },
        }
    }

    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// Whether [`message`](Self::message) is all that the server said.
    pub(super) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Whether only an InfluxDB, or a server compatible with it, gives its errors this form.
    pub(super) fn has_influxdb_form(&self) -> bool {
        self.has_influxdb_form
    }

    /// The lines that it names by their number.
    pub(super) fn numbered(&self) -> Option<&Numbered> {
        self.numbered.as_ref()
    }

    /// The message up to and including its first quote. In quotes a server echoes the request.
    pub(super) fn head(&self) -> &str {
        until_quote(&self.message)
    }

    /// The status and the message, for a person.
    pub(super) fn reason(&self) -> String {
        match self.sanitize(&self.message).as_str() {
            "" => format!("{} without a text", self.status),
            message => format!("{}: {message}", self.status),
        }
    }

    /// A part of the message, for a person.
    pub(super) fn sanitize(&self, text: &str) -> String {
        sanitize(text, self.secrets)
    }
}

impl Numbered {
    fn read(json: &Value, message: &str, secrets: &Secrets) -> Option<Self> {
        let entry = |json| entry(json, secrets);
        let is_partial = until_quote(message).contains("partial write");
        match &json["data"] {
            // InfluxDB 3: an array when the other lines are stored, one object when nothing is.
            // Other servers have arrays, too: only its words confirm the other lines.
            Value::Array(entries) if !entries.is_empty() => {
                Some(Self { lines: entries.iter().map(entry).collect(), rest_stored: is_partial })
            }
            only @ Value::Object(_) => Some(Self { lines: vec![entry(only)], rest_stored: false }),
            _ => {
                let lines = Self::read_in_message(json["line"].as_u64()?, message, secrets);
                Some(Self { lines, rest_stored: is_partial })
            }
        }
    }

    /// InfluxDB Cloud and Clustered: `line` is the first bad line. The message lists up to a
    /// hundred, as `error parsing line 4 (1-based): Unable to parse timestamp`.
    fn read_in_message(first: u64, message: &str, secrets: &Secrets) -> Vec<(u64, String)> {
        let listed = message.lines().filter_map(|text| {
            let text = text.trim_start().strip_prefix("error parsing line ")?;
            let (number, reason) = text.split_once(" (1-based): ")?;
            Some((number.parse().ok()?, sanitize(reason, secrets)))
        });
        let mut lines: Vec<(u64, String)> = listed.collect();
        if lines.iter().all(|(number, _)| *number != first) {
            lines.push((first, sanitize(message, secrets)));
        }
        lines
    }
}

fn entry(json: &Value, secrets: &Secrets) -> (u64, String) {
    // There is no line 0: an entry without a number names no line.
    let number = json["line_number"].as_u64().unwrap_or(0);
    let reason = json["error_message"].as_str().unwrap_or("no reason given");
    (number, sanitize(reason, secrets))
}

fn until_quote(message: &str) -> &str {
    &message[..message.find(['\'', '"']).map_or(message.len(), |quote| quote + 1)]
}

/// The message in JSON that was cut short, or that Go's `%q` wrote; and whether its end is there.
fn broken_json(text: &str) -> Option<(String, bool)> {
    if !text.starts_with('{') {
        return None;
    }
    let starts = ["\"error\":", "\"message\":"]
        .into_iter()
        .filter_map(|key| Some(text.find(key)? + key.len()));
    let string = text[starts.min()?..].trim_start().strip_prefix('"')?;

    let mut message = String::new();
    let mut rest = string.chars();
    loop {
        let character = match rest.next() {
            None => return Some((message, false)),
            Some('"') => return Some((message, true)),
            Some('\\') => match rest.next() {
                None => return Some((message, false)),
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some('x') => hexadecimal(&mut rest, 2),
                Some('u') => hexadecimal(&mut rest, 4),
                Some('U') => hexadecimal(&mut rest, 8),
                Some('a' | 'b' | 'f' | 'v') => ' ',
                Some(other) => other,
            },
            Some(other) => other,
        };
        message.push(character);
    }
}

fn hexadecimal(rest: &mut Chars<'_>, digits: usize) -> char {
    let number = rest.as_str().get(..digits).and_then(|hex| u32::from_str_radix(hex, 16).ok());
    rest.by_ref().take(digits).for_each(drop);
    number.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// The error of VictoriaMetrics, without what it puts before: the request's URI, with the secrets
/// in it.
fn victoria_metrics_error(text: &str) -> Option<&str> {
    text.starts_with("remoteAddr: ")
        .then(|| text.split_once("requestURI: "))??
        .1
        .split_once("; ")
        .map(|(_, error)| error)
}

/// What there is of such an error when it was cut short.
fn without_request(text: &str) -> &str {
    text.split_once("requestURI: ")
        .map_or(text, |(_, rest)| rest.split_once("; ").map_or("", |(_, error)| error))
}
