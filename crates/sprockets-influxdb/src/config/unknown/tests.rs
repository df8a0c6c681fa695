use super::super::Config;
use super::*;

/// The warnings about variables with the value `1`.
fn warnings_of(names: &[&str]) -> Vec<String> {
    warnings_with(Config::new(), &names.iter().map(|name| (*name, "1")).collect::<Vec<_>>())
}

fn warnings_with(config: Config, variables: &[(&str, &str)]) -> Vec<String> {
    let variables = variables.iter().map(|(name, value)| (String::from(*name), (*value).into()));
    warnings(&candidates(variables), &config.settings().unwrap())
}

#[test]
fn misspelt_and_foreign_names_are_reported_with_ours() {
    for (name, expected) in [
        ("INFLUXDB_TRIGER_SIZE", "did you mean INFLUXDB_TRIGGER_SIZE?"),
        ("INFLUXDB_MAX_BATCHSIZE", "did you mean INFLUXDB_MAX_BATCH_SIZE?"),
        ("INFLUXDB_TIMOUT", "did you mean INFLUXDB_TIMEOUT?"),
        ("INFLUXDB_BUKET", "did you mean INFLUXDB_BUCKET?"),
        ("influxdb_url", "did you mean INFLUXDB_URL?"),
        ("INFLUX_DB_URL", "did you mean INFLUXDB_URL?"),
        ("INFLUXDB_V2_URL", "set INFLUXDB_URL"),
        ("INFLUXDB_V2_TOKEN", "set INFLUXDB_TOKEN"),
        ("INFLUXDB_V2_ORG", "set INFLUXDB_ORG"),
        ("INFLUXDB3_HOST_URL", "set INFLUXDB_URL"),
        ("INFLUXDB3_AUTH_TOKEN", "set INFLUXDB_TOKEN"),
        ("INFLUX_URL", "set INFLUXDB_URL"),
        ("INFLUXDB_USERNAME", "set INFLUXDB_USER"),
        ("INFLUXDB_DB", "set INFLUXDB_DATABASE"),
        ("INFLUXDB_SOMETHING_ELSE_ENTIRELY", "no setting has this name"),
        ("INFLUXDB_DBS", "no setting has this name"),
    ] {
        let expected = format!("{name} is set, and nothing reads it: {expected}");
        assert_eq!(warnings_of(&[name]), [expected]);
    }
}

#[test]
fn variables_of_this_client_and_of_others_are_not_reported() {
    for (name, value) in [
        ("INFLUXDB_URL", "x"),
        ("INFLUXDB_BUCKET", "x"),
        ("INFLUXDB_PORT", "8086"),
        ("INFLUXDB_TAG_REMOTE_IP", "true"),
        ("INFLUXDB_TRIGER_SIZE", ""),
        // Kubernetes.
        ("INFLUXDB_PORT", "tcp://10.0.0.1:8086"),
        ("INFLUXDB_SERVICE_HOST", "10.0.0.1"),
        ("INFLUXDB_SERVICE_PORT", "8086"),
        ("INFLUXDB_SERVICE_PORT_HTTP", "8086"),
        ("INFLUXDB_HEADLESS_PORT", "tcp://10.0.0.1:8086"),
        ("INFLUX_PORT", "tcp://10.0.0.1:8086"),
        // Links of Docker.
        ("INFLUXDB_NAME", "/web/influxdb"),
        ("INFLUXDB_ENV_INFLUXDB_DB", "x"),
        ("INFLUXDB_PORT_8086_TCP", "tcp://10.0.0.1:8086"),
        ("INFLUXDB_PORT_8086_TCP_ADDR", "10.0.0.1"),
        ("INFLUXDB_PORT_8086_TCP_PORT", "8086"),
        ("INFLUXDB_PORT_8086_TCP_PROTO", "tcp"),
        // Those of the server, which containers may share.
        ("INFLUXDB_ADMIN_USER", "x"),
        ("INFLUXDB_ADMIN_PASSWORD", "x"),
        ("INFLUXDB_HTTP_AUTH_ENABLED", "true"),
        ("INFLUXDB_REPORTING_DISABLED", "true"),
        ("INFLUXDB_READ_USER_PASSWORD", "x"),
        ("DOCKER_INFLUXDB_INIT_BUCKET", "x"),
        ("INFLUXD_CONFIG_PATH", "x"),
        ("INFLUXDB3_NODE_IDENTIFIER_PREFIX", "x"),
        ("PATH", "x"),
        ("ENVIRONMENT", "x"),
    ] {
        assert_eq!(warnings_with(Config::new(), &[(name, value)]), [""; 0], "{name}={value}");
    }
}

#[test]
fn a_name_of_another_client_is_not_reported_where_ours_is_set() {
    let config = || Config::new().host("db").database("d");
    for name in ["INFLUX_URL", "INFLUXDB_V2_URL", "INFLUXDB_DB"] {
        assert_eq!(warnings_with(config(), &[(name, "x")]), [""; 0], "{name}");
    }
    assert_eq!(warnings_with(config(), &[("INFLUXDB_USERNAME", "x")]).len(), 1);
}

#[test]
fn the_names_used_elsewhere_are_sorted_and_ours_are_read() {
    assert!(ELSEWHERE.is_sorted() && OF_SERVERS.is_sorted());
    let settings = Config::new().settings().unwrap();
    let known: Vec<_> = settings.iter().filter_map(Setting::variable).collect();
    for (theirs, ours) in ELSEWHERE {
        assert!(!known.contains(&theirs), "{theirs}");
        assert!(known.contains(&ours), "{ours}");
    }
}
