//! The three write APIs as seen from outside: which parameters they take, whom they let in, and how they word an
//! error. What becomes of the lines is `batch.rs`.

use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::MultiGzDecoder;
use serde_json::json;

use crate::http::{Head, Reply};
use crate::rules::Precision;

/// No body, compressed or not, is read beyond this.
pub(crate) const MAX_BODY: usize = 256 * 1024 * 1024;
/// As much of a message as InfluxDB 1.x copies into `X-Influxdb-Error`.
const MAX_ERROR_HEADER: usize = 1024;

/// One of the write APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `/write`: InfluxDB 1.x, and the paths that a test adds.
    V1,
    /// `/api/v2/write`: InfluxDB 2.x.
    V2,
    /// `/api/v3/write_lp`: InfluxDB 3.x.
    V3,
}

impl Dialect {
    /// The database or bucket that a write names.
    pub(crate) fn database(self, head: &Head) -> Option<&str> {
        head.parameter(if self == Dialect::V2 { "bucket" } else { "db" })
    }

    /// The unit of the timestamps, or the reply to a parameter that is none.
    pub(crate) fn precision(self, head: &Head) -> Result<Precision, Reply> {
        let given = head.parameter("precision");
        let precision = match (self, given.unwrap_or_default()) {
            (Dialect::V1 | Dialect::V2, "") => Precision::Nanosecond,
            (Dialect::V3, "" | "auto") => Precision::Auto,
            (Dialect::V3, "nanosecond") => Precision::Nanosecond,
            (Dialect::V3, "microsecond") => Precision::Microsecond,
            (Dialect::V3, "millisecond") => Precision::Millisecond,
            (Dialect::V3, "second") => Precision::Second,
            (Dialect::V1 | Dialect::V3, "n") | (_, "ns") => Precision::Nanosecond,
            (Dialect::V1 | Dialect::V3, "u") | (_, "us") => Precision::Microsecond,
            (_, "ms") => Precision::Millisecond,
            (_, "s") => Precision::Second,
            (Dialect::V1, "m") => Precision::Minute,
            (Dialect::V1, "h") => Precision::Hour,
            (Dialect::V1, other) => {
                let message = format!("invalid precision \"{other}\" (use n, u, ms, s, m or h)");
                return Err(self.error(400, message));
            }
            (Dialect::V2, _) => {
                let message = "invalid precision; valid precision units are ns, us, ms, and s";
                return Err(self.error(400, message));
            }
            (Dialect::V3, other) => {
                return Err(text(400, format!("invalid precision: unknown variant `{other}`")));
            }
        };
        Ok(precision)
    }

    /// An error in this API's shape. The message may have any bytes; InfluxDB 1.x repeats them as they are.
    pub(crate) fn error(self, status: u16, message: impl AsRef<[u8]>) -> Reply {
        let message = message.as_ref();
        let readable = String::from_utf8_lossy(message);
        match self {
            Dialect::V1 => {
                let reply = json_reply(status, &json!({ "error": readable }));
                if status == 401 {
                    return reply.header("WWW-Authenticate", "Basic realm=\"InfluxDB\"");
                }
                let start = message.iter().take(MAX_ERROR_HEADER);
                let one_line =
                    start.map(|&byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte });
                reply.header("X-Influxdb-Error", one_line.collect::<Vec<u8>>())
            }
            Dialect::V2 => {
                let code = v2_code(status);
                json_reply(status, &json!({ "code": code, "message": readable }))
                    .header("X-Platform-Error-Code", code)
            }
            Dialect::V3 => match status {
                413 | 429 | 500.. => text(status, message),
                _ => v3_error(status, &json!({ "error": readable })),
            },
        }
    }

    pub(crate) fn database_missing(self) -> Reply {
        match self {
            Dialect::V1 => self.error(400, "database is required"),
            Dialect::V2 => self.error(400, "bucket is required"),
            Dialect::V3 => text(400, "invalid query parameters: missing field `db`"),
        }
    }

    pub(crate) fn database_not_found(self, database: &str) -> Reply {
        match self {
            Dialect::V1 | Dialect::V3 => {
                self.error(404, format!("database not found: \"{database}\""))
            }
            Dialect::V2 => self.error(404, format!("bucket \"{database}\" not found")),
        }
    }

    pub(crate) fn too_large(self, limit: usize) -> Reply {
        match self {
            Dialect::V1 => self.error(413, "Request Entity Too Large"),
            Dialect::V2 => self.error(
                413,
                format!("unable to read data: points batch is too large: {limit} bytes"),
            ),
            Dialect::V3 => self.error(413, format!("max request size ({limit} bytes) exceeded")),
        }
    }

    /// The body as text, or the reply to one that cannot be unpacked.
    pub(crate) fn decompress(self, head: &Head, wire: Vec<u8>) -> Result<Vec<u8>, Reply> {
        let encoding = head.header("content-encoding").unwrap_or("identity");
        match (self, encoding) {
            (_, "gzip") | (Dialect::V2, "x-gzip") => {}
            (_, "identity") => return Ok(wire),
            (Dialect::V3, other) => {
                return Err(text(400, format!("unsupported content encoding: {other}")));
            }
            // Taken for plain text, whatever it says.
            (Dialect::V1 | Dialect::V2, _) => return Ok(wire),
        }
        let mut body = Vec::new();
        let unpacked =
            MultiGzDecoder::new(&wire[..]).take(MAX_BODY as u64 + 1).read_to_end(&mut body);
        match (self, unpacked) {
            (_, Ok(length)) if length > MAX_BODY => Err(self.too_large(MAX_BODY)),
            (_, Ok(_)) => Ok(body),
            (Dialect::V1, Err(_)) => Err(self.error(400, "unexpected EOF")),
            (Dialect::V2, Err(error)) => Err(self.error(500, error.to_string())),
            (Dialect::V3, Err(error)) => {
                Err(text(400, format!("error decoding gzip stream: {error}")))
            }
        }
    }
}

/// The 3.x form of an error, which has no `Content-Type`.
pub(crate) fn v3_error(status: u16, body: &serde_json::Value) -> Reply {
    Reply::new(status).body(body.to_string())
}

pub(crate) fn text(status: u16, message: impl AsRef<[u8]>) -> Reply {
    Reply::new(status).header("Content-Type", "text/plain; charset=utf-8").body(message.as_ref())
}

pub(crate) fn json_reply(status: u16, body: &serde_json::Value) -> Reply {
    Reply::new(status).header("Content-Type", "application/json").body(format!("{body}\n"))
}

fn v2_code(status: u16) -> &'static str {
    match status {
        401 => "unauthorized",
        403 => "forbidden",
        404 => "not found",
        405 => "method not allowed",
        413 => "request too large",
        422 => "unprocessable entity",
        429 => "too many requests",
        503 => "unavailable",
        400..500 => "invalid",
        _ => "internal error",
    }
}

/// Who may write.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Auth {
    #[default]
    Anyone,
    Basic {
        user: String,
        password: String,
    },
    Token(String),
}

/// What a request says about who sends it.
enum Credentials {
    Pair(String, String),
    Token(String),
}

impl Auth {
    /// The reply to a request that may not write.
    pub(crate) fn refusal(&self, dialect: Dialect, head: &Head) -> Option<Reply> {
        let given = credentials(dialect, head);
        let admitted = match (self, &given) {
            (Auth::Anyone, _) => true,
            (Auth::Basic { user, password }, Some(Credentials::Pair(name, secret))) => {
                user == name && password == secret
            }
            (Auth::Basic { user, password }, Some(Credentials::Token(token))) => {
                dialect == Dialect::V2 && *token == format!("{user}:{password}")
            }
            (Auth::Token(token), Some(Credentials::Pair(_, secret))) => {
                dialect != Dialect::V2 && token == secret
            }
            (Auth::Token(token), Some(Credentials::Token(given))) => token == given,
            (_, None) => false,
        };
        let message = match (dialect, given) {
            _ if admitted => return None,
            (Dialect::V1, Some(_)) => "authorization failed",
            (Dialect::V1, None) => "unable to parse authentication credentials",
            (Dialect::V2, _) => "unauthorized access",
            (Dialect::V3, _) => "the request was not authenticated",
        };
        Some(dialect.error(401, message))
    }
}

/// The credentials in the forms that an API knows. In a query they win over the header.
fn credentials(dialect: Dialect, head: &Head) -> Option<Credentials> {
    let (user, password) = (head.parameter("u"), head.parameter("p"));
    if dialect == Dialect::V1 && (user.or(password)).is_some() {
        let owned = |text: Option<&str>| text.unwrap_or_default().to_owned();
        return Some(Credentials::Pair(owned(user), owned(password)));
    }
    let (scheme, value) = head.header("authorization")?.split_once(' ')?;
    let is = |name: &str| match dialect {
        Dialect::V3 => scheme == name,
        Dialect::V1 | Dialect::V2 => scheme.eq_ignore_ascii_case(name),
    };
    if is("Basic") {
        let decoded = String::from_utf8(STANDARD.decode(value).ok()?).ok()?;
        let (user, password) = decoded.split_once(':')?;
        return Some(Credentials::Pair(user.to_owned(), password.to_owned()));
    }
    let token = is("Token") || is("Bearer") && dialect != Dialect::V1;
    token.then(|| Credentials::Token(value.to_owned()))
}
