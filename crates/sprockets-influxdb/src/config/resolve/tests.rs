use std::time::Duration;

use super::super::Config;
use super::super::tests::environment;

fn names(config: &Config) -> Vec<String> {
    let tags = config.resolve().unwrap().values.base_tags.value;
    tags.into_iter()
        .map(|(name, value)| if name == "hostname" { name } else { format!("{name}={value}") })
        .collect()
}

#[test]
fn base_tags_are_hostname_environment_and_the_users_in_order() {
    assert_eq!(names(&Config::new()), ["hostname"]);
    let config = environment(&[("ENVIRONMENT", "testing")]).unwrap();
    let config = config.base_tags([("b", "1"), ("a", "2")]).base_tag("b", "3");
    assert_eq!(names(&config), ["hostname", "environment=testing", "b=3", "a=2"]);
    let config = config.base_tag("environment", "mine").base_tag("hostname", "mine");
    assert_eq!(names(&config), ["hostname", "environment=mine", "b=3", "a=2"]);
    assert_eq!(config.resolve().unwrap().values.base_tags.value.iter().next().unwrap().1, "mine");
    assert_eq!(names(&Config::new().tag_hostname(false)), [""; 0]);
    let off = environment(&[("INFLUXDB_TAG_HOSTNAME", "off")]).unwrap();
    assert_eq!(names(&off), [""; 0]);
    assert_eq!(names(&off.tag_hostname(true)), ["hostname"]);
}

#[test]
fn a_trigger_size_beyond_the_buffer_is_lowered_with_a_warning() {
    let config = Config::new().trigger_size(60_000);
    let settings = config.resolve().unwrap();
    assert_eq!(settings.values.trigger_size.value, 25_000);
    assert_eq!(
        settings.warnings,
        ["the trigger size is lowered from 60000 to 25000, the most that the buffer holds"]
    );
    let settings = config.max_buffer_size(60_000).resolve().unwrap();
    assert_eq!((settings.values.trigger_size.value, settings.warnings.len()), (60_000, 0));
    let settings = Config::new().max_buffer_size(10).resolve().unwrap();
    assert_eq!((settings.values.trigger_size.value, settings.warnings.len()), (10, 1));
}

#[test]
fn a_service_link_in_the_port_variable_is_not_used() {
    for link in ["tcp://10.96.12.7:8086", " udp://[::1]:8089", "sctp://10.96.12.7:8086"] {
        let config = environment(&[("INFLUXDB_PORT", link)]).unwrap();
        let settings = config.resolve().unwrap();
        assert_eq!(settings.server.url, "http://localhost:8086/write");
        let [warning] = &settings.warnings[..] else { panic!("{:?}", settings.warnings) };
        let expected = format!("INFLUXDB_PORT is not used: {link:?} is not a port, but what ");
        assert!(warning.starts_with(&expected), "{warning}");
        assert!(warning.contains("Port 8086 is used; set INFLUXDB_URL"), "{warning}");

        let named = config.clone().host("db").resolve().unwrap();
        assert_eq!((&*named.server.url, named.warnings.len()), ("https://db:8086/write", 1));
        let overridden = [
            (config.clone().port(1), "http://localhost:1/write"),
            (config.url("http://db:2"), "http://db:2/write"),
        ];
        for (config, url) in overridden {
            let settings = config.resolve().unwrap();
            assert_eq!((&*settings.server.url, settings.warnings.len()), (url, 0));
        }
    }
    for other in ["http://10.96.12.7:8086", "tcp", "10.96.12.7:8086"] {
        assert!(environment(&[("INFLUXDB_PORT", other)]).is_err(), "{other}");
    }
    assert!(Config::new().set("port", "tcp://10.96.12.7:8086").resolve().is_err());
}

#[test]
fn a_value_that_a_url_overrides_is_not_judged() {
    let parts = [("INFLUXDB_PORT", "x"), ("INFLUXDB_HOST", "a b"), ("INFLUXDB_SCHEME", "gopher")];
    for part in parts {
        assert!(environment(&[part]).is_err(), "{part:?}");
        let url = ("INFLUXDB_URL", "http://db:1");
        let config = environment(&[url, part]).unwrap();
        assert_eq!(config.resolve().unwrap().server.url, "http://db:1/write");
        let lookup = |name: &str| (name == part.0).then(|| part.1.into());
        let config = Config::new().url("http://db:1").with_lookup(lookup);
        assert_eq!(config.resolve().unwrap().server.url, "http://db:1/write");
    }
    let user = |name: &str| (name == "INFLUXDB_USER").then(|| "a:b".into());
    assert!(Config::new().url("http://db").with_lookup(user).resolve().is_err());
    assert!(Config::new().url("http://me:secret@db").with_lookup(user).resolve().is_ok());
}

#[test]
fn the_summary_says_where_and_how_often_and_shows_no_secret() {
    let summary = |config: Config| config.resolve().unwrap().summary();
    let local = || Config::new().url("http://me:hunter2@localhost:8086?x=hunter2");
    assert_eq!(
        summary(local()),
        "recording to http://localhost:8086/write, every 60 s or 5,000 measurements"
    );
    let interval = Duration::from_millis(1_500);
    assert_eq!(
        summary(local().database("a b").submission_interval(interval).trigger_size(1)),
        "recording to http://localhost:8086/write, database \"a b\", every 1500 ms or 1 measurement"
    );
    let v2 = local().token("hunter2").org("o").database("b").sample_probability(0.5).spool("/s");
    assert_eq!(
        summary(v2),
        "recording to http://localhost:8086/api/v2/write, bucket \"b\", every 60 s or 5,000 \
         measurements, a batch with a probability of 0.5, with the spool /s"
    );
}
