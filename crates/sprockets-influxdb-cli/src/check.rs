//! `check`: the configuration in force with the source of each value, and whether its server would
//! accept measurements.

use std::io::{self, Write};

use clap::Args;
use serde_json::{Value, json};
use sprockets_influxdb::{Check, Client, Config, Finding, Origin, Setting, SettingValue};

use crate::exit::{self, Problem};
use crate::terminal::{self, Style};
use crate::{args, warnings};

/// Show the configuration, and check that its server would accept measurements
///
/// Stores nothing, and creates no database. Shows also variables that look like settings, and that
/// nothing reads.
///
/// Exit code: 0 if every check passed, 1 if one failed, 2 if an argument or a setting cannot be
/// used.
#[derive(Args, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    server: args::Server,
    /// Database (bucket, on InfluxDB 2) to check; may be repeated [env: INFLUXDB_DATABASE]
    #[arg(long = "database", value_name = "NAME")]
    databases: Vec<String>,
    #[command(flatten)]
    output: args::Output,
}

pub(crate) fn run(options: &Options) -> Result<u8, Problem> {
    let config = options.server.config(Config::new(), &[])?;
    let settings = config.settings()?;
    let (client, warnings) = warnings::collect(|| Client::new(config));
    let client = client?;

    let default = client.default_database();
    let checks: Vec<(Option<&str>, Check)> = if options.databases.is_empty() {
        let name = default.as_deref();
        vec![(name, client.check(name))]
    } else {
        let names = options.databases.iter().map(String::as_str);
        names.map(|name| (Some(name), client.check(Some(name)))).collect()
    };
    let is_passed = checks.iter().all(|(_, check)| check.is_passed());
    // The exit code tells the result even if the output cannot be written.
    let _ = options.output.print(
        || to_json(&settings, &options.databases, &warnings, &checks),
        |out| {
            write_settings(out, &settings, &options.databases, &warnings)?;
            write_checks(out, &checks)
        },
    );
    Ok(if is_passed { exit::OK } else { exit::FAILED })
}

fn write_settings(
    out: &mut dyn Write,
    settings: &[Setting],
    databases: &[String],
    warnings: &[String],
) -> io::Result<()> {
    let style = terminal::on_stdout();
    writeln!(out, "configuration")?;
    for setting in settings {
        let (name, value, source) = (setting.name(), setting.value(), source(setting));
        let value = if value.is_unset() { "-".to_owned() } else { value.to_string() };
        let (value, source) = match checked(name, databases) {
            Some(names) => (names, "argument --database".to_owned()),
            None => (value, source),
        };
        writeln!(out, "  {name:<20} {value:<32} {}", style.faint(&format!("({source})")))?;
    }
    let mut warn = |warning: &str| writeln!(out, "  {} {warning}", style.warning("warning:"));
    let disabled = SettingValue::Boolean(false);
    if settings.iter().any(|setting| setting.name() == "enabled" && *setting.value() == disabled) {
        warn("enabled is false: applications record nothing")?;
    }
    warnings.iter().try_for_each(|warning| warn(warning))
}

/// The databases of the arguments, if this is the setting that they replace.
fn checked(setting: &str, databases: &[String]) -> Option<String> {
    (setting == "database" && !databases.is_empty()).then(|| databases.join(", "))
}

/// Where a setting's value comes from.
fn source(setting: &Setting) -> String {
    match (setting.origin(), setting.source()) {
        (Origin::Argument, Some(name)) => format!("argument {name}"),
        (Origin::Environment, Some(variable)) => format!("environment {variable}"),
        _ => "default".to_owned(),
    }
}

fn write_checks(out: &mut dyn Write, checks: &[(Option<&str>, Check)]) -> io::Result<()> {
    let style = terminal::on_stdout();
    let Some((_, first)) = checks.first() else { return Ok(()) };
    writeln!(out, "\n{}", first.server)?;
    // The server is the same for all databases: show the first failure.
    let worst = |part: fn(&Check) -> &Finding| {
        let mut parts = checks.iter().map(|(_, check)| part(check));
        parts.clone().find(|part| part.is_failed()).or_else(|| parts.next())
    };
    for (name, finding) in [
        ("connection", worst(|check| &check.connection)),
        ("authentication", worst(|check| &check.authentication)),
    ] {
        if let Some(finding) = finding {
            write_finding(out, style, name, finding)?;
        }
    }
    for (database, check) in checks {
        let name = database.map_or("database".to_owned(), |name| format!("database {name:?}"));
        write_finding(out, style, &name, &check.database)?;
    }
    Ok(())
}

fn write_finding(
    out: &mut dyn Write,
    style: Style,
    name: &str,
    finding: &Finding,
) -> io::Result<()> {
    match finding {
        Finding::Passed => writeln!(out, "  {} {name}", style.good("ok         ")),
        Finding::Failed(advice) => writeln!(out, "  {} {name}: {advice}", style.bad("failed     ")),
        Finding::Unknown(why) => writeln!(out, "  {} {name}: {why}", style.warning("not checked")),
        other => writeln!(out, "  {other:?} {name}"),
    }
}

fn to_json(
    settings: &[Setting],
    databases: &[String],
    warnings: &[String],
    checks: &[(Option<&str>, Check)],
) -> Value {
    let settings = settings.iter().map(|setting| {
        let value = match checked(setting.name(), databases) {
            Some(names) => json!({ "value": names, "origin": "argument", "source": "--database" }),
            None => {
                let origin = format!("{:?}", setting.origin()).to_lowercase();
                let value = setting.value().to_string();
                json!({ "value": value, "origin": origin, "source": setting.source() })
            }
        };
        (setting.name().to_owned(), value)
    });
    let checks = checks.iter().map(|(database, check)| {
        json!({
            "database": database,
            "server": check.server,
            "ok": check.is_passed(),
            "connection": finding_json(&check.connection),
            "authentication": finding_json(&check.authentication),
            "write": finding_json(&check.database),
        })
    });
    json!({
        "settings": settings.collect::<serde_json::Map<_, _>>(),
        "warnings": warnings,
        "checks": checks.collect::<Vec<_>>(),
    })
}

fn finding_json(finding: &Finding) -> Value {
    match finding {
        Finding::Failed(advice) => json!({ "result": "failed", "reason": advice }),
        Finding::Unknown(why) => json!({ "result": "unknown", "reason": why }),
        _ => json!({ "result": "ok" }),
    }
}
