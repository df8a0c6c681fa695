//! Caches the server's addresses. ureq resolves the host name before each request, even on an idle
//! connection, and its own resolver starts a thread each time: a third of the cost of a request.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use crate::sync::{Mutex, lock};

/// How long an answer is used: far less than the usual time to live of a server's name.
const CACHED_FOR: Duration = Duration::from_secs(10);

/// A resolver that caches the last answer.
#[derive(Debug, Default)]
pub(super) struct Caching<R = DefaultResolver> {
    resolver: R,
    last: Mutex<Option<Answer>>,
}

#[derive(Debug)]
struct Answer {
    host: String,
    port: Option<u16>,
    scheme: Option<String>,
    addresses: Vec<SocketAddr>,
    given: Instant,
}

impl Answer {
    fn is_for(&self, uri: &Uri) -> bool {
        Some(&*self.host) == uri.host()
            && self.port == uri.port_u16()
            && self.scheme.as_deref() == uri.scheme_str()
    }
}

/// A resolver that knows no name.
#[derive(Debug)]
pub(super) struct NoResolve;

impl Resolver for NoResolve {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        Err(Error::HostNotFound)
    }
}

impl<R: Resolver> Resolver for Caching<R> {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        if let Some(answer) = &*lock(&self.last) {
            if answer.is_for(uri) && answer.given.elapsed() < CACHED_FOR {
                let mut resolved = self.empty();
                answer.addresses.iter().for_each(|address| resolved.push(*address));
                return Ok(resolved);
            }
        }
        let resolved =
            self.resolver.resolve(uri, config, timeout).map_err(|error| match error {
                // There is no connection yet: the platform's resolver failed.
                Error::Io(_) => Error::HostNotFound,
                other => other,
            })?;
        *lock(&self.last) = Some(Answer {
            host: uri.host().unwrap_or_default().to_owned(),
            port: uri.port_u16(),
            scheme: uri.scheme_str().map(str::to_owned),
            addresses: resolved.to_vec(),
            given: Instant::now(),
        });
        Ok(resolved)
    }
}

#[cfg(test)]
mod tests;
