//! The names of the settings of a server, for advice.

use super::enums::Api;
use super::schema::Values;
use super::setting_name::{SettingName, list};
use super::types::Source;

/// Each setting of the server by the variable or the argument that is in force.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Names {
    /// Scheme, host and port.
    address: [SettingName; 3],
    pub(crate) api: SettingName,
    pub(crate) org: SettingName,
    pub(crate) retention_policy: SettingName,
    pub(crate) ca_file: SettingName,
    pub(crate) gzip: SettingName,
    /// User and password.
    login: [SettingName; 2],
    token: SettingName,
    /// The client's certificate, and its key.
    identity: [SettingName; 2],
    has_identity: bool,
    /// Which credentials are sent.
    credentials: Credentials,
    /// Whether the API is v3 because only a token is set.
    is_v3_by_token: bool,
}

const LOGIN: [SettingName; 2] = [SettingName::argument("user"), SettingName::argument("password")];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Credentials {
    None,
    Basic,
    Token,
}

impl Names {
    /// Those of resolved values.
    pub(super) fn of(values: &Values) -> Self {
        let credentials = match (&values.token.value, &values.user.value) {
            (Some(_), _) => Credentials::Token,
            (None, Some(_)) => Credentials::Basic,
            (None, None) => Credentials::None,
        };
        Self {
            address: ["scheme", "host", "port"].map(|part| values.name(part)),
            api: values.name("api"),
            org: values.name("org"),
            retention_policy: values.name("retention_policy"),
            ca_file: values.name("ca_file"),
            gzip: values.name("gzip"),
            login: ["user", "password"].map(|part| values.name(part)),
            token: values.name("token"),
            identity: ["client_cert", "client_key"].map(|part| values.name(part)),
            has_identity: values.client_cert.value.is_some(),
            credentials,
            is_v3_by_token: values.api.source == Source::DEFAULT
                && values.api.value == Some(Api::V3),
        }
    }

    /// What to check about a server that does not have the API.
    pub(crate) fn no_such_api(&self) -> String {
        let (api, address) = (self.api, self.address());
        if self.is_v3_by_token {
            let (v1, org) = (api.set_to("v1"), self.org);
            return format!(
                "the server does not have the v3 API, which is used because only a token is set: \
                 for InfluxDB 2, set {org}; for InfluxDB 1, {v1}; else check {address}"
            );
        }
        format!("the server does not have this API: check {api} and {address}")
    }

    pub(crate) fn host(&self) -> String {
        self.address[1].to_string()
    }

    pub(crate) fn host_and_port(&self) -> String {
        list(&self.address[1..])
    }

    /// All that the address consists of.
    pub(crate) fn address(&self) -> String {
        list(&self.address)
    }

    /// The advice to use another scheme, `http` or `https`.
    pub(crate) fn use_scheme(&self, scheme: &str) -> String {
        let [setting, ..] = self.address;
        if setting.is_url() {
            format!("write {scheme}:// in {setting}")
        } else {
            setting.set_to(scheme)
        }
    }

    /// What is wrong if a server rejects a request for its credentials, and what to do.
    pub(crate) fn rejected_credentials(&self, api: Api) -> String {
        match (self.credentials, api) {
            (Credentials::None, Api::V1) => {
                format!("the server wants credentials, and none are set: set {}", list(&self.login))
            }
            (Credentials::None, _) => {
                format!("the server wants a token, and none is set: set {}", self.token)
            }
            _ => format!("the server rejected the credentials: check {}", self.credentials()),
        }
    }

    /// The credentials that are sent.
    pub(crate) fn credentials(&self) -> String {
        match self.credentials {
            Credentials::Token => self.token.to_string(),
            // Each language has other names for these arguments.
            _ if self.login == LOGIN => "the user and password that were passed".to_owned(),
            _ => list(&self.login),
        }
    }

    /// What to do about a server that rejects the client's certificate, or the lack of one.
    pub(crate) fn rejected_identity(&self) -> String {
        if self.has_identity {
            format!("it rejects the client's certificate: check {}", list(&self.identity[..1]))
        } else {
            format!("it may demand a certificate of the client: set {}", list(&self.identity))
        }
    }

    /// The form that a server expects of the credentials that are sent.
    pub(crate) fn credentials_form(&self) -> &'static str {
        match self.credentials {
            Credentials::Token => "a token without a space",
            _ => "a password without a colon",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::super::tests::environment;
    use super::*;

    fn names(config: &Config) -> Names {
        config.resolve().unwrap().server.names
    }

    #[test]
    fn the_setting_in_force_is_named() {
        let default = names(&Config::new());
        assert_eq!(default.address(), "INFLUXDB_SCHEME, INFLUXDB_HOST and INFLUXDB_PORT");
        assert_eq!(default.use_scheme("http"), "set INFLUXDB_SCHEME=http");

        // A URL overrides its parts.
        let url = environment(&[("INFLUXDB_URL", "https://db"), ("INFLUXDB_SCHEME", "http")]);
        let url = names(&url.unwrap());
        assert_eq!(url.address(), "INFLUXDB_URL");
        assert_eq!(url.use_scheme("http"), "write http:// in INFLUXDB_URL");

        // An argument overrides a part of the URL of the environment.
        let mixed = environment(&[("INFLUXDB_URL", "https://db")]).unwrap().port(1).scheme("https");
        let mixed = names(&mixed);
        assert_eq!(mixed.host_and_port(), "INFLUXDB_URL and the argument port");
        assert_eq!(mixed.use_scheme("http"), "set the argument scheme to http");

        let argument = names(&Config::new().url("https://db"));
        assert_eq!(argument.host(), "the argument url");
        assert_eq!(argument.use_scheme("http"), "write http:// in the argument url");
    }

    #[test]
    fn an_api_that_follows_from_a_lone_token_is_explained() {
        let advice =
            |variables: &[(&str, &str)]| names(&environment(variables).unwrap()).no_such_api();
        let token = ("INFLUXDB_TOKEN", "t");
        assert_eq!(
            advice(&[token]),
            "the server does not have the v3 API, which is used because only a token is set: for \
             InfluxDB 2, set INFLUXDB_ORG; for InfluxDB 1, set INFLUXDB_API=v1; else check \
             INFLUXDB_SCHEME, INFLUXDB_HOST and INFLUXDB_PORT"
        );
        let chosen = [token, ("INFLUXDB_API", "v3")];
        assert!(advice(&chosen).starts_with("the server does not have this API: check"));
    }

    #[test]
    fn credentials_are_named_by_where_they_come_from() {
        let advice = |variables: &[(&str, &str)]| {
            let names = names(&environment(variables).unwrap());
            names.rejected_credentials(Api::V1)
        };
        let (user, password) = (("INFLUXDB_USER", "u"), ("INFLUXDB_PASSWORD", "p"));
        assert_eq!(
            advice(&[]),
            "the server wants credentials, and none are set: set INFLUXDB_USER and \
             INFLUXDB_PASSWORD"
        );
        assert_eq!(
            advice(&[user, password]),
            "the server rejected the credentials: check INFLUXDB_USER and INFLUXDB_PASSWORD"
        );
        assert_eq!(
            advice(&[user, password, ("INFLUXDB_TOKEN", "t")]),
            "the server rejected the credentials: check INFLUXDB_TOKEN"
        );
        let url = names(&Config::new().url("http://u:p@db"));
        assert_eq!(url.credentials(), "the argument url");
        let passed = names(&Config::new().credentials("u", "p"));
        assert_eq!(passed.credentials(), "the user and password that were passed");
        let url = environment(&[("INFLUXDB_URL", "http://u@db"), password]).unwrap();
        assert_eq!(names(&url).credentials(), "INFLUXDB_URL and INFLUXDB_PASSWORD");
        let token = names(&Config::new().api(Api::V3));
        assert_eq!(
            token.rejected_credentials(Api::V3),
            "the server wants a token, and none is set: set INFLUXDB_TOKEN"
        );
    }
}
