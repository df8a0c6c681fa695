//! The HTTP library's agent, which owns the pool of connections to one server.

use std::time::Duration;

use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::unversioned::transport::{Connector, DefaultConnector};

use super::coarse_timeouts::CoarseTimeouts;
use super::dns_cache::{Caching, NoResolve};
use super::early_reply::EarlyReplies;
use super::endpoint::{CONNECT_TIMEOUT, Endpoint};
use crate::config::Server;
use crate::delivery::tls;

const USER_AGENT: &str = concat!("sprockets-influxdb/v", env!("CARGO_PKG_VERSION"));

/// VictoriaMetrics closes a connection that is idle for a minute, InfluxDB later or never.
const MAX_IDLE_AGE: Duration = Duration::from_secs(50);

/// More than there are sender threads, so that each keeps its connection.
const MAX_IDLE_CONNECTIONS: usize = 1024;

/// For the status line and the headers of a reply. influxd's error header has at most 1,024 bytes.
const MAX_HEADER_BYTES: usize = 16 * 1024;

/// Bytes written at once. A request line has to fit in whole, and no URL is longer than this.
const OUTPUT_BUFFER: usize = 128 * 1024;

/// Makes ureq initialize its statics now. It does that at the first request, under a lock: a
/// process that is forked at that moment would wait for the lock for ever.
pub(super) fn init_ureq_statics() {
    let config = Agent::config_builder().proxy(None).build();
    let agent = Agent::with_parts(config, DefaultConnector::default(), NoResolve);
    // Fails where it would need an address.
    let _ = agent.get("http://localhost/").call();
}

/// An agent without connections. May read the platform's certificates, which takes milliseconds.
/// `Err` is a reason.
pub(super) fn new(endpoint: &Endpoint) -> Result<Agent, String> {
    let mut config = Agent::config_builder()
        .accept("")
        .http_status_as_error(false)
        .input_buffer_size(2 * MAX_HEADER_BYTES)
        .max_idle_age(MAX_IDLE_AGE)
        .max_idle_connections(MAX_IDLE_CONNECTIONS)
        .max_idle_connections_per_host(MAX_IDLE_CONNECTIONS)
        .max_redirects(0)
        .max_response_header_size(MAX_HEADER_BYTES)
        .output_buffer_size(OUTPUT_BUFFER)
        .proxy(endpoint.proxy.clone())
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_global(Some(endpoint.server.timeout))
        .timeout_resolve(Some(CONNECT_TIMEOUT))
        .user_agent(USER_AGENT);
    if endpoint.uses_tls() {
        config = config.tls_config(tls_config(&endpoint.server)?);
    }
    let connector = DefaultConnector::default().chain(CoarseTimeouts).chain(EarlyReplies);
    Ok(Agent::with_parts(config.build(), connector, <Caching>::default()))
}

/// What is trusted, and what the client shows of itself. `Err` is a reason.
fn tls_config(server: &Server) -> Result<TlsConfig, String> {
    let identity = server.identity.as_ref().map(|identity| identity.client_cert().clone());
    let config = TlsConfig::builder().client_cert(identity);
    if !server.verifies {
        return Ok(config.disable_verification(true).build());
    }
    let roots = tls::roots(&server.authorities, &server.names)?;
    let roots = roots.iter().map(|root| Certificate::from_der(root).to_owned());
    Ok(config.root_certs(RootCerts::from(roots.collect::<Vec<_>>())).build())
}
