//! `completions` and `man`.

use std::fs;
use std::process::{Command, Stdio};

use super::run;

#[test]
fn bash_completes_commands_and_options() {
    let done = run(&["completions", "bash"], &[]);
    assert_eq!(done.code, Some(0), "{done:?}");
    // What bash does when the tab key is pressed.
    let complete = r#"
function=$(complete -p sprockets-influxdb | grep -o '_sprockets[a-z_]*')
press() {
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    $function "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
    echo "${COMPREPLY[@]}"
}
press sprockets-influxdb quarantine dr
press sprockets-influxdb check --dat
"#;
    let script = done.out + complete;
    let bash = Command::new("bash").arg("-c").arg(script).stdin(Stdio::null()).output().unwrap();
    assert_eq!(String::from_utf8(bash.stdout).unwrap(), "drop\n--database\n");
}

#[test]
fn every_shell_has_a_script() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let done = run(&["completions", shell], &[]);
        assert!(done.out.contains("give-up-after"), "{shell}: {done:?}");
    }
    assert_eq!(run(&["completions", "csh"], &[]).code, Some(2));
}

#[test]
fn every_command_has_a_man_page() {
    let directory = tempfile::tempdir().unwrap();
    let pages = directory.path().join("man1");
    let done = run(&["man", pages.to_str().unwrap()], &[]);
    assert_eq!((done.code, done.errors.as_str()), (Some(0), ""));
    let page = |name: &str| fs::read_to_string(pages.join(format!("{name}.1"))).unwrap();
    assert!(page("sprockets-influxdb").contains("quarantine"));
    assert!(page("sprockets-influxdb-quarantine-drop").contains("older"));
    assert!(page("sprockets-influxdb-check").contains("Exit code"));
}

#[test]
fn a_directory_that_cannot_be_written_to_is_named() {
    let done = run(&["man", "/dev/null/pages"], &[]);
    assert_eq!(done.code, Some(2));
    assert!(done.errors.contains("/dev/null/pages"), "{done:?}");
}
