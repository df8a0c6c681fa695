//! What a write asks for in its query, and the names that a database may have.

use super::edition::Edition;
use super::failure::Failure;
use crate::dialect::Dialect;
use crate::http::Head;
use crate::rules::Precision;

/// Of the compatible endpoints.
const LONGEST_NAME: usize = 64;
/// The names of a unit, as serde lists them in an error. The list itself was not measured.
const UNITS: &str = "`s`, `second`, `millisecond`, `ms`, `microsecond`, `u`, `us`, `n`, \
                     `nanosecond`, `ns`";

/// A write whose query makes sense.
#[derive(Clone, Debug)]
pub(crate) struct Parameters {
    pub(crate) database: String,
    pub(crate) precision: Precision,
    pub(crate) accept_partial: bool,
}

impl Parameters {
    pub(crate) fn new(edition: Edition, api: Dialect, head: &Head) -> Result<Self, Failure> {
        match api {
            Dialect::V3 => Self::v3(edition, head),
            Dialect::V1 | Dialect::V2 => Self::compatible(edition, api, head),
        }
    }

    fn v3(edition: Edition, head: &Head) -> Result<Self, Failure> {
        if head.query.is_empty() {
            return Err(Failure::text("missing query parameter 'db'"));
        }
        let serde = |message: String| Failure::text(format!("serde error: {message}"));
        let database = raw(head, "db").ok_or_else(|| serde("missing field `db`".into()))?;
        let accept_partial = flag(head, "accept_partial").map_err(serde)?.unwrap_or(true);
        // Whether the reply waits for the write-ahead log: nothing that is played here.
        flag(head, "no_sync").map_err(serde)?;
        let precision = match raw(head, "precision") {
            None | Some("auto") => Precision::Auto,
            Some(unit) => precision(unit).ok_or_else(|| serde(unknown(unit, "`auto`, ")))?,
        };
        validate(edition, database).map_err(Failure::json)?;
        Ok(Self { database: database.to_owned(), precision, accept_partial })
    }

    fn compatible(edition: Edition, api: Dialect, head: &Head) -> Result<Self, Failure> {
        let (what, destination) = match api {
            Dialect::V2 => ("org/bucket", "no org/bucket destination provided"),
            _ => ("db/rp", "no db destination provided"),
        };
        if head.query.is_empty() {
            return Err(Failure::json(destination));
        }
        let undecodable = |message: String| {
            Failure::json(format!("failed to deserialize {what}/precision in request: {message}"))
        };
        let unit = raw(head, "precision").unwrap_or("ns");
        let precision = precision(unit).ok_or_else(|| undecodable(unknown(unit, "")))?;
        let database = match api {
            Dialect::V2 => match raw(head, "bucket").unwrap_or_default() {
                "" => return Err(Failure::json("missing bucket value")),
                bucket => bucket.to_owned(),
            },
            _ => {
                let database = raw(head, "db");
                let database = database.ok_or_else(|| undecodable("missing field `db`".into()))?;
                match raw(head, "rp").unwrap_or_default().to_lowercase().as_str() {
                    "" | "''" | "autogen" | "default" => database.to_owned(),
                    policy => format!("{database}/{policy}"),
                }
            }
        };
        validate_namespace(&database).map_err(Failure::json)?;
        validate(edition, &database).map_err(Failure::json)?;
        Ok(Self { database, precision, accept_partial: false })
    }
}

/// The value of a parameter, which may be empty.
fn raw<'a>(head: &'a Head, name: &str) -> Option<&'a str> {
    crate::http::find(&head.query, |key| key == name)
}

fn flag(head: &Head, name: &str) -> Result<Option<bool>, String> {
    match raw(head, name) {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(_) => Err("provided string was not `true` or `false`".into()),
    }
}

fn precision(unit: &str) -> Option<Precision> {
    Some(match unit {
        "n" | "ns" | "nanosecond" => Precision::Nanosecond,
        "u" | "us" | "microsecond" => Precision::Microsecond,
        "ms" | "millisecond" => Precision::Millisecond,
        "s" | "second" => Precision::Second,
        _ => return None,
    })
}

fn unknown(unit: &str, more: &str) -> String {
    format!("unknown variant `{unit}`, expected one of {more}{UNITS}")
}

/// The rule of all three endpoints.
fn validate(edition: Edition, name: &str) -> Result<(), String> {
    const INVALID_POLICY: &str = "db name with invalid retention policy, if providing a retention \
                                  policy name, must be of form '<db_name>/<rp_name>'";
    if name.is_empty() {
        return Err("db name cannot be empty".into());
    }
    let longest = edition.longest_name();
    if name.len() > longest {
        return Err(format!("db name too long: max {longest}"));
    }
    let mut separators = 0;
    for (index, char) in name.chars().enumerate() {
        match char {
            char if char.is_ascii_alphanumeric() => {}
            char if index == 0 && char.is_ascii() => {
                return Err("db name did not start with a number or letter".into());
            }
            '/' => {
                separators += 1;
                if separators > 1 {
                    return Err(INVALID_POLICY.into());
                }
            }
            '_' | '-' => {}
            _ => {
                return Err("invalid character in database or rp name: must be ASCII, containing \
                            only letters, numbers, underscores, or hyphens"
                    .into());
            }
        }
    }
    if name.ends_with('/') { Err(INVALID_POLICY.into()) } else { Ok(()) }
}

/// The rule that the compatible endpoints check before.
fn validate_namespace(name: &str) -> Result<(), String> {
    if !(1..=LONGEST_NAME).contains(&name.len()) {
        return Err(format!(
            "namespace name {name} length must be between 1 and {LONGEST_NAME} characters"
        ));
    }
    let allowed = |char: char| char.is_alphanumeric() || matches!(char, '/' | '_' | '-');
    match name.chars().position(|char| !allowed(char)) {
        None => Ok(()),
        Some(position) => Err(format!(
            "namespace name '{name}' contains invalid character, character number {position} is \
             not allowed"
        )),
    }
}
