use std::sync::atomic::{AtomicUsize, Ordering};

use ureq::Agent;

use super::*;

#[derive(Debug, Default)]
struct Counting(AtomicUsize);

impl Resolver for Counting {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
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
