//! Processes that tests start. Each has the default action for signals, whatever the test
//! inherited, and none outlives its test.

use std::io;
use std::process::{Child, Command, ExitStatus, Output};
use std::time::{Duration, Instant};

use crate::{LONG, wait_until};

/// A child process. Dropping it kills it.
pub struct Process {
    /// `None` once its output was taken.
    child: Option<Child>,
}

impl Process {
    /// Starts a command, [prepared](prepare).
    pub fn start(command: &mut Command) -> io::Result<Self> {
        prepare(command).spawn().map(|child| Self { child: Some(child) })
    }

    /// The child, for its pipes.
    pub fn child(&mut self) -> &mut Child {
        self.child.as_mut().expect("it is taken only with its output")
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.as_ref().expect("it is taken only with its output").id()
    }

    /// Sends it a signal, by its name without the `SIG`. After `STOP` none of its threads runs.
    #[track_caller]
    pub fn signal(&self, name: &str) {
        signal(&self.id().to_string(), name);
        if name == "STOP" && cfg!(target_os = "linux") {
            wait_until(|| self.is_stopped());
        }
    }

    fn is_stopped(&self) -> bool {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.id())).expect("threads");
        threads.flatten().all(|thread| {
            // A thread may end meanwhile.
            let status = std::fs::read_to_string(thread.path().join("status")).unwrap_or_default();
            status.is_empty() || status.contains("State:\tT")
        })
    }

    /// Sends SIGKILL and reaps it.
    pub fn kill(&mut self) {
        let child = self.child();
        child.kill().expect("killed");
        child.wait().expect("reaped");
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child().try_wait().expect("a child of this process").is_some()
    }

    /// Waits for its end. Panics if that takes too long.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + LONG;
        loop {
            if let Some(status) = self.child().try_wait().expect("a child of this process") {
                return status;
            }
            assert!(Instant::now() < deadline, "process {} does not end", self.id());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Closes its input, waits for its end, and returns what it has written to its pipes.
    pub fn output(mut self) -> Output {
        let child = self.child.take().expect("it is taken only here");
        child.wait_with_output().expect("its output")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Both fail only if it has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Sends a signal, by its name without the `SIG`, to a process id, or to the group `-id`.
#[track_caller]
pub fn signal(target: &str, name: &str) {
    let script = format!("kill -{name} {target}");
    let status = Command::new("sh").args(["-c", &script]).status();
    assert!(status.expect("a shell").success(), "{script}");
}

/// Removes the variables by which a user configures the client, influxd or a proxy.
pub fn remove_settings(command: &mut Command) -> &mut Command {
    for (variable, _) in std::env::vars_os() {
        let name = variable.to_string_lossy().to_ascii_uppercase();
        let is_setting = name.starts_with("INFLUX")
            || name.ends_with("_PROXY")
            || ["ENVIRONMENT", "REQUEST_METHOD"].contains(&&*name);
        if is_setting {
            command.env_remove(variable);
        }
    }
    command
}

/// Makes the child handle signals by default, even where this process inherited that it ignores
/// them, as under `nohup` or in the background of a script. On Linux the child also dies with the
/// thread that starts it, so that nothing stays behind when the tests are killed.
#[cfg(unix)]
#[allow(unsafe_code)]
pub fn prepare(command: &mut Command) -> &mut Command {
    use std::os::unix::process::CommandExt;
    let reset = || {
        for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM] {
            // SAFETY: `signal` is async-signal-safe, and SIG_DFL needs no handler.
            if unsafe { libc::signal(signal, libc::SIG_DFL) } == libc::SIG_ERR {
                return Err(io::Error::last_os_error());
            }
        }
        #[cfg(target_os = "linux")]
        // SAFETY: this request takes one integer and touches no memory.
        if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    };
    // SAFETY: between fork and exec the closure makes two system calls and allocates nothing.
    unsafe { command.pre_exec(reset) }
}

/// Does nothing: there are no such signals here.
#[cfg(not(unix))]
pub fn prepare(command: &mut Command) -> &mut Command {
    command
}
