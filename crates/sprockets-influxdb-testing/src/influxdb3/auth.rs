//! Who is let in. InfluxDB 3 looks at the header even where it needs no token.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::edition::Edition;
use crate::dialect::Auth;
use crate::http::{Head, Reply};

const MALFORMED: &str = "Authorization header was malformed, the request was not in the form of \
                         'Authorization: <auth-scheme> <token>', supported auth-schemes are \
                         Bearer, Token and Basic";

/// The reply to a request that is not let in, on any path.
pub(crate) fn refusal(edition: Edition, auth: &Auth, head: &Head) -> Option<Reply> {
    let given = match token(head) {
        Ok(given) => given,
        Err(Mistake::Malformed) => {
            return Some(Reply::new(400).body(format!("{{\"error\": \"{MALFORMED}\"}}")));
        }
        Err(Mistake::NotAscii) => {
            return Some(refused(edition, 500, "to str error: failed to convert header to a str"));
        }
    };
    let expected = match auth {
        Auth::Anyone => return None,
        Auth::Basic { password, .. } => password,
        Auth::Token(token) => token,
    };
    let admitted = given.as_deref() == Some(expected.as_str());
    (!admitted).then(|| refused(edition, 401, "the request was not authenticated"))
}

/// 3.6 says nothing, 3.10 says why.
fn refused(edition: Edition, status: u16, message: &str) -> Reply {
    let body = match edition {
        Edition::V3_6 => String::new(),
        Edition::V3_10 => format!("{{\"error\": \"{message}\"}}"),
    };
    Reply::new(status).body(body)
}

enum Mistake {
    Malformed,
    NotAscii,
}

/// The token of a request. On `/write` and `/query` the parameter `p` wins over the header.
fn token(head: &Head) -> Result<Option<String>, Mistake> {
    if matches!(head.path.as_str(), "/write" | "/query") {
        if let Some(password) = crate::http::find(&head.query, |key| key == "p") {
            return Ok(Some(password.to_owned()));
        }
    }
    let Some(header) = head.header("authorization") else { return Ok(None) };
    if !header.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t')) {
        return Err(Mistake::NotAscii);
    }
    let mut parts = header.split(' ');
    match (parts.next(), parts.next(), parts.next()) {
        (Some("Bearer" | "Token"), Some(token), None) => Ok(Some(token.to_owned())),
        (Some("Basic"), Some(pair), None) => {
            let decoded = STANDARD.decode(pair).map_err(|_| Mistake::Malformed)?;
            let decoded = String::from_utf8(decoded).map_err(|_| Mistake::Malformed)?;
            match decoded.rsplit_once(':') {
                Some((user, password)) if !user.contains(':') => Ok(Some(password.to_owned())),
                _ => Err(Mistake::Malformed),
            }
        }
        _ => Err(Mistake::Malformed),
    }
}
