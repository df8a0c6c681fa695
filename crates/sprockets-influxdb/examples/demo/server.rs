//! Which server the demo writes into and reads from.

use std::env;
use std::fmt;

use percent_encoding::percent_decode_str;
use sprockets_influxdb::{Config, Origin, Setting, testing};

use super::Result;
use super::influxd::Influxd;
use super::influxql::InfluxQl;
use super::latch::Latch;
use super::summary::{Span, Summary};

const DATABASE: &str = "sprockets_influxdb_demo";

pub(crate) struct Server {
    kind: Kind,
    database: String,
}

enum Kind {
    /// That of the `INFLUXDB_*` variables.
    Named {
        api: String,
        shown: String,
        influxql: InfluxQl,
    },
    Own {
        influxd: Influxd,
        influxql: InfluxQl,
    },
    /// With the reason why it is none of the others.
    Embedded {
        server: testing::Server,
        reason: String,
    },
}

impl Server {
    pub(crate) fn find(interrupted: &Latch) -> Result<Self> {
        let settings = Config::from_env()?.settings()?;
        let database = env::var("DEMO_DATABASE").ok().filter(|name| !name.is_empty());
        let database = database.unwrap_or_else(|| DATABASE.to_owned());
        // It stands for scheme, host and port as well.
        let is_named = settings
            .iter()
            .any(|setting| setting.name() == "url" && setting.origin() == Origin::Environment);
        let kind = if is_named {
            named(&settings)?
        } else {
            match Influxd::start(interrupted) {
                Ok(influxd) => {
                    let influxql = InfluxQl::new(influxd.url());
                    Kind::Own { influxd, influxql }
                }
                Err(reason) => Kind::Embedded { server: testing::Server::start(), reason },
            }
        };
        Ok(Self { kind, database })
    }

    pub(crate) fn database(&self) -> &str {
        &self.database
    }

    /// How a client finds it.
    pub(crate) fn config(&self) -> Result<Config> {
        Ok(match &self.kind {
            Kind::Named { .. } => Config::from_env()?,
            Kind::Own { influxd, .. } => Config::new().url(influxd.url()),
            Kind::Embedded { server, .. } => Config::new().url(&server.url()),
        })
    }

    /// Makes sure that it is there, and has the database.
    pub(crate) fn prepare(&self) -> Result<()> {
        match &self.kind {
            Kind::Named { api, influxql, .. } if api == "v1" => influxql.create(&self.database),
            Kind::Named { influxql, .. } => influxql.ping(),
            Kind::Own { influxql, .. } => influxql.create(&self.database),
            Kind::Embedded { .. } => Ok(()),
        }
    }

    /// Reads back what it has of a run.
    pub(crate) fn summary(&self, run: &str, span: Span) -> Result<Summary> {
        match &self.kind {
            Kind::Named { influxql, .. } | Kind::Own { influxql, .. } => {
                influxql.summary(&self.database, run, span)
            }
            Kind::Embedded { server, .. } => {
                Ok(Summary::of_points(&server.points(&self.database), run, span))
            }
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Named { api, shown, .. } => {
                write!(f, "the one that INFLUXDB_* names: {shown} ({api})")
            }
            Kind::Own { influxd, .. } => {
                let (version, directory) = (influxd.version(), influxd.directory().display());
                write!(f, "its own influxd {version} on {}, in {directory}", influxd.url())
            }
            Kind::Embedded { server, reason } => {
                write!(f, "the scripted one of the tests on {} ({reason})", server.url())
            }
        }
    }
}

fn named(settings: &[Setting]) -> Result<Kind> {
    let setting = |name: &str| {
        let found = settings.iter().find(|setting| setting.name() == name);
        found.map(Setting::value).filter(|value| !value.is_unset()).map(ToString::to_string)
    };
    if setting("enabled").as_deref() == Some("false") {
        return Err("INFLUXDB_ENABLED turns the client off, which leaves nothing to show".into());
    }
    // A query may have secrets, which are masked here. InfluxDB reads its own from headers.
    let url = setting("url").unwrap_or_default();
    let url = url.split('?').next().unwrap_or_default();
    let base = ["/api/v2/write", "/api/v3/write_lp", "/write"]
        .iter()
        .find_map(|path| url.strip_suffix(path))
        .ok_or_else(|| format!("{url} is for writing: it does not tell where to read"))?;

    let mut influxql = InfluxQl::new(base);
    let api = setting("api").unwrap_or_default();
    if let Some(user) = setting("user") {
        influxql = influxql.basic(&user, &password());
    } else if let (Some(_), Ok(token)) = (setting("token"), env::var("INFLUXDB_TOKEN")) {
        // The form that each of the versions takes for reading by InfluxQL.
        influxql = influxql.token(if api == "v3" { "Bearer" } else { "Token" }, &token);
    }
    if let Some(name) = setting("retention_policy") {
        influxql = influxql.retention_policy(&name);
    }
    if base.starts_with("https:") {
        influxql = influxql.tls(setting("ca_file").as_deref())?;
    }
    Ok(Kind::Named { api, shown: base.to_owned(), influxql })
}

/// The settings only have its mask.
fn password() -> String {
    let variable = |name| env::var(name).ok().filter(|value: &String| !value.is_empty());
    variable("INFLUXDB_PASSWORD").unwrap_or_else(|| {
        let url = variable("INFLUXDB_URL").unwrap_or_default();
        let userinfo = url.rsplit_once('@').map_or("", |(before, _)| before);
        let password = userinfo.rsplit_once("://").and_then(|(_, pair)| pair.split_once(':'));
        let password = password.map_or("", |(_, password)| password);
        percent_decode_str(password).decode_utf8_lossy().into_owned()
    })
}
