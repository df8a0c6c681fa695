//! The process of a proxy, with its configuration in a temporary directory.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use test_support::ports::free_port;

/// What the proxy does with requests to `/influx`. Other paths do not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// Passes them to influxd, without a limit for bodies.
    Forward,
    /// Answers 503 with a page.
    Maintenance,
    /// Answers 413 to bodies of more than a mebibyte, which is the default of nginx.
    Limit,
    /// Closes a connection after a tenth of a second, or after a few requests.
    ShortKeepAlive,
}

/// Writes a configuration for this directory and this port.
type Configure = fn(&Path, u16, SocketAddr, Behaviour) -> String;

pub(crate) struct Proxy {
    name: &'static str,
    directory: tempfile::TempDir,
    port: u16,
    server: SocketAddr,
    configure: Configure,
    command: fn(&Path) -> Command,
    process: Child,
}

impl Proxy {
    /// Starts one, or says that none can be started.
    #[allow(clippy::print_stdout)]
    pub(crate) fn start(
        name: &'static str,
        command: fn(&Path) -> Command,
        configure: Configure,
        server: SocketAddr,
        behaviour: Behaviour,
    ) -> Option<Self> {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut error = None;
        // Another process may take a free port before the proxy does.
        for _ in 0..5 {
            let port = free_port().expect("a port");
            let text = configure(directory.path(), port, server, behaviour);
            match run(directory.path(), port, command, &text) {
                Ok(process) => {
                    return Some(Self {
                        name,
                        directory,
                        port,
                        server,
                        configure,
                        command,
                        process,
                    });
                }
                Err(failed) => error = Some(failed),
            }
        }
        assert!(std::env::var_os("REQUIRE_PROXIES").is_none(), "{name}: {error:?}");
        println!("skipped: {name} cannot be started here: {error:?}");
        None
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Ends it at once, with its connections.
    pub(crate) fn kill(&mut self) {
        if self.process.try_wait().is_ok_and(|status| status.is_some()) {
            return;
        }
        // nginx has a process for the work that outlives a killed master.
        let script = format!("kill -TERM {}", self.process.id());
        let _ = Command::new("sh").args(["-c", &script]).status();
        let _ = self.process.wait();
    }

    /// Starts it again on its port.
    pub(crate) fn restart(&mut self, behaviour: Behaviour) {
        self.kill();
        let directory = self.directory.path();
        let text = (self.configure)(directory, self.port, self.server, behaviour);
        self.process = run(directory, self.port, self.command, &text).expect("started again");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.kill();
    }
}

fn run(
    directory: &Path,
    port: u16,
    command: fn(&Path) -> Command,
    configuration: &str,
) -> std::io::Result<Child> {
    let file = directory.join("proxy.conf");
    fs::write(&file, configuration)?;
    let output = || fs::File::options().create(true).append(true).open(directory.join("output"));
    let mut command = command(&file);
    command.stdin(Stdio::null()).stdout(output()?).stderr(output()?);
    let mut process = command.spawn()?;
    for _ in 0..1_000 {
        if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(process);
        }
        if process.try_wait()?.is_some() {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    let _ = process.kill();
    let _ = process.wait();
    let output = fs::read_to_string(directory.join("output")).unwrap_or_default();
    Err(std::io::Error::other(format!("it does not listen: {output}")))
}
