//! The command as an operator sees it: its output, its exit code, and the data on the server.

mod check;
mod control;
mod exports;
#[cfg(feature = "nats")]
mod forward;
#[cfg(feature = "nats")]
mod forward_access;
mod generated;
mod hostile;
mod quarantine;
mod spool;
mod write;

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use test_support::process::{Process, remove_settings};

/// Starts the command with these arguments, and with these variables as its only settings.
fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sprockets-influxdb"));
    remove_settings(&mut command).args(arguments).envs(variables.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Process::start(&mut command).unwrap()
}

/// The result of a command.
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
    let mut process = start(arguments, variables);
    let mut stdin = process.child().stdin.take().unwrap();
    // A command that ends early does not read everything.
    let _ = stdin.write_all(input);
    drop(stdin);
    process.output().into()
}

#[test]
fn invalid_arguments_end_with_exit_code_2() {
    for arguments in [
        &["nonsense"][..],
        &["check", "--nonsense"],
        &["check", "--set", "port=many"],
        &["check", "--set", "nonsense=1"],
        &["check", "--set", "port"],
        &["check", "--set", "password=hunter2"],
        &["check", "--set", "token=hunter2"],
        &["check", "--url", "http://me:hunter2@localhost"],
        &["check", "--url", "http://localhost/write?u=me&p=hunter2"],
        &["check", "--set", "url=http://localhost?p=hunter2&u=me"],
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
