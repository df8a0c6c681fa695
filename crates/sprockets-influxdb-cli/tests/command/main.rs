//! The command as an operator sees it: its output, its exit code, and what the server has
//! afterwards.

mod check;
mod control;
#[path = "../../../sprockets-influxdb/tests/influxd/count.rs"]
mod count;
mod exports;
#[path = "../../../sprockets-influxdb/tests/influxd/process.rs"]
mod process;
mod quarantine;
#[allow(dead_code)]
#[path = "../../../sprockets-influxdb/tests/influxd/server.rs"]
mod server;
mod spool;
mod write;

use std::io::Write;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// The command with these arguments, and only these of the variables that it reads.
fn command(arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sprockets-influxdb"));
    for (variable, _) in std::env::vars_os() {
        let name = variable.to_string_lossy().to_uppercase();
        if name.starts_with("INFLUX") || name.ends_with("_PROXY") || name == "ENVIRONMENT" {
            command.env_remove(variable);
        }
    }
    command.args(arguments).envs(variables.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The output of a command that has ended.
#[derive(Debug)]
struct Done {
    code: Option<i32>,
    out: String,
    errors: String,
}

impl Done {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), errors: text(output.stderr) }
    }
}

fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Done {
    run_with(arguments, variables, b"")
}

fn run_with(arguments: &[&str], variables: &[(&str, &str)], input: &[u8]) -> Done {
    let mut process = command(arguments, variables).spawn().unwrap();
    let mut stdin = process.stdin.take().unwrap();
    // Fails if the command ends before it has read everything.
    let _ = stdin.write_all(input);
    drop(stdin);
    process.wait_with_output().unwrap().into()
}

/// A file that is removed on drop.
fn file(content: impl AsRef<[u8]>) -> tempfile::TempPath {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(content.as_ref()).unwrap();
    file.into_temp_path()
}

/// Sends a signal, by its name without the `SIG`.
#[cfg(unix)]
fn signal(process: &Child, name: &str) {
    let script = format!("kill -{name} {}", process.id());
    assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
}

#[test]
fn arguments_and_settings_that_cannot_be_used_exit_with_2() {
    for arguments in [
        &["nonsense"][..],
        &["check", "--nonsense"],
        &["check", "--set", "port=many"],
        &["check", "--set", "nonsense=1"],
        &["check", "--set", "port"],
        &["check", "--set", "password=hunter2"],
        &["check", "--set", "token=hunter2"],
        &["check", "--url", "http://me:hunter2@localhost"],
        &["check", "--set", "url=http://me:hunter2@localhost"],
        &["check", "--password-file", "no-such-file"],
        &["check", "--org", "o"],
        &["write", "--database", "db", "no-such-file"],
        &["write", "--database", "db", "."],
        &["write", "--database", "db", "--precision", "d"],
    ] {
        let done = run(arguments, &[]);
        assert_eq!(done.code, Some(2), "{arguments:?}: {done:?}");
        assert!(done.out.is_empty() && done.errors.contains("error: "), "{arguments:?}: {done:?}");
        assert!(!done.errors.contains("hunter2"), "{done:?}");
    }
    let done = run(&["check"], &[("INFLUXDB_TIMEOUT", "soon")]);
    assert!(done.code == Some(2) && done.errors.contains("INFLUXDB_TIMEOUT: \"soon\""), "{done:?}");
    assert_eq!(run(&["--help"], &[]).code, Some(0));
}
