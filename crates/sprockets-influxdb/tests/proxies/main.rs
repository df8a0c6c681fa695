//! A real nginx and a real HAProxy between the client and a real influxd: whatever they answer and
//! however they end, everything is delivered in the end.

mod haproxy;
mod nginx;
mod proxy;

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use sprockets_influxdb::testing::{Product, Server};
use sprockets_influxdb::{Api, Client, Config, Measurement, Stats};

use proxy::{Behaviour, Proxy};
use test_support::influxd::Influxd;
use test_support::{LONG, balanced, flush_until};

/// A client that sends to influxd through a proxy, and the number of measurements it was given.
struct Scene {
    client: Client,
    proxy: Proxy,
    influxd: Influxd,
    added: u64,
}

impl Scene {
    /// Plays with each proxy that can be started here.
    fn each(behaviour: Behaviour, play: impl Fn(Self)) {
        Self::each_with(behaviour, |config| config, play);
    }

    fn each_with(behaviour: Behaviour, configure: impl Fn(Config) -> Config, play: impl Fn(Self)) {
        for start in [nginx::start, haproxy::start] {
            let Some(influxd) = Influxd::start() else { return };
            influxd.create("db");
            let Some(proxy) = start(address(&influxd), behaviour) else { continue };
            let config = Config::new().url(&proxy.url("/influx/write"));
            let config = config.gzip(false).tag_hostname(false).shutdown_timeout(Duration::ZERO);
            let client = Client::new(configure(config)).unwrap();
            play(Self { client, proxy, influxd, added: 0 });
        }
    }

    /// Adds measurements of more than so many bytes each.
    fn add(&mut self, count: u64, bytes: usize) {
        let text = "x".repeat(bytes);
        for _ in 0..count {
            let number = self.added as i64;
            let measurement = Measurement::new("db", "m").field("n", number).field("s", &*text);
            self.client.add_measurement(&measurement.timestamp(number + 1)).unwrap();
            self.added += 1;
        }
    }

    /// Adds some, and waits until it is seen that they cannot be delivered.
    fn fail(&mut self) -> Stats {
        let before = self.client.stats().batches;
        self.add(100, 8);
        for _ in 0..2_000 {
            self.client.flush(Duration::from_millis(10));
            let stats = self.client.stats();
            if stats.batches > before && stats.last_error.is_some() {
                assert_eq!((stats.rejected, stats.pending), (0, 100), "{}: {stats:?}", self.name());
                return stats;
            }
        }
        panic!("{}: {:?}", self.name(), self.client.stats());
    }

    /// Everything is delivered, and is in the database once.
    fn finish(self) {
        for _ in 0..600 {
            if self.client.flush(Duration::from_millis(100)).is_complete() {
                break;
            }
        }
        let stats = self.client.stats();
        let name = self.name();
        assert!(stats.is_balanced(), "{name}: {stats:?}");
        assert_eq!((stats.delivered, stats.pending), (self.added, 0), "{name}: {stats:?}");
        assert_eq!(self.influxd.count("db", "m", "n"), self.added, "{name}: {stats:?}");
    }

    fn name(&self) -> &'static str {
        self.proxy.name()
    }
}

fn address(influxd: &Influxd) -> SocketAddr {
    address_of(&influxd.url())
}

fn address_of(url: &str) -> SocketAddr {
    url.trim_start_matches("http://").parse().expect("an address")
}

#[test]
fn the_right_path_delivers() {
    Scene::each(Behaviour::Forward, |mut scene| {
        scene.add(1_000, 8);
        assert!(scene.client.flush(LONG).is_complete(), "{}", scene.name());
        scene.finish();
    });
}

#[test]
fn a_wrong_path_keeps_everything_until_it_is_corrected() {
    Scene::each(Behaviour::Forward, |mut scene| {
        let wrong = scene.proxy.url("/elsewhere/write");
        scene.client.reconfigure(|config| config.url(&wrong)).unwrap();
        let stats = scene.fail();
        let error = stats.last_error.unwrap();
        assert!(error.contains("404"), "{}: {error}", scene.name());
        let right = scene.proxy.url("/influx/write");
        scene.client.reconfigure(|config| config.url(&right)).unwrap();
        scene.finish();
    });
}

#[test]
fn a_maintenance_page_keeps_everything() {
    Scene::each(Behaviour::Maintenance, |mut scene| {
        let stats = scene.fail();
        assert!(stats.last_error.unwrap().contains("503"), "{}", scene.name());
        scene.proxy.restart(Behaviour::Forward);
        scene.finish();
    });
}

#[test]
fn a_413_halves_the_batch_at_once_whatever_the_timeout_is() {
    for timeout in [3, 10] {
        let configure = |config: Config| config.timeout(Duration::from_secs(timeout));
        Scene::each_with(Behaviour::Limit, configure, |mut scene| {
            let started = Instant::now();
            scene.add(1_600, 1_000);
            let report = scene.client.flush(LONG);
            assert!(report.is_complete(), "{}: {:?}", scene.name(), scene.client.stats());
            let elapsed = started.elapsed();
            assert!(elapsed < Duration::from_millis(2_500), "{}: {elapsed:?}", scene.name());
            let stats = scene.client.stats();
            assert!(stats.last_error.unwrap().contains("413"), "{}", scene.name());
            scene.finish();
        });
    }
}

#[test]
fn a_restart_under_load_loses_nothing() {
    Scene::each(Behaviour::Forward, |mut scene| {
        for round in 0..3 {
            scene.add(5_000, 100);
            thread::sleep(Duration::from_millis(20));
            if round == 1 {
                scene.proxy.kill();
                scene.add(5_000, 100);
            }
            scene.proxy.restart(Behaviour::Forward);
        }
        scene.finish();
    });
}

#[test]
fn influxd_may_restart_behind_its_proxy() {
    Scene::each(Behaviour::Forward, |mut scene| {
        scene.add(100, 8);
        assert!(scene.client.flush(LONG).is_complete());
        scene.influxd.crash();
        let stats = scene.fail();
        let error = stats.last_error.unwrap();
        assert!(["502", "503"].iter().any(|status| error.contains(status)), "{error}");
        scene.influxd.restart();
        scene.finish();
    });
}

#[test]
fn connections_that_the_proxy_closes_soon_lose_nothing() {
    Scene::each(Behaviour::ShortKeepAlive, |mut scene| {
        for round in 0..60 {
            scene.add(10, 8);
            assert!(scene.client.flush(LONG).is_complete(), "{}", scene.name());
            // Around the time at which the proxy closes idle connections.
            thread::sleep(Duration::from_millis(90 + round % 20));
        }
        scene.finish();
    });
}

/// InfluxDB 3.6.0 breaks down where it cuts the line to 20 bytes. Proxies answer 502 then.
#[test]
fn a_line_that_breaks_the_server_down_behind_its_proxy_stops_no_other() {
    for (api, path) in [(Api::V1, "/influx/write"), (Api::V3, "/influx/api/v3/write_lp")] {
        for start in [nginx::start, haproxy::start] {
            let server = Server::start_as(Product::InfluxDb3_6);
            let Some(proxy) = start(address_of(&server.url()), Behaviour::Forward) else {
                continue;
            };
            let name = format!("{} over {api}", proxy.name());
            let config = Config::new().url(&proxy.url(path)).api(api).tag_hostname(false);
            let client = Client::new(config.gzip(false)).unwrap();
            let line = |n: u64| Measurement::new("db", "p").tag("n", n.to_string());
            client.add_measurement(&line(0).field("f", 0.5)).unwrap();
            assert!(client.flush(LONG).is_complete(), "{name}");
            for n in 1..500 {
                let line = match n {
                    70 | 300 => Measurement::new("db", "p").tag("t", "aéééééééé").field("f", n),
                    _ => line(n).field("f", 0.5),
                };
                client.add_measurement(&line).unwrap();
            }
            let stats = flush_until(&client, |stats| stats.pending == 0);
            assert_eq!((stats.delivered, stats.rejected), (498, 2), "{name}: {stats:?}");
            assert_eq!(server.count("db"), 498, "{name}");
            // HAProxy closes the connection where the server closed one that was used before.
            let error = balanced(&client).last_error.unwrap();
            let is_of_proxy = ["502", "closed the connection"].iter().any(|e| error.contains(e));
            assert!(is_of_proxy, "{name}: {error}");
        }
    }
}
