//! Requests that are not writes.

use std::io;

use serde_json::json;

use crate::conditions::Target;
use crate::dialect::{Dialect, MAX_BODY, json_reply, text};
use crate::fault::{Action, Fault};
use crate::foreign_reply::ForeignReply;
use crate::http::{Connection, Ending, Head, Next, Reply};
use crate::identity::{VERSION, identified};
use crate::influxdb3;
use crate::product::Product;
use crate::request::Record;
use crate::shared::{Settings, Shared, State};

/// Answers a request that is no write; `api` is the write API whose path it has, if any.
pub(crate) fn answer(
    shared: &Shared,
    connection: &mut Connection,
    mut head: Head,
    api: Option<Dialect>,
) -> io::Result<Next> {
    connection.proceed(&mut head)?;
    let Some(body) = head.read_body(connection, MAX_BODY)? else { return Ok(Next::Close) };
    let (reply, fault) = {
        let mut state = shared.lock();
        let target = Target { database: None, length: Some(body.len()), body: Some(&body) };
        let taken = state.faults.take(target);
        let fault = taken.map_or_else(Fault::ordinary, |taken| taken.fault);
        (reply(&state, &head, api, &fault), fault)
    };
    let keep_alive = head.keep_alive && !fault.as_foreign_reply().is_some_and(ForeignReply::closes);
    let ending = Ending { keep_alive, head_only: head.method == "HEAD", ..Ending::default() };
    let wire_length = body.len();
    let status = reply.as_ref().map(|reply| reply.status);
    let record = Record { head, database: None, body, wire_length, lines: 0, status };
    shared.update(|state| state.requests.push(record.into()));
    if !shared.pause(fault.delay) {
        return Ok(Next::Close);
    }
    match reply {
        Some(reply) => connection.write(&reply.encode(ending))?,
        None => return Ok(Next::Reset),
    }
    Ok(Next::after(keep_alive))
}

/// What is answered; nothing under a fault that answers nothing.
fn reply(state: &State, head: &Head, api: Option<Dialect>, fault: &Fault) -> Option<Reply> {
    let product = state.settings.product;
    let mut reply = match &fault.action {
        Action::Ordinary => identified(product, false, own(state, head, api)),
        Action::ForeignReply(reply) => reply.reply(head),
        Action::Status(status, body) => {
            identified(product, false, Reply::new(*status).body(body.clone()))
        }
        Action::Error(status, message) => identified(product, false, text(*status, message)),
        _ => return None,
    };
    reply.headers.extend(fault.headers.iter().cloned());
    Some(reply)
}

fn own(state: &State, head: &Head, api: Option<Dialect>) -> Reply {
    let product = state.settings.product;
    let Some(edition) = product.influxdb3() else {
        return match (product, head.method.as_str(), head.path.as_str(), api) {
            (Product::VictoriaMetrics, ..) => victoriametrics(head),
            (Product::InfluxDb1_6, _, "/health", _) => text(404, "404 page not found\n"),
            (Product::InfluxDb2_7, _, "/health" | "/ping", _) | (_, _, _, Some(_)) => {
                strict(head, api)
            }
            (Product::InfluxDb2_7, ..) => Dialect::V2.error(404, "path not found"),
            _ => strict(head, api),
        };
    };
    match influxdb3_refusal(&state.settings, head) {
        Some(refusal) => refusal,
        None => influxdb3::answer(edition, &state.catalog, head),
    }
}

/// InfluxDB 3 lets no one in without a token, whatever the path, unless it is told to.
pub(crate) fn influxdb3_refusal(settings: &Settings, head: &Head) -> Option<Reply> {
    let edition = settings.product.influxdb3()?;
    if settings.open_paths.contains(&head.path) {
        return None;
    }
    influxdb3::refusal(edition, &settings.auth, head)
}

fn victoriametrics(head: &Head) -> Reply {
    match head.path.as_str() {
        "/ping" => Reply::new(204),
        "/health" => text(200, "OK"),
        path => {
            let message = format!("unsupported path requested: {path:?}");
            victoriametrics_error(400, head, &message)
        }
    }
}

/// An error of VictoriaMetrics repeats the query, secrets included.
pub(crate) fn victoriametrics_error(status: u16, head: &Head, message: &str) -> Reply {
    let query: Vec<_> = head.query.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let uri = format!("{}?{}", head.path, query.join("&"));
    text(status, format!("remoteAddr: \"127.0.0.1\"; requestURI: {uri}; {message}\n"))
}

fn strict(head: &Head, api: Option<Dialect>) -> Reply {
    match (head.method.as_str(), head.path.as_str(), api) {
        (_, _, Some(api)) => api.error(405, "Method Not Allowed").header("Allow", "POST"),
        ("GET" | "HEAD", "/ping", _) => Reply::new(204),
        ("GET" | "HEAD", "/health", _) => {
            let health = json!({ "name": "influxdb", "status": "pass", "version": VERSION });
            json_reply(200, &health)
        }
        _ => text(404, "404 page not found\n"),
    }
}
