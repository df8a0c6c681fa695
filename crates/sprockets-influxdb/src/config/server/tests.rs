use super::super::Config;
use super::super::tests::environment;
use super::*;

fn url(config: Config) -> String {
    config.resolve().unwrap().server.url
}

fn refused(config: Config) -> String {
    config.resolve().unwrap_err().to_string()
}

#[test]
fn the_scheme_is_https_except_to_a_loopback_host() {
    assert_eq!(url(Config::new()), "http://localhost:8086/write");
    assert_eq!(url(Config::new().host("::1")), "http://[::1]:8086/write");
    assert_eq!(url(Config::new().host("[::1]")), "http://[::1]:8086/write");
    assert_eq!(url(Config::new().host("db")), "https://db:8086/write");
    assert_eq!(url(Config::new().host("db").scheme("HTTP")), "http://db:8086/write");
    assert_eq!(url(Config::new().scheme("https")), "https://localhost:8086/write");
}

#[test]
fn gzip_is_on_except_to_a_loopback_host() {
    let gzip = |config: Config| config.resolve().unwrap().server.gzip;
    assert!(!gzip(Config::new()));
    assert!(gzip(Config::new().host("db")));
    assert!(gzip(Config::new().gzip(true)));
    assert!(!gzip(Config::new().host("db").gzip(false)));
}

#[test]
fn a_path_in_the_url_replaces_that_of_the_api() {
    let with = |text: &str| Config::new().url(text);
    assert_eq!(url(with("http://db:8086/write")), "http://db:8086/write");
    assert_eq!(url(with("https://db/influx/")), "https://db/influx/");
    assert_eq!(url(with("http://db:8086/")), "http://db:8086/write");
    assert_eq!(url(with("http://db").token("t")), "http://db/api/v3/write_lp");
    assert_eq!(url(with("http://db").token("t").org("o")), "http://db/api/v2/write");
    assert_eq!(url(with("http://db/proxy").api(Api::V3)), "http://db/proxy");
}

#[test]
fn the_api_follows_from_org_and_token() {
    let api = |config: Config| config.resolve().unwrap().server.api;
    assert_eq!(api(Config::new()), Api::V1);
    assert_eq!(api(Config::new().credentials("u", "p")), Api::V1);
    assert_eq!(api(Config::new().token("t")), Api::V3);
    assert_eq!(api(Config::new().token("t").org("o")), Api::V2);
    assert_eq!(api(Config::new().token("t").org("")), Api::V3);
    assert_eq!(api(Config::new().token("t").org("o").api(Api::V1)), Api::V1);
    assert_eq!(api(Config::new().api(Api::V3)), Api::V3);
}

#[test]
fn v2_needs_an_org_and_a_token_unless_the_client_is_off() {
    for (config, missing) in [
        (Config::new().org("o"), "INFLUXDB_TOKEN (token) is not set"),
        (Config::new().token("t").api(Api::V2), "INFLUXDB_ORG (org) is not set"),
        (Config::new().api(Api::V2), "INFLUXDB_ORG (org) and INFLUXDB_TOKEN (token) are not set"),
    ] {
        assert!(config.clone().enabled(false).resolve().is_ok());
        let message = refused(config);
        assert!(message.starts_with(missing), "{message}");
    }
}

#[test]
fn a_token_precedes_user_and_password() {
    let resolved = |config: Config| {
        let settings = config.resolve().unwrap();
        (settings.server.auth, settings.warnings.len())
    };
    let basic = |user: &str, password: &str| Auth::Basic {
        user: user.into(),
        password: Secret::new(password),
    };
    assert_eq!(resolved(Config::new()), (Auth::None, 0));
    assert_eq!(resolved(Config::new().credentials("u", "p")), (basic("u", "p"), 0));
    assert_eq!(resolved(Config::new().credentials("u", "")), (basic("u", ""), 0));
    assert_eq!(resolved(Config::new().credentials("", "")), (Auth::None, 0));
    assert_eq!(resolved(Config::new().credentials("", "p")), (Auth::None, 1));
    let token = Config::new().token("t").api(Api::V1);
    assert_eq!(resolved(token.clone()), (Auth::Token(Secret::new("t")), 0));
    assert_eq!(resolved(token.credentials("u", "p")), (Auth::Token(Secret::new("t")), 1));
}

#[test]
fn credentials_may_be_part_of_the_url() {
    let basic = |config: Config| match config.resolve().unwrap().server.auth {
        Auth::Basic { user, password } => (user, password.expose().to_owned()),
        other => panic!("{other:?}"),
    };
    let pair = |user: &str, password: &str| (user.to_owned(), password.to_owned());
    let config = Config::new().url("http://me:p%3Aw@db");
    assert_eq!(config.resolve().unwrap().server.url, "http://db/write");
    assert_eq!(basic(config.clone()), pair("me", "p:w"));
    assert_eq!(basic(config.credentials("you", "other")), pair("you", "other"));

    let variables = [("INFLUXDB_USER", "envuser"), ("INFLUXDB_PASSWORD", "envpassword")];
    let config = environment(&variables).unwrap();
    assert_eq!(basic(config.clone().url("http://me:pw@db")), pair("me", "pw"));
    assert_eq!(basic(config.url("http://me@db")), pair("me", "envpassword"));
}

#[test]
fn a_url_precedes_its_parts_and_an_argument_the_environment() {
    let parts = [("INFLUXDB_SCHEME", "https"), ("INFLUXDB_HOST", "part"), ("INFLUXDB_PORT", "1")];
    let config = environment(&parts).unwrap();
    assert_eq!(url(config.clone()), "https://part:1/write");
    assert_eq!(url(config.url("http://whole")), "http://whole/write");

    let whole = [parts[0], parts[1], parts[2], ("INFLUXDB_URL", "http://whole:2/path")];
    let config = environment(&whole).unwrap();
    assert_eq!(url(config.clone()), "http://whole:2/path");
    assert_eq!(url(config.clone().host("other")), "http://other:2/path");
    assert_eq!(url(config.clone().port(3)), "http://whole:3/path");
    assert_eq!(url(config.clone().scheme("https")), "https://whole:2/path");
    assert_eq!(url(config.url("http://argument").host("other")), "http://argument/write");
}

#[test]
fn the_query_is_kept_without_parameters_that_the_client_sends() {
    let resolved = |text: &str, config: Config| {
        let settings = config.url(text).resolve().unwrap();
        (settings.server.query.unwrap_or_default(), settings.warnings.len())
    };
    let kept = |query: &str, warnings| (query.to_owned(), warnings);
    let v1 = Config::new();
    assert_eq!(
        resolved("http://db?consistency=all&rp=x", v1.clone()),
        kept("consistency=all&rp=x", 0)
    );
    assert_eq!(resolved("http://db?db=x&a=b&precision=s", v1.clone()), kept("a=b", 2));
    assert_eq!(resolved("http://db?rp=x", v1.retention_policy("y")), kept("", 1));
    let v2 = Config::new().token("t").org("o");
    assert_eq!(resolved("http://db?db=x&bucket=b&org=o", v2), kept("db=x", 2));
}

#[test]
fn settings_that_an_api_does_not_know_are_ignored_with_a_warning() {
    let settings = Config::new().token("t").retention_policy("year").resolve().unwrap();
    assert_eq!(settings.server.retention_policy, None);
    assert_eq!(
        settings.warnings,
        ["retention_policy is not used: the v3 API knows no retention policies"]
    );

    let variables = [("INFLUXDB_ORG", "o"), ("INFLUXDB_API", "v1")];
    let settings = environment(&variables).unwrap().resolve().unwrap();
    assert_eq!(settings.server.org, None);
    assert_eq!(settings.warnings, ["INFLUXDB_ORG is not used: the v1 API knows no orgs"]);

    let settings = Config::new().retention_policy("year").resolve().unwrap();
    assert_eq!(settings.server.retention_policy.as_deref(), Some("year"));
    assert!(settings.warnings.is_empty());

    let config = Config::new().precision(Precision::Microseconds);
    assert_eq!(config.resolve().unwrap().warnings.len(), 1);
    assert!(config.api(Api::V3).resolve().unwrap().warnings.is_empty());

    let config = Config::new().url("http://db/write").token("t");
    assert_eq!(config.resolve().unwrap().warnings.len(), 1);
    assert!(config.api(Api::V1).resolve().unwrap().warnings.is_empty());
}

#[cfg(feature = "nats")]
#[test]
fn a_url_of_nats_names_the_servers_of_a_cluster() {
    let config = Config::new().url("nats://me:pw@a,nats://b:5222,[::1]").nats_stream("METRICS");
    let server = config.resolve().unwrap().server;
    let nats = server.nats.clone().unwrap();
    assert_eq!(server.url, "nats://a,b:5222,[::1]:4222");
    assert_eq!(nats.servers, ["nats://a:4222", "nats://b:5222", "nats://[::1]:4222"]);
    assert_eq!(nats.subject, "influxdb.{database}");
    assert_eq!(nats.stream.as_deref(), Some("METRICS"));
    assert!(matches!(server.auth, Auth::Basic { .. }));
    assert!(!server.gzip, "Telegraf does not decompress");
    let shown = config.settings().unwrap();
    let url = shown.iter().find(|setting| setting.name() == "url").unwrap();
    assert_eq!(url.value().to_string(), "nats://a,b:5222,[::1]:4222");

    let tls = Config::new().url("tls://a").token("t").resolve().unwrap().server;
    assert_eq!(tls.nats.unwrap().servers, ["tls://a:4222"]);
    assert_eq!((tls.api, tls.auth), (Api::V1, Auth::Token(Secret::new("t"))));
}

#[cfg(feature = "nats")]
#[test]
fn a_url_of_nats_has_no_path() {
    let refusal = refused(Config::new().url("nats://a/subject"));
    assert!(refusal.contains("INFLUXDB_NATS_SUBJECT"), "{refusal}");
}

#[cfg(not(feature = "nats"))]
#[test]
fn a_url_of_nats_is_refused_without_the_feature() {
    let refusal = refused(Config::new().url("nats://a"));
    assert!(refusal.contains("needs NATS, which this build does not have"), "{refusal}");
}

#[test]
fn settings_of_nats_warn_without_a_url_of_nats() {
    let settings = Config::new().nats_stream("METRICS").resolve().unwrap();
    assert_eq!(
        settings.warnings,
        ["nats_stream is not used: the URL of the server is none of NATS"]
    );
}
