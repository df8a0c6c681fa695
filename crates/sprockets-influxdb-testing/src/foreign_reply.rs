//! Replies of servers that are no InfluxDB: proxies, portals, other applications. Pages of nginx
//! and HAProxy are those of nginx 1.22 and HAProxy 2.6.

use std::fmt::{self, Write};
use std::str::FromStr;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::http::{Head, Reply};
use crate::unknown_name::UnknownName;

/// Something that answers in the place of an InfluxDB, for
/// [`Fault::foreign_reply`](crate::Fault::foreign_reply).
///
/// None of them stores anything. A client must not take 2xx as a delivery or 4xx as a rejection of
/// its data.
///
/// [`Display`](fmt::Display) and [`FromStr`] use the [`name`](Self::name).
///
/// ```
/// use sprockets_influxdb_testing::{Fault, Server, ForeignReply};
///
/// let server = Server::start();
/// server.inject_always(Fault::foreign_reply(ForeignReply::CaptivePortal));
/// let url = format!("{}/write?db=example", server.url());
/// assert_eq!(ureq::post(&url).send("m f=1").unwrap().status(), 200);
/// assert_eq!(server.count("example"), 0);
/// assert_eq!("nginx-413".parse(), Ok(ForeignReply::Nginx(413)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ForeignReply {
    /// `captive-portal`: 200 with a page that asks to accept the terms.
    CaptivePortal,
    /// `captive-portal-511`: 511 Network Authentication Required with such a page.
    CaptivePortal511,
    /// `sign-in-page`: 200 with the page of a single sign-on.
    SignInPage,
    /// `nginx-welcome`: 200 with nginx's default page.
    NginxWelcome,
    /// `error-in-ok`: 200 with `{"error":"…"}`, as InfluxDB before 1.1 and some gateways do.
    ErrorInOk,
    /// `influxdb2-listing`: 200 with what InfluxDB 2 answers at `/api/v2`.
    InfluxDb2Listing,
    /// `empty-N`: an empty reply with this status and no header of InfluxDB's.
    Empty(u16),
    /// `text-N`: a word of plain text with this status.
    Text(u16),
    /// `maintenance-N`: an HTML maintenance page with this status.
    Maintenance(u16),
    /// `nginx-N`: nginx's own page for this status. Closes the connection for 400 and 413.
    Nginx(u16),
    /// `haproxy-N`: HAProxy's own page for this status. Always closes the connection.
    HaProxy(u16),
    /// `fastapi-422`: a FastAPI application that misses a field.
    FastApi422,
    /// `redirect-N`: a redirect to a sign-in page. `Location` has the credentials of the request
    /// before the `@`, and its query.
    Redirect(u16),
    /// `echo-N`: repeats the head of the request, credentials included, in its error.
    Echo(u16),
}

impl ForeignReply {
    /// One of each kind, with the statuses that are met most. Any other status can be made as well.
    pub const ALL: &[ForeignReply] = &[
        ForeignReply::CaptivePortal,
        ForeignReply::CaptivePortal511,
        ForeignReply::SignInPage,
        ForeignReply::NginxWelcome,
        ForeignReply::ErrorInOk,
        ForeignReply::InfluxDb2Listing,
        ForeignReply::Empty(200),
        ForeignReply::Empty(206),
        ForeignReply::Empty(299),
        ForeignReply::Empty(400),
        ForeignReply::Empty(413),
        ForeignReply::Text(206),
        ForeignReply::Text(299),
        ForeignReply::Maintenance(400),
        ForeignReply::Maintenance(405),
        ForeignReply::Maintenance(501),
        ForeignReply::Maintenance(503),
        ForeignReply::Nginx(400),
        ForeignReply::Nginx(403),
        ForeignReply::Nginx(404),
        ForeignReply::Nginx(405),
        ForeignReply::Nginx(413),
        ForeignReply::Nginx(502),
        ForeignReply::Nginx(504),
        ForeignReply::HaProxy(400),
        ForeignReply::HaProxy(408),
        ForeignReply::HaProxy(413),
        ForeignReply::HaProxy(502),
        ForeignReply::HaProxy(503),
        ForeignReply::HaProxy(504),
        ForeignReply::FastApi422,
        ForeignReply::Redirect(302),
        ForeignReply::Redirect(308),
        ForeignReply::Echo(400),
        ForeignReply::Echo(502),
    ];

    /// The name, with the status where the kind has several: `nginx-413`.
    pub fn name(self) -> String {
        let (kind, status) = match self {
            ForeignReply::CaptivePortal => return "captive-portal".into(),
            ForeignReply::CaptivePortal511 => return "captive-portal-511".into(),
            ForeignReply::SignInPage => return "sign-in-page".into(),
            ForeignReply::NginxWelcome => return "nginx-welcome".into(),
            ForeignReply::ErrorInOk => return "error-in-ok".into(),
            ForeignReply::InfluxDb2Listing => return "influxdb2-listing".into(),
            ForeignReply::FastApi422 => return "fastapi-422".into(),
            ForeignReply::Empty(status) => ("empty", status),
            ForeignReply::Text(status) => ("text", status),
            ForeignReply::Maintenance(status) => ("maintenance", status),
            ForeignReply::Nginx(status) => ("nginx", status),
            ForeignReply::HaProxy(status) => ("haproxy", status),
            ForeignReply::Redirect(status) => ("redirect", status),
            ForeignReply::Echo(status) => ("echo", status),
        };
        format!("{kind}-{status}")
    }

    /// Whether it closes the connection after its reply.
    pub(crate) fn closes(self) -> bool {
        matches!(self, ForeignReply::HaProxy(_) | ForeignReply::Nginx(400 | 413))
    }

    pub(crate) fn reply(self, head: &Head) -> Reply {
        match self {
            ForeignReply::CaptivePortal => html(200, portal()),
            ForeignReply::CaptivePortal511 => html(511, portal()),
            ForeignReply::SignInPage => html(200, page("Sign in", "<form method=post>…</form>")),
            ForeignReply::NginxWelcome => nginx(200)
                .header("Last-Modified", "Tue, 04 Dec 2018 14:44:49 GMT")
                .header("ETag", "\"5c0692e1-264\"")
                .header("Accept-Ranges", "bytes")
                .body(page("Welcome to nginx!", "<h1>Welcome to nginx!</h1>")),
            ForeignReply::ErrorInOk => json(200, "{\"error\":\"unable to parse\"}"),
            ForeignReply::InfluxDb2Listing => json(200, LISTING),
            ForeignReply::Empty(status) => Reply::new(status),
            ForeignReply::Text(status) => {
                Reply::new(status).header("Content-Type", "text/plain").body("accepted")
            }
            ForeignReply::Maintenance(status) => {
                html(status, page("Maintenance", "<h1>We will be back soon</h1>"))
            }
            ForeignReply::Nginx(status) => nginx(status).body(nginx_page(status)),
            ForeignReply::HaProxy(status) => haproxy(status),
            ForeignReply::FastApi422 => json(
                422,
                "{\"detail\":[{\"type\":\"missing\",\"loc\":[\"body\",\"name\"],\
                 \"msg\":\"Field required\",\"input\":null}]}",
            )
            .header("server", "uvicorn"),
            ForeignReply::Redirect(status) => Reply::new(status).header("Location", location(head)),
            ForeignReply::Echo(status) => {
                Reply::new(status).header("Content-Type", "text/plain").body(echo(head))
            }
        }
    }
}

impl fmt::Display for ForeignReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl FromStr for ForeignReply {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        let known = UnknownName::find(name, ForeignReply::ALL);
        let Some((kind, status)) = name.rsplit_once('-') else { return known };
        let status = status.parse().ok().filter(|status| (200..600).contains(status));
        let Some(status) = status else { return known };
        Ok(match kind {
            "empty" => ForeignReply::Empty(status),
            "text" => ForeignReply::Text(status),
            "maintenance" => ForeignReply::Maintenance(status),
            "nginx" => ForeignReply::Nginx(status),
            "haproxy" => ForeignReply::HaProxy(status),
            "redirect" => ForeignReply::Redirect(status),
            "echo" => ForeignReply::Echo(status),
            _ => return known,
        })
    }
}

const LISTING: &str = "{\"authorizations\":\"/api/v2/authorizations\",\
                       \"buckets\":\"/api/v2/buckets\",\"health\":\"/api/v2/health\",\
                       \"orgs\":\"/api/v2/orgs\",\"query\":{\"self\":\"/api/v2/query\"},\
                       \"write\":\"/api/v2/write\"}";

fn html(status: u16, body: String) -> Reply {
    Reply::new(status).header("Content-Type", "text/html; charset=utf-8").body(body)
}

fn json(status: u16, body: &str) -> Reply {
    Reply::new(status).header("Content-Type", "application/json").body(body)
}

fn page(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html>\n<head><title>{title}</title></head>\n<body>{body}</body>\n\
         </html>\n"
    )
}

fn portal() -> String {
    page("Welcome to our network", "<a href=\"http://portal.example/accept\">Accept the terms</a>")
}

fn nginx(status: u16) -> Reply {
    let reply = Reply::new(status)
        .header("Server", "nginx/1.22.1")
        .header("Date", httpdate::fmt_http_date(SystemTime::now()))
        .header("Content-Type", "text/html");
    Reply { reason: nginx_reason(status), ..reply }
}

/// Where nginx has its own text for a status.
fn nginx_reason(status: u16) -> Option<&'static str> {
    match status {
        405 => Some("Not Allowed"),
        503 => Some("Service Temporarily Unavailable"),
        504 => Some("Gateway Time-out"),
        _ => None,
    }
}

fn nginx_page(status: u16) -> String {
    let reason = nginx_reason(status).unwrap_or(crate::http::reason_phrase(status));
    let title = format!("{status} {reason}");
    format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1>\
         </center>\r\n<hr><center>nginx/1.22.1</center>\r\n</body>\r\n</html>\r\n"
    )
}

fn haproxy(status: u16) -> Reply {
    let (reason, text) = match status {
        400 => ("Bad request", "Your browser sent an invalid request."),
        408 => ("Request Time-out", "Your browser didn't send a complete request in time."),
        413 => ("Payload Too Large", "The request entity exceeds the maximum allowed."),
        502 => ("Bad Gateway", "The server returned an invalid or incomplete response."),
        503 => ("Service Unavailable", "No server is available to handle this request."),
        504 => ("Gateway Time-out", "The server didn't respond in time."),
        _ => (crate::http::reason_phrase(status), "The request was refused."),
    };
    let body = format!("<html><body><h1>{status} {reason}</h1>\n{text}\n</body></html>\n");
    let reply = Reply::new(status)
        .header("Cache-Control", "no-cache")
        .header("Content-Type", "text/html")
        .body(body);
    Reply { reason: Some(reason), ..reply }
}

/// A sign-in page's address with all the secrets of the request.
fn location(head: &Head) -> String {
    let basic = head.header("authorization").and_then(|value| value.strip_prefix("Basic "));
    let pair = basic.and_then(|basic| STANDARD.decode(basic).ok());
    let pair = pair.and_then(|pair| String::from_utf8(pair).ok());
    let bearer = head.header("authorization").and_then(|value| value.split_once(' '));
    let user = match (pair, bearer) {
        (Some(pair), _) => pair,
        (None, Some((_, token))) => format!("token:{token}"),
        (None, None) => "guest:secret".into(),
    };
    let query: Vec<_> = head.query.iter().map(|(key, value)| format!("{key}={value}")).collect();
    format!("http://{user}@sign-in.example/login?{}", query.join("&"))
}

fn echo(head: &Head) -> String {
    let query: Vec<_> = head.query.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let mut text = format!("cannot handle {} {}?{}\n", head.method, head.path, query.join("&"));
    for (name, value) in &head.headers {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name}: {value}");
    }
    text
}
