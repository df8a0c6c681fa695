//! Addresses of host names. The HTTP client asks for them before each request, also when a connection is there already,
//! and its own resolver starts a thread for each: a third of the cost of a request.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use crate::sync::{Mutex, lock};

/// As long as a resolver's answer is used again: far below the time to live that names of servers usually have.
const CACHED_FOR: Duration = Duration::from_secs(10);

/// Remembers the last answer.
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

/// Knows no name.
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
                // There is no connection yet: it is the platform's resolver that fails, in words of its own.
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
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use ureq::Agent;

    use super::*;

    #[derive(Debug, Default)]
    struct Counting(AtomicUsize);

    impl Resolver for Counting {
        fn resolve(
            &self,
            _: &Uri,
            _: &Config,
            _: NextTimeout,
        ) -> Result<ResolvedSocketAddrs, Error> {
            let count = self.0.fetch_add(1, Ordering::Relaxed) as u16;
            let mut resolved = self.empty();
            resolved.push(SocketAddr::from(([127, 0, 0, 1], count)));
            Ok(resolved)
        }
    }

    #[test]
    fn the_last_answer_is_used_again_for_the_same_server_only() {
        let resolver = Caching { resolver: Counting::default(), last: Mutex::default() };
        let config = Agent::config_builder().build();
        let port = |uri: &'static str| {
            let timeout = NextTimeout {
                after: ureq::unversioned::transport::time::Duration::NotHappening,
                reason: ureq::Timeout::Resolve,
                per_read: None,
                per_write: None,
            };
            let resolved = resolver.resolve(&Uri::from_static(uri), &config, timeout).unwrap();
            assert_eq!(resolved.len(), 1);
            resolved[0].port()
        };
        assert_eq!([port("http://a/"), port("http://a/x"), port("http://a/")], [0, 0, 0]);
        assert_eq!([port("http://b/"), port("https://b/"), port("https://b:1/")], [1, 2, 3]);
        assert_eq!(port("http://a/"), 4);
    }
}
