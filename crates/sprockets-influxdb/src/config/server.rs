//! Where requests go and what they carry: the resolved [`Server`].

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::Config;
use super::choice::{Api, Precision};
use super::secret::Secret;
use super::setting::Origin;
use super::url::{Scheme, is_loopback, masked_query};
use super::value::{self, Asked, Source};
use crate::error::{Error, Result};

/// A server, and how to speak to it.
#[derive(Clone, PartialEq)]
pub(crate) struct Server {
    /// Scheme, authority and path; the user's own path as it stands, or the API's.
    pub(crate) url: String,
    /// Whether a URL was set, rather than a scheme, host and port.
    pub(crate) has_url: bool,
    /// The user's own query, without what the client sends itself.
    pub(crate) query: Option<String>,
    pub(crate) api: Api,
    pub(crate) auth: Auth,
    /// Always there on v2, never on the others.
    pub(crate) org: Option<String>,
    /// Only on v1.
    pub(crate) retention_policy: Option<String>,
    pub(crate) gzip: bool,
    /// For one request, from connect to the last byte of the reply.
    pub(crate) timeout: Duration,
    pub(crate) ca_file: Option<PathBuf>,
}

/// What a request proves who it is from with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Auth {
    None,
    Basic { user: String, password: Secret },
    Token(Secret),
}

/// The parts of a URL and of credentials that are in force, each with its source.
pub(super) struct Address {
    pub(super) scheme: (Scheme, Source),
    pub(super) host: (String, Source),
    /// `None`: the scheme's own.
    pub(super) port: (Option<u16>, Source),
    pub(super) user: (Option<String>, Source),
    pub(super) password: (Option<Secret>, Source),
}

impl Address {
    /// A URL wins over scheme, host and port, unless they were asked for from nearer by; over user and password only
    /// if it was.
    pub(super) fn resolve(config: &Config) -> Result<Self> {
        let url = config.url.value()?;
        let from_url = config.url.from();
        let over = |part: Origin| url.filter(|_| from_url.origin >= part);
        // Asked all at once, so that what a URL overrides is refused as well when it cannot be read.
        let (scheme, host, port) =
            (config.scheme.value()?, config.host.value()?, config.port.value()?);
        let (user, password) = (config.user.filled()?, config.password.filled()?);

        let host = match over(config.host.origin()) {
            Some(url) => (url.host.clone(), from_url),
            None => (host.map_or("localhost", String::as_str).to_owned(), config.host.from()),
        };
        let scheme = match (over(config.scheme.origin()), scheme) {
            (Some(url), _) => (url.scheme, from_url),
            (None, Some(scheme)) => (*scheme, config.scheme.from()),
            (None, None) if is_loopback(&host.0) => (Scheme::Http, Source::DEFAULT),
            (None, None) => (Scheme::Https, Source::DEFAULT),
        };
        let port = match over(config.port.origin()) {
            Some(url) => (url.port, from_url),
            None => (Some(port.copied().unwrap_or(8086)), config.port.from()),
        };
        let user = match url.and_then(|url| url.user.as_ref()) {
            Some(user) if from_url.origin > config.user.origin() => (Some(user), from_url),
            _ => (user, config.user.from()),
        };
        let password = match url.and_then(|url| url.password.as_ref()) {
            Some(password) if from_url.origin > config.password.origin() => {
                (Some(password), from_url)
            }
            _ => (password, config.password.from()),
        };
        let (user, password) = ((user.0.cloned(), user.1), (password.0.cloned(), password.1));
        Ok(Self { scheme, host, port, user, password })
    }

    fn authority(&self) -> String {
        match self.port.0 {
            Some(port) => format!("{}:{port}", self.host.0),
            None => self.host.0.clone(),
        }
    }
}

impl Server {
    /// Whatever is odd but can be used becomes a warning. While the client is turned off nothing is missing.
    pub(super) fn resolve(
        config: &Config,
        address: &Address,
        enabled: bool,
        warnings: &mut Vec<String>,
    ) -> Result<Self> {
        let token = config.token.filled()?;
        let org = config.org.filled()?;
        let retention_policy = config.retention_policy.filled()?;
        let api = config.api.or(match (org, token) {
            (Some(_), _) => Api::V2,
            (None, Some(_)) => Api::V3,
            (None, None) => Api::V1,
        })?;
        if enabled && api == Api::V2 {
            demand_v2(org.is_some(), token.is_some())?;
        }
        let ca_file = config.ca_file.value()?;
        if let (true, Some(path), Some(source)) = (enabled, ca_file, config.ca_file.source()) {
            value::ca_file(path).map_err(|problem| source.error(problem))?;
        }

        warn_of_unused(config, address, api, warnings);
        if let (Api::V1, Precision::Microseconds) =
            (api, config.precision.or(Precision::default())?)
        {
            warnings.push(
                "microseconds over the v1 API are right on InfluxDB 1.x only: 2.x takes them for nanoseconds".into(),
            );
        }
        let url = config.url.value()?;
        let path = url.and_then(|url| url.path.as_deref()).unwrap_or(api.path());
        let another = [Api::V1, Api::V2, Api::V3].into_iter().find(|api| api.path() == path);
        if let Some(another) = another.filter(|another| *another != api) {
            warnings.push(format!(
                "the URL's path, {path}, is that of the {another} API, but requests are those of {api}: set \
                 INFLUXDB_API (api) to {another}, or leave the path out"
            ));
        }
        let query = url.and_then(|url| url.query.as_deref());
        Ok(Self {
            has_url: url.is_some(),
            url: format!("{}://{}{path}", address.scheme.0, address.authority()),
            query: query.and_then(|query| theirs(query, api, retention_policy.is_some(), warnings)),
            api,
            auth: match (token, &address.user.0) {
                (Some(token), _) => Auth::Token(token.clone()),
                (None, Some(user)) => Auth::Basic {
                    user: user.clone(),
                    password: address.password.0.clone().unwrap_or_default(),
                },
                (None, None) => Auth::None,
            },
            org: org.filter(|_| api == Api::V2).cloned(),
            retention_policy: retention_policy.filter(|_| api == Api::V1).cloned(),
            gzip: config.gzip.or(!is_loopback(&address.host.0))?,
            timeout: config.timeout.or(Duration::from_secs(10))?,
            ca_file: ca_file.cloned(),
        })
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("url", &self.url)
            .field("has_url", &self.has_url)
            .field("query", &self.query.as_deref().map(masked_query))
            .field("api", &self.api)
            .field("auth", &self.auth)
            .field("org", &self.org)
            .field("retention_policy", &self.retention_policy)
            .field("gzip", &self.gzip)
            .field("timeout", &self.timeout)
            .field("ca_file", &self.ca_file)
            .finish()
    }
}

fn demand_v2(org: bool, token: bool) -> Result<()> {
    let missing = match (org, token) {
        (true, true) => return Ok(()),
        (true, false) => "INFLUXDB_TOKEN (token) is not set",
        (false, true) => "INFLUXDB_ORG (org) is not set",
        (false, false) => "INFLUXDB_ORG (org) and INFLUXDB_TOKEN (token) are not set",
    };
    Err(Error::configuration(format!(
        "{missing}: expected both for the v2 API, which is the one used when an org is set or INFLUXDB_API (api) is v2"
    )))
}

fn warn_of_unused(config: &Config, address: &Address, api: Api, warnings: &mut Vec<String>) {
    let mut unused = |asked: &Asked<String>, what: &str| {
        if let (Some(source), Some(_)) =
            (asked.source(), asked.valid().filter(|text| !text.is_empty()))
        {
            warnings.push(format!("{} is not used: the {api} API knows no {what}", source.name));
        }
    };
    if api != Api::V1 {
        unused(&config.retention_policy, "retention policies");
    } else {
        unused(&config.org, "orgs");
    }
    let token = config.token.valid().is_some_and(|token| !token.expose().is_empty());
    if token && address.user.0.is_some() {
        warnings.push("user and password are not used: a token is set, which wins".into());
    } else if address.password.0.is_some() && address.user.0.is_none() {
        warnings.push(
            "the password is not used: there is no user name (INFLUXDB_USER or credentials)".into(),
        );
    }
}

/// The user's query without the parameters that the client sends itself.
fn theirs(
    query: &str,
    api: Api,
    retention_policy: bool,
    warnings: &mut Vec<String>,
) -> Option<String> {
    let ours: &[&str] = match api {
        Api::V1 if retention_policy => &["db", "precision", "rp"],
        Api::V1 | Api::V3 => &["db", "precision"],
        Api::V2 => &["bucket", "org", "precision"],
    };
    let (ours, theirs): (Vec<_>, Vec<_>) = query
        .split('&')
        .partition(|pair| ours.contains(&pair.split('=').next().unwrap_or_default()));
    for pair in ours {
        warnings.push(format!("`{pair}` in the URL's query is not used: the client sends its own"));
    }
    Some(theirs.join("&")).filter(|query| !query.is_empty())
}

#[cfg(test)]
mod tests {
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
    fn a_path_is_used_as_it_stands_and_otherwise_the_apis_own() {
        let with = |text: &str| Config::new().url(text).unwrap();
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
            (
                Config::new().api(Api::V2),
                "INFLUXDB_ORG (org) and INFLUXDB_TOKEN (token) are not set",
            ),
        ] {
            assert!(config.clone().enabled(false).resolve().is_ok());
            let told = refused(config);
            assert!(told.starts_with(missing), "{told}");
        }
    }

    #[test]
    fn a_token_wins_over_user_and_password() {
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
    fn credentials_may_stand_in_the_url() {
        let basic = |config: Config| match config.resolve().unwrap().server.auth {
            Auth::Basic { user, password } => (user, password.expose().to_owned()),
            other => panic!("{other:?}"),
        };
        let pair = |user: &str, password: &str| (user.to_owned(), password.to_owned());
        let config = Config::new().url("http://me:p%3Aw@db").unwrap();
        assert_eq!(config.resolve().unwrap().server.url, "http://db/write");
        assert_eq!(basic(config.clone()), pair("me", "p:w"));
        assert_eq!(basic(config.credentials("you", "other")), pair("you", "other"));

        let variables = [("INFLUXDB_USER", "envuser"), ("INFLUXDB_PASSWORD", "envpassword")];
        let config = environment(&variables).unwrap();
        assert_eq!(basic(config.clone().url("http://me:pw@db").unwrap()), pair("me", "pw"));
        assert_eq!(basic(config.url("http://me@db").unwrap()), pair("me", "envpassword"));
    }

    #[test]
    fn a_url_wins_over_its_parts_and_an_argument_over_the_environment() {
        let parts =
            [("INFLUXDB_SCHEME", "https"), ("INFLUXDB_HOST", "part"), ("INFLUXDB_PORT", "1")];
        let config = environment(&parts).unwrap();
        assert_eq!(url(config.clone()), "https://part:1/write");
        assert_eq!(url(config.url("http://whole").unwrap()), "http://whole/write");

        let whole = [parts[0], parts[1], parts[2], ("INFLUXDB_URL", "http://whole:2/path")];
        let config = environment(&whole).unwrap();
        assert_eq!(url(config.clone()), "http://whole:2/path");
        assert_eq!(url(config.clone().host("other")), "http://other:2/path");
        assert_eq!(url(config.clone().port(3)), "http://whole:3/path");
        assert_eq!(url(config.clone().scheme("https")), "https://whole:2/path");
        assert_eq!(
            url(config.url("http://argument").unwrap().host("other")),
            "http://argument/write"
        );
    }

    #[test]
    fn the_users_query_is_kept_but_for_what_the_client_sends() {
        let resolved = |text: &str, config: Config| {
            let settings = config.url(text).unwrap().resolve().unwrap();
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
    fn what_an_api_does_not_know_is_left_out_with_a_warning() {
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

        let config = Config::new().url("http://db/write").unwrap().token("t");
        assert_eq!(config.resolve().unwrap().warnings.len(), 1);
        assert!(config.api(Api::V1).resolve().unwrap().warnings.is_empty());
    }

    #[test]
    fn what_a_setter_could_not_refuse_is_refused_here() {
        for (config, told) in [
            (
                Config::new().scheme("ftp"),
                r#"scheme: "ftp" is not a scheme: expected http or https"#,
            ),
            (Config::new().host(""), r#"host: "" is not a host: expected a host name"#),
            (
                Config::new().host("http://me:hunter2@db"),
                r#"host: "http://***@db" is not a host: "#,
            ),
            (
                Config::new().port(0),
                "port: 0 is not a port: expected a whole number from 1 to 65535",
            ),
            (
                Config::new().credentials("a:hunter2", "p"),
                r#"user: "a:***" is not a user name: expected "#,
            ),
            (Config::new().token("hunter2\n"), "token: the token (not shown) holds a character"),
        ] {
            let error = refused(config);
            assert!(error.starts_with(told), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
