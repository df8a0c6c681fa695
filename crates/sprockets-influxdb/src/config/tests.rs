use std::collections::BTreeSet;

use super::*;

/// A configuration from these variables and no others.
pub(super) fn environment(variables: &[(&str, &str)]) -> Result<Config> {
    Config::from_lookup(|name| {
        let variable = variables.iter().find(|(variable, _)| *variable == name);
        variable.map(|(_, value)| OsString::from(value))
    })
}

#[test]
fn a_setter_precedes_the_environment_and_that_the_default() {
    let size = |config: &Config| config.resolve().unwrap().values.max_batch_size.value;
    assert_eq!(size(&Config::new()), 10_000);
    let config = environment(&[("INFLUXDB_MAX_BATCH_SIZE", "7")]).unwrap();
    assert_eq!(size(&config), 7);
    assert_eq!(size(&config.max_batch_size(8)), 8);
    let lookup = |name: &str| (name == "INFLUXDB_MAX_BATCH_SIZE").then(|| "7".into());
    assert_eq!(size(&Config::new().max_batch_size(8).with_lookup(lookup)), 8);
    assert_eq!(size(&Config::new().with_lookup(lookup).max_batch_size(8)), 8);
}

#[test]
fn a_setter_reports_a_bad_value_when_the_configuration_is_resolved() {
    let config = Config::new;
    let rows = [
        (
            config().base_tags((0..501).map(|n| (format!("t{n}"), "x"))),
            "base_tags: too many tags: ",
        ),
        (config().base_tag("", "x"), r#"base_tags: "" is not the name of a tag: "#),
        (config().block_timeout(Duration::MAX), "block_timeout: "),
        (config().ca_file("/nowhere/ca.pem"), r#"ca_file: "/nowhere/ca.pem" cannot be read ("#),
        (config().credentials("a:hunter2", "p"), r#"user: "a:***" is not a user name: "#),
        (config().host(""), r#"host: "" is not a host: "#),
        (config().host("http://me:hunter2@db"), r#"host: "http://***@db" is not a host: "#),
        (config().max_batch_bytes(0), "max_batch_bytes: 0 is not a size: "),
        (config().max_batch_size(0), "max_batch_size: 0 is not a size: "),
        (config().max_buffer_bytes(0), "max_buffer_bytes: 0 is not a size: "),
        (config().max_buffer_bytes(usize::MAX), "max_buffer_bytes: "),
        (config().max_buffer_size(0), "max_buffer_size: 0 is not a size: "),
        (config().max_clients(0), "max_clients: 0 is not a number of clients: "),
        (config().max_clients(1025), "max_clients: 1025 is not a number of clients: "),
        (config().port(0), "port: 0 is not a port: "),
        (config().sample_probability(1.5), "sample_probability: 1.5 is not a probability: "),
        (config().sample_probability(f64::NAN), "sample_probability: NaN is not a probability: "),
        (config().scheme("ftp"), r#"scheme: "ftp" is not a scheme: "#),
        (config().set("base_tags", "a=b"), "base_tags: a text cannot be read as tags: "),
        (config().set("max_batch_size", "many"), r#"max_batch_size: "many" is not a size: "#),
        (config().shutdown_timeout(Duration::MAX), "shutdown_timeout: "),
        (config().spool("s").spool_max_bytes(300_000), "spool_max_bytes: 300000 is too small: "),
        (config().spool_max_bytes(0), "spool_max_bytes: 0 is not a size: "),
        (config().submission_interval(Duration::ZERO), "submission_interval: 0ns is not an "),
        (config().timeout(Duration::MAX), "timeout: "),
        (config().timeout(Duration::ZERO), "timeout: 0ns is not a timeout: "),
        (config().token("hunter2\n"), "token: the token (not shown) has a character "),
        (config().trigger_size(0), "trigger_size: 0 is not a size: "),
        (config().url("db:8086"), r#"url: "db:8086" has no scheme: expected a URL like "#),
    ];
    for (config, expected) in rows {
        let error = config.resolve().unwrap_err();
        assert!(error.is_configuration());
        let message = error.to_string();
        assert!(message.starts_with(expected) && message.contains("expected "), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
        assert_eq!(config.settings().unwrap_err(), error);
        assert_eq!(crate::Client::new(config).unwrap_err(), error);
    }
}

#[test]
fn a_later_value_replaces_one_that_cannot_be_used() {
    assert!(Config::new().max_batch_size(0).max_batch_size(1).resolve().is_ok());
    assert!(Config::new().set("port", "x").port(1).resolve().is_ok());
}

#[test]
fn a_name_that_no_setting_has_is_reported() {
    let config = Config::new().set("max_batch", "1").set("other", "1");
    let message = config.resolve().unwrap_err().to_string();
    assert!(message.starts_with("\"max_batch\" is not a setting: expected one of "), "{message}");
    assert!(message.contains("max_batch_size"), "{message}");
}

#[test]
fn every_setter_reaches_its_setting() {
    let ms = Duration::from_millis;
    let text = |text: &str| SettingValue::Text(text.into());
    let tag = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let config = Config::new().tag_hostname(false);
    let v2 = config.clone().token("t").org("acme");
    let rows: Vec<(&str, Config, SettingValue)> = vec![
        ("api", config.clone().api(Api::V3), SettingValue::Api(Api::V3)),
        (
            "base_tags",
            config.clone().base_tags([("a", "1"), ("b", "2")]).base_tag("a", "3"),
            SettingValue::Tags(vec![tag("a", "3"), tag("b", "2")]),
        ),
        ("block_timeout", config.clone().block_timeout(ms(7)), SettingValue::Duration(ms(7))),
        ("ca_file", config.clone().enabled(false).ca_file("/ca"), text("/ca")),
        ("database", config.clone().database("metrics"), text("metrics")),
        ("client_cert", config.clone().enabled(false).client_cert("/c"), text("/c")),
        ("client_key", config.clone().enabled(false).client_key("/k"), text("/k")),
        ("tls_verify", config.clone().tls_verify(false), SettingValue::Boolean(false)),
        ("enabled", config.clone().enabled(false), SettingValue::Boolean(false)),
        ("gzip", config.clone().gzip(true), SettingValue::Boolean(true)),
        ("host", config.clone().host("db"), text("db")),
        ("max_batch_bytes", config.clone().max_batch_bytes(3), SettingValue::Integer(3)),
        ("max_batch_size", config.clone().max_batch_size(2), SettingValue::Integer(2)),
        ("max_buffer_bytes", config.clone().max_buffer_bytes(5), SettingValue::Integer(5)),
        ("max_buffer_size", config.clone().max_buffer_size(4), SettingValue::Integer(4)),
        ("max_clients", config.clone().max_clients(6), SettingValue::Integer(6)),
        ("nats_creds", config.clone().nats_creds("/creds"), text("/creds")),
        ("nats_stream", config.clone().nats_stream("METRICS"), text("METRICS")),
        ("nats_subject", config.clone().nats_subject("metrics"), text("metrics")),
        ("org", v2, text("acme")),
        (
            "overflow",
            config.clone().overflow(Overflow::Block),
            SettingValue::Overflow(Overflow::Block),
        ),
        ("password", config.clone().credentials("u", "p"), SettingValue::Secret),
        ("port", config.clone().port(1), SettingValue::Integer(1)),
        (
            "precision",
            config.clone().precision(Precision::Seconds),
            SettingValue::Precision(Precision::Seconds),
        ),
        ("retention_policy", config.clone().retention_policy("year"), text("year")),
        ("sample_probability", config.clone().sample_probability(0.5), SettingValue::Float(0.5)),
        ("scheme", config.clone().scheme("https"), text("https")),
        ("self_database", config.clone().self_database("own"), text("own")),
        ("shutdown_timeout", config.clone().shutdown_timeout(ms(9)), SettingValue::Duration(ms(9))),
        ("spool", config.clone().spool("/spool"), text("/spool")),
        ("spool_max_bytes", config.clone().spool_max_bytes(8), SettingValue::Integer(8)),
        (
            "spool_sync",
            config.clone().spool_sync(SpoolSync::Always),
            SettingValue::SpoolSync(SpoolSync::Always),
        ),
        (
            "submission_interval",
            config.clone().submission_interval(ms(1)),
            SettingValue::Duration(ms(1)),
        ),
        ("tag_hostname", config.clone(), SettingValue::Boolean(false)),
        ("timeout", config.clone().timeout(ms(8)), SettingValue::Duration(ms(8))),
        ("token", config.clone().token("t"), SettingValue::Secret),
        ("trigger_size", config.clone().trigger_size(1), SettingValue::Integer(1)),
        ("url", config.clone().url("http://db:1/"), text("http://db:1/write")),
        ("user", config.clone().credentials("u", "p"), text("u")),
    ];
    for (name, config, value) in &rows {
        let settings = config.settings().unwrap();
        let setting = settings.iter().find(|setting| setting.name() == *name).unwrap();
        assert_eq!((setting.value(), setting.origin()), (value, Origin::Argument), "{name}");
        assert_eq!(setting.source(), Some(*name));
        let defaults = Config::new().settings().unwrap();
        let default = defaults.iter().find(|setting| setting.name() == *name).unwrap();
        assert_ne!(default.value(), value, "{name}");
    }
    let with_setter: BTreeSet<&str> = rows.iter().map(|(name, ..)| *name).collect();
    let settings = Config::new().settings().unwrap();
    let without = settings.iter().map(Setting::name).filter(|name| !with_setter.contains(name));
    // In Rust, `base_tag("environment", …)` sets that tag.
    assert_eq!(without.collect::<Vec<_>>(), ["environment"]);
}

#[test]
fn the_server_has_what_the_setters_say() {
    let config = Config::new()
        .url("http://db:1/")
        .credentials("u", "p")
        .api(Api::V1)
        .retention_policy("year")
        .gzip(false)
        .timeout(Duration::from_millis(800));
    let settings = config.resolve().unwrap();
    assert_eq!(
        settings.server,
        Server {
            names: settings.server.names.clone(),
            url: "http://db:1/write".into(),
            query: None,
            api: Api::V1,
            auth: Auth::Basic { user: "u".into(), password: Secret::new("p") },
            org: None,
            retention_policy: Some("year".into()),
            gzip: false,
            timeout: Duration::from_millis(800),
            authorities: Authorities::default(),
            nats: None,
            identity: None,
            verifies: true,
        }
    );
    assert!(settings.warnings.is_empty());
}

#[test]
fn a_timeout_that_is_probably_meant_in_seconds_is_a_warning() {
    let warnings = |milliseconds| {
        let config = environment(&[("INFLUXDB_TIMEOUT", milliseconds)]).unwrap();
        config.resolve().unwrap().warnings
    };
    assert_eq!(warnings("100"), [""; 0]);
    assert_eq!(
        warnings("10"),
        ["INFLUXDB_TIMEOUT is 10 ms, which few requests are done in: its unit is the millisecond"]
    );
}

#[test]
fn the_callback_is_carried_over() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let config = Config::new().on_rejected(move |rejected| {
        let (database, line) = (rejected.database(), rejected.line());
        sender.send(format!("{database} {line} {}", rejected.reason())).unwrap();
    });
    let callback = config.resolve().unwrap().on_rejected.unwrap();
    callback(&Rejected::new("db", "m f=1", "why"));
    assert_eq!(receiver.recv().unwrap(), "db m f=1 why");
}

#[test]
fn no_secret_is_ever_shown() {
    let config = Config::new()
        .url("http://me:hunter2@db/?p=hunter2")
        .credentials("you", "hunter2")
        .token("hunter2");
    let settings = config.resolve().unwrap();
    let shown = format!(
        "{config:?} {config:#?} {settings:?} {:?} {:?} {:?}",
        settings.server,
        settings.table(),
        settings.warnings,
    );
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("***"));

    let url = "http://me:hunter2@db";
    let misplaced = Config::new().scheme(url).host(url).credentials("me:hunter2", "");
    let shown = format!("{misplaced:?} {:?}", misplaced.resolve().unwrap_err());
    assert!(!shown.contains("hunter2"), "{shown}");
}
