//! No reply breaks the sender, whoever sent it, and only one that confirms the write is a delivery.
//! A correct reply, in the form of each version, never loses a line that it does not reject.

use arbitrary::{Arbitrary, Result, Unstructured};
use serde_json::json;
use sprockets_influxdb::{Api, fuzzing};

use crate::hostile;

/// A batch, and a reply to it.
#[derive(Debug)]
pub struct Answered {
    lines: Vec<String>,
    api: Api,
    status: u16,
    retry_after: Option<String>,
    location: Option<String>,
    error_header: Option<Vec<u8>>,
    body: Vec<u8>,
    truncated: bool,
    /// Which lines a correct reply rejects.
    bad: Option<Vec<bool>>,
}

impl<'a> Arbitrary<'a> for Answered {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let mut lines = Vec::new();
        for _ in 0..u.int_in_range(1..=5)? {
            let sample = hostile::sample(u)?;
            if let Some(mut line) = fuzzing::line(&sample.measurement("db"), &[]) {
                line.pop();
                lines.push(String::from_utf8(line).expect("UTF-8"));
            }
        }
        if lines.is_empty() {
            lines.push("m f=1 1".to_owned());
        }
        let mut reply = Self {
            lines,
            api: *u.choose(&[Api::V1, Api::V2, Api::V3])?,
            status: any_status(u)?,
            retry_after: u.arbitrary()?,
            location: u.arbitrary()?,
            error_header: u.arbitrary()?,
            body: Vec::new(),
            truncated: u.arbitrary()?,
            bad: None,
        };
        if u.arbitrary()? {
            reply.make_correct(u)?
        } else {
            reply.body = any_body(u)?
        }
        Ok(reply)
    }
}

/// Any status; often a success, or one that InfluxDB gives.
fn any_status(u: &mut Unstructured<'_>) -> Result<u16> {
    match u.int_in_range(0..=2)? {
        0 => u.int_in_range(200..=299),
        1 => Ok(*u.choose(&[400, 401, 403, 404, 413, 422, 500, 503])?),
        _ => u.int_in_range(100..=599),
    }
}

/// Bytes, or pieces of real replies in any order.
fn any_body(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    const PIECES: [&str; 34] = [
        "<!DOCTYPE html><html>",
        "{\"code\":\"invalid\",\"message\":\"",
        "partial write: ",
        "hinted handoff queue not empty",
        "write buffer error: ",
        "error from wal: ",
        "max request size (1 bytes) exceeded",
        "Adding a new database would exceed limit of 5 databases",
        "Authorization header was malformed",
        "remoteAddr: \"127.0.0.1:1\"; requestURI: /write; ",
        "{\"error\":\"",
        "{\"message\":\"",
        "\",\"data\":[{",
        "\"error_message\":\"",
        "\"line_number\":",
        ",\"line\":",
        "}]}",
        "\"}",
        "1",
        "18446744073709551616",
        "field type conflict",
        ": input field \"a",
        "\" on measurement \"a",
        "\" is type float, already exists as type integer",
        "\" is type ",
        ", already exists as type ",
        "error parsing line 2 (1-based): ",
        "metric parse error: ",
        " (and 1 other parse error",
        "write: dropped 2 points",
        "requestURI: ",
        "\\n",
        "\\u00e9",
        "\\x",
    ];
    if u.arbitrary()? {
        return u.arbitrary();
    }
    let mut body = String::new();
    for _ in 0..u.int_in_range(0..=12)? {
        match u.arbitrary()? {
            true => body += u.choose(&PIECES)?,
            false => body += &hostile::text(u)?,
        }
    }
    Ok(body.into_bytes())
}

impl Answered {
    /// Rejects some lines, as a server of that version does.
    fn make_correct(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let bad: Vec<bool> = self.lines.iter().map(|_| u.arbitrary()).collect::<Result<_>>()?;
        let refused = || self.lines.iter().enumerate().filter(|(index, _)| bad[*index]);
        let entries =
            refused().map(|(_, line)| format!("unable to parse '{line}': missing fields"));
        let entries = entries.collect::<Vec<_>>().join("\n");
        let body = match self.api {
            Api::V1 if bad.contains(&false) => {
                json!({ "error": format!("partial write: {entries} dropped=0") })
            }
            Api::V1 => json!({ "error": entries }),
            Api::V2 => json!({ "code": "invalid", "message": entries }),
            _ => {
                let data = refused().map(|(index, line)| {
                    json!({
                        "error_message": "bad",
                        "line_number": index + 1,
                        "original_line": line,
                    })
                });
                let data: Vec<_> = data.collect();
                json!({ "error": "partial write of line protocol occurred", "data": data })
            }
        };
        self.status = 400;
        self.body = body.to_string().into_bytes();
        self.bad = Some(bad);
        Ok(())
    }

    pub fn check(&self) {
        let lines: Vec<&str> = self.lines.iter().map(String::as_str).collect();
        let named = fuzzing::refused(
            (self.api, self.status),
            [self.retry_after.as_deref(), self.location.as_deref()],
            self.error_header.as_deref(),
            &self.body,
            self.truncated,
            &lines,
        );
        let Some(bad) = &self.bad else { return };
        if self.api == Api::V3 {
            let refused = bad.iter().enumerate().filter(|(_, bad)| **bad).map(|(index, _)| index);
            assert_eq!(named, refused.collect::<Vec<_>>());
        }
        // A reply may name any of several equal lines.
        let is_bad = |line: &str| lines.iter().zip(bad).any(|(other, bad)| *bad && *other == line);
        assert!(named.iter().all(|index| is_bad(lines[*index])), "{named:?}");
    }
}
