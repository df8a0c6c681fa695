//! Reads from a real InfluxDB by InfluxQL, over `/query` of 1.x, which 2.x and 3.x have too.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use ureq::http::Response;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body, RequestBuilder};

use super::Result;
use super::service::MEASUREMENT;
use super::summary::{Endpoint, STEP, Span, Summary};

/// For a server that is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const TIMEOUT: Duration = Duration::from_secs(10);

/// A server to ask.
pub(crate) struct InfluxQl {
    agent: Agent,
    base: String,
    authorization: Option<String>,
    retention_policy: Option<String>,
}

impl InfluxQl {
    /// `base` is the URL up to `/query`.
    pub(crate) fn new(base: &str) -> Self {
        Self {
            agent: agent(base, TlsConfig::default()),
            base: base.to_owned(),
            authorization: None,
            retention_policy: None,
        }
    }

    pub(crate) fn basic(mut self, user: &str, password: &str) -> Self {
        let pair = STANDARD.encode(format!("{user}:{password}"));
        self.authorization = Some(format!("Basic {pair}"));
        self
    }

    pub(crate) fn token(mut self, scheme: &str, token: &str) -> Self {
        self.authorization = Some(format!("{scheme} {token}"));
        self
    }

    pub(crate) fn retention_policy(mut self, name: &str) -> Self {
        self.retention_policy = Some(name.to_owned());
        self
    }

    /// Trusts whom the client trusts: the platform's authorities, and those of the file.
    pub(crate) fn tls(mut self, ca_file: Option<&str>) -> Result<Self> {
        let platform = rustls_native_certs::load_native_certs().certs;
        let mut roots: Vec<_> =
            platform.iter().map(|root| Certificate::from_der(root).to_owned()).collect();
        if let Some(path) = ca_file {
            for item in parse_pem(&std::fs::read(path)?) {
                if let PemItem::Certificate(root) = item? {
                    roots.push(root);
                }
            }
        }
        let roots = RootCerts::from(roots);
        self.agent = agent(&self.base, TlsConfig::builder().root_certs(roots).build());
        Ok(self)
    }

    /// Fails unless the server answers.
    pub(crate) fn ping(&self) -> Result<()> {
        let request = self.agent.get(format!("{}/ping", self.base));
        let answer = self.answer(self.authorized(request).call())?;
        self.admitted(answer.status().as_u16())
    }

    /// Creates a database. Fails only if the server does not answer: the database may exist, and
    /// this user may not be allowed to create any.
    pub(crate) fn create(&self, database: &str) -> Result<()> {
        let create = format!("CREATE DATABASE {}", quoted(database));
        let url = format!("{}/query", self.base);
        let request = self.agent.post(url).query("q", create);
        let answer = self.answer(self.authorized(request).send_empty())?;
        self.admitted(answer.status().as_u16())
    }

    /// What the server has of a run.
    pub(crate) fn summary(&self, database: &str, run: &str, span: Span) -> Result<Summary> {
        let (start, end) = span.nanoseconds();
        let step = STEP.as_nanos();
        let from = format!("FROM {} WHERE run = '{run}'", quoted(MEASUREMENT));
        let each = "GROUP BY endpoint, method";
        let queries = [
            format!("SELECT count(\"duration\") {from}"),
            format!(
                "SELECT count(\"duration\"), percentile(\"duration\", 50) AS p50, \
                 percentile(\"duration\", 95) AS p95, percentile(\"duration\", 99) AS p99 \
                 {from} {each}"
            ),
            format!("SELECT count(\"duration\") {from} AND status_code =~ /^5/ {each}"),
            format!(
                "SELECT count(\"duration\") {from} AND time >= {start} AND time < {end} \
                 GROUP BY time({step}ns, {}ns) fill(0)",
                start % step
            ),
        ];
        let results = self.query(database, &queries.join("; "))?;
        let [all, latencies, errors, over_time] = &results[..] else {
            return Err(format!("{} results instead of 4: {results:?}", results.len()).into());
        };
        let errors: BTreeMap<_, _> =
            errors.iter().map(|series| (key(series), number(series, 0, "count") as u64)).collect();
        let endpoints = latencies.iter().map(|series| {
            let (endpoint, method) = key(series);
            Endpoint {
                requests: number(series, 0, "count") as u64,
                errors: errors.get(&(endpoint.clone(), method.clone())).copied().unwrap_or(0),
                percentiles: ["p50", "p95", "p99"].map(|column| number(series, 0, column)),
                endpoint,
                method,
            }
        });
        let counts = over_time.iter().flat_map(|series| {
            let rows = series["values"].as_array().map_or(0, Vec::len);
            (0..rows).map(|row| number(series, row, "count") as u64)
        });
        Ok(Summary {
            stored: all.iter().map(|series| number(series, 0, "count") as u64).sum(),
            endpoints: endpoints.collect(),
            over_time: counts.collect(),
        })
    }

    /// The series that each statement has found.
    fn query(&self, database: &str, query: &str) -> Result<Vec<Vec<Value>>> {
        let url = format!("{}/query", self.base);
        let mut request = self.agent.get(url).query("db", database).query("q", query);
        if let Some(name) = &self.retention_policy {
            request = request.query("rp", name);
        }
        let mut answer = self.answer(self.authorized(request).call())?;
        let status = answer.status().as_u16();
        let text = answer.body_mut().read_to_string()?;
        let refused = |what: &str| format!("{} does not let us read ({status}): {what}", self.base);
        let json: Value = serde_json::from_str(&text).map_err(|_| refused(text.trim()))?;
        let results = json["results"].as_array().ok_or_else(|| refused(text.trim()))?;
        let series = results.iter().map(|result| match result["error"].as_str() {
            Some(error) => Err(refused(error).into()),
            None => Ok(result["series"].as_array().cloned().unwrap_or_default()),
        });
        series.collect()
    }

    fn authorized<B>(&self, request: RequestBuilder<B>) -> RequestBuilder<B> {
        match &self.authorization {
            Some(authorization) => request.header("Authorization", authorization),
            None => request,
        }
    }

    /// Any answer; no answer is an error that says from where.
    fn answer(&self, answer: Result<Response<Body>, ureq::Error>) -> Result<Response<Body>> {
        Ok(answer.map_err(|error| format!("{} does not answer: {error}", self.base))?)
    }

    /// Fails for a status that no write would get past either.
    fn admitted(&self, status: u16) -> Result<()> {
        match status {
            401 => Err(format!("{} does not know these credentials ({status})", self.base).into()),
            404 => Err(format!("{} seems to be no InfluxDB ({status})", self.base).into()),
            500.. => Err(format!("{} is not well ({status})", self.base).into()),
            _ => Ok(()),
        }
    }
}

fn agent(base: &str, tls: TlsConfig) -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_global(Some(TIMEOUT))
        .tls_config(tls);
    // As the client, which has no proxy before a loopback server.
    let host = base.split("://").nth(1).unwrap_or_default();
    let is_loopback = ["localhost", "127.", "[::1]"].iter().any(|name| host.starts_with(name));
    if is_loopback { config.proxy(None) } else { config }.build().into()
}

/// A name as InfluxQL has it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Endpoint and method of a series.
fn key(series: &Value) -> (String, String) {
    let tag = |name: &str| series["tags"][name].as_str().unwrap_or_default().to_owned();
    (tag("endpoint"), tag("method"))
}

/// The number in a column of a row; 0 where there is none.
fn number(series: &Value, row: usize, column: &str) -> f64 {
    let columns = series["columns"].as_array().map_or(&[][..], Vec::as_slice);
    let place = columns.iter().position(|name| name == column);
    place.and_then(|place| series["values"][row][place].as_f64()).unwrap_or_default()
}
