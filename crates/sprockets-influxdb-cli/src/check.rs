//! `check`: the configuration in force with where each value came from, and whether its server would take measurements.

use std::io::{self, Write};

use clap::Args;
use serde_json::{Value, json};
use sprockets_influxdb::{Check, Client, Config, Finding, Setting, SettingValue};

use crate::terminal::{self, Style};
use crate::{Problem, exit, options, warnings};

/// Show the configuration in force, and whether its server would take measurements
///
/// Nothing is stored: the server is asked to write nothing, and judges address, credentials and database before it sees
/// that.
///
/// Ends with 0 if nothing has to be changed, 1 if a check failed, 2 if an argument or a setting cannot be used.
#[derive(Args, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    server: options::Server,
    /// A database (bucket, on InfluxDB 2) that is to be written to. May be repeated
    #[arg(long = "database", value_name = "NAME")]
    databases: Vec<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(options: &Options) -> Result<u8, Problem> {
    let config = options.server.config(Config::new(), &[])?;
    let settings = config.settings()?;
    let (client, warnings) = warnings::collect(|| Client::new(config));
    let client = client?;

    let checks: Vec<(Option<&str>, Check)> = if options.databases.is_empty() {
        vec![(None, client.check(None))]
    } else {
        let names = options.databases.iter().map(String::as_str);
        names.map(|name| (Some(name), client.check(Some(name)))).collect()
    };
    let mut out = io::stdout().lock();
    // A reader that has gone away has seen what it wanted.
    let _ = if options.json {
        writeln!(out, "{}", as_json(&settings, &warnings, &checks))
    } else {
        print(&mut out, &settings, &warnings, &checks)
    };
    let is_passed = checks.iter().all(|(_, check)| check.is_passed());
    Ok(if is_passed { exit::OK } else { exit::FAILED })
}

fn print(
    out: &mut impl Write,
    settings: &[Setting],
    warnings: &[String],
    checks: &[(Option<&str>, Check)],
) -> io::Result<()> {
    let style = terminal::on_stdout();
    writeln!(out, "configuration")?;
    for setting in settings {
        let (name, value, origin) = (setting.name(), setting.value(), options::origin(setting));
        let value = if value.is_unset() { "-".to_owned() } else { value.to_string() };
        writeln!(out, "  {name:<20} {value:<32} {}", style.faint(&format!("({origin})")))?;
    }
    let disabled = SettingValue::Boolean(false);
    if settings.iter().any(|setting| setting.name() == "enabled" && *setting.value() == disabled) {
        let told = "enabled is false: applications record nothing";
        writeln!(out, "  {} {told}", style.doubtful("warning:"))?;
    }
    for warning in warnings {
        writeln!(out, "  {} {warning}", style.doubtful("warning:"))?;
    }
    let Some((_, first)) = checks.first() else { return Ok(()) };
    writeln!(out, "\n{}", first.server)?;
    // The server is the same for all databases; what failed for one of them is told, even if it is not the first.
    let worst = |part: fn(&Check) -> &Finding| {
        let mut parts = checks.iter().map(|(_, check)| part(check));
        parts.clone().find(|part| part.is_failed()).or_else(|| parts.next())
    };
    for (name, finding) in [
        ("connection", worst(|check| &check.connection)),
        ("authentication", worst(|check| &check.authentication)),
    ] {
        if let Some(finding) = finding {
            print_finding(out, style, name, finding)?;
        }
    }
    for (database, check) in checks {
        let name = database.map_or("database".to_owned(), |name| format!("database {name:?}"));
        print_finding(out, style, &name, &check.database)?;
    }
    Ok(())
}

fn print_finding(
    out: &mut impl Write,
    style: Style,
    name: &str,
    finding: &Finding,
) -> io::Result<()> {
    match finding {
        Finding::Passed => writeln!(out, "  {} {name}", style.good("ok         ")),
        Finding::Failed(todo) => writeln!(out, "  {} {name}: {todo}", style.bad("failed     ")),
        Finding::Unknown(why) => writeln!(out, "  {} {name}: {why}", style.doubtful("not checked")),
        other => writeln!(out, "  {other:?} {name}"),
    }
}

fn as_json(settings: &[Setting], warnings: &[String], checks: &[(Option<&str>, Check)]) -> Value {
    let settings = settings.iter().map(|setting| {
        let origin = format!("{:?}", setting.origin()).to_lowercase();
        let about =
            json!({ "value": setting.value().to_string(), "origin": origin, "source": setting.source() });
        (setting.name().to_owned(), about)
    });
    let checks = checks.iter().map(|(database, check)| {
        json!({
            "database": database,
            "server": check.server,
            "ok": check.is_passed(),
            "connection": finding(&check.connection),
            "authentication": finding(&check.authentication),
            "write": finding(&check.database),
        })
    });
    json!({
        "settings": settings.collect::<serde_json::Map<_, _>>(),
        "warnings": warnings,
        "checks": checks.collect::<Vec<_>>(),
    })
}

fn finding(finding: &Finding) -> Value {
    match finding {
        Finding::Failed(todo) => json!({ "result": "failed", "reason": todo }),
        Finding::Unknown(why) => json!({ "result": "unknown", "reason": why }),
        _ => json!({ "result": "ok" }),
    }
}
