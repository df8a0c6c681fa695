//! Real nats-servers for one test, each in a process of its own, alone or as a cluster.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;

use serde_json::Value;

use crate::ports::free_port;
use crate::process::{Process, remove_settings};
use crate::{LONG, wait_within};

/// One or more running nats-servers with JetStream. Dropping them kills them and removes their
/// data.
pub struct NatsServers {
    directory: tempfile::TempDir,
    nodes: Vec<Node>,
    configuration: String,
    has_jetstream: bool,
}

struct Node {
    name: String,
    port: u16,
    routes: String,
    cluster_port: u16,
    monitor_port: u16,
    process: Option<Process>,
}

impl NatsServers {
    /// Starts so many. Where that is impossible it prints that the test is skipped and returns
    /// `None`; with `REQUIRE_NATS` set it panics.
    pub fn start(count: usize) -> Option<Self> {
        Self::start_with(count, "")
    }

    /// Like [`start`](Self::start), with more lines of configuration.
    pub fn start_with(count: usize, configuration: &str) -> Option<Self> {
        Self::start_any(count, configuration, true)
    }

    /// One server without JetStream.
    pub fn start_without_jetstream() -> Option<Self> {
        Self::start_any(1, "", false)
    }

    #[allow(clippy::print_stdout)]
    fn start_any(count: usize, configuration: &str, has_jetstream: bool) -> Option<Self> {
        let mut error = String::new();
        // Another process may take a free port before a server does.
        for _ in 0..5 {
            match Self::try_start(count, configuration, has_jetstream) {
                Ok(servers) => return Some(servers),
                Err(failed) => error = failed.to_string(),
            }
        }
        assert!(std::env::var_os("REQUIRE_NATS").is_none(), "nats-server: {error}");
        println!("skipped: nats-server cannot be started here: {error}");
        None
    }

    fn try_start(count: usize, configuration: &str, has_jetstream: bool) -> std::io::Result<Self> {
        let directory = tempfile::tempdir()?;
        let ports = |_| Ok((free_port()?, free_port()?, free_port()?));
        let ports = (0..count).map(ports).collect::<std::io::Result<Vec<_>>>()?;
        let route = |(_, cluster, _): &(u16, u16, u16)| format!("nats://127.0.0.1:{cluster}");
        let routes: Vec<_> = ports.iter().map(route).collect();
        let nodes =
            ports.iter().enumerate().map(|(index, (port, cluster_port, monitor_port))| Node {
                name: format!("node{index}"),
                port: *port,
                routes: routes.join(", "),
                cluster_port: *cluster_port,
                monitor_port: *monitor_port,
                process: None,
            });
        let nodes = nodes.collect();
        let configuration = configuration.to_owned();
        let mut servers = Self { directory, nodes, configuration, has_jetstream };
        for index in 0..count {
            servers.run(index)?;
        }
        // A server listens for the others of its cluster, and ends where it cannot, only after it
        // has said that it is ready.
        let mut has_one_ended = false;
        wait_within(LONG, "JetStream is ready", || {
            has_one_ended = servers.running().any(Process::has_ended);
            has_one_ended || servers.is_healthy()
        });
        if has_one_ended {
            return Err(std::io::Error::other("a nats-server ended after it was ready"));
        }
        Ok(servers)
    }

    fn run(&mut self, index: usize) -> std::io::Result<()> {
        let is_cluster = self.nodes.len() > 1;
        let node = &mut self.nodes[index];
        let directory = self.directory.path().join(&node.name);
        std::fs::create_dir_all(&directory)?;
        let mut configuration = node.configuration(is_cluster, &self.configuration);
        if self.has_jetstream {
            // By default the limit is what the disk has to spare.
            let store = directory.join("store");
            configuration +=
                &format!("jetstream {{ store_dir: {store:?}, max_file_store: 64GB }}\n");
        }
        let file = directory.join("nats.conf");
        std::fs::write(&file, configuration)?;
        let mut command = Command::new("nats-server");
        remove_settings(&mut command);
        command.arg("-c").arg(&file).stdin(Stdio::null()).stdout(Stdio::null());
        let mut process = Process::start(command.stderr(Stdio::piped()))?;
        let log = process.child().stderr.take();
        let (ready, is_ready) = channel();
        thread::spawn(move || {
            let mut last = String::new();
            for line in log.into_iter().flat_map(|log| BufReader::new(log).split(b'\n')) {
                let Ok(line) = line else { break };
                last = String::from_utf8_lossy(&line).into_owned();
                if last.contains("Server is ready") {
                    // The receiver is gone if the caller has timed out.
                    let _ = ready.send(None);
                }
            }
            let _ = ready.send(Some(last));
        });
        match is_ready.recv_timeout(LONG) {
            Ok(None) => {
                node.process = Some(process);
                Ok(())
            }
            Ok(Some(last)) => Err(std::io::Error::other(format!("nats-server ended: {last}"))),
            Err(_) => Err(std::io::Error::other("nats-server did not get ready")),
        }
    }

    /// Waits until JetStream takes requests: in a cluster, until there is a leader.
    pub fn await_jetstream(&self) {
        wait_within(LONG, "JetStream is ready", || self.is_healthy());
    }

    fn is_healthy(&self) -> bool {
        self.nodes.iter().filter(|node| node.process.is_some()).all(Node::is_healthy)
    }

    fn running(&mut self) -> impl Iterator<Item = &mut Process> {
        self.nodes.iter_mut().filter_map(|node| node.process.as_mut())
    }

    /// The URL of all of them.
    pub fn url(&self) -> String {
        self.url_with("")
    }

    /// The same with credentials, such as `user:password@`.
    pub fn url_with(&self, credentials: &str) -> String {
        let places = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port));
        format!("nats://{credentials}{}", places.collect::<Vec<_>>().join(","))
    }

    /// Where each takes clients, running or not.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.nodes.iter().map(|node| (Ipv4Addr::LOCALHOST, node.port).into())
    }

    /// What one has of a stream. Its peers may have more, or something else. `Null` if it has none.
    pub fn stored(&self, index: usize, stream: &str) -> Value {
        let state = self.monitor(index, "jsz?accounts=true&streams=true");
        let streams = state["account_details"][0]["stream_detail"].as_array();
        let found = streams.into_iter().flatten().find(|found| found["name"] == stream);
        found.map_or(Value::Null, |found| found["state"].clone())
    }

    /// The number of servers, running or not.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is none, which is never so.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The index of the server of this name.
    pub fn index(&self, name: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.name == name)
    }

    /// Ends one with SIGKILL.
    pub fn crash(&mut self, index: usize) {
        if let Some(mut process) = self.nodes[index].process.take() {
            process.kill();
        }
    }

    /// Starts one again on the same data.
    pub fn restart(&mut self, index: usize) {
        if self.nodes[index].process.is_none() {
            self.run(index).expect("started again");
        }
    }

    /// The number of clients that are connected to one.
    pub fn connections(&self, index: usize) -> u64 {
        self.monitor(index, "varz")["connections"].as_u64().expect("a number")
    }

    fn monitor(&self, index: usize, path: &str) -> Value {
        let url = format!("http://127.0.0.1:{}/{path}", self.nodes[index].monitor_port);
        ureq::get(url).call().expect("a reply").body_mut().read_json().expect("JSON")
    }

    /// Sends a signal to one, by its name without the `SIG`.
    pub fn signal(&self, index: usize, name: &str) {
        self.nodes[index].process.as_ref().expect("it runs").signal(name);
    }
}

impl Node {
    fn configuration(&self, is_cluster: bool, more: &str) -> String {
        let Self { name, port, routes, cluster_port, monitor_port, .. } = self;
        let mut text = format!(
            "server_name: {name}\nlisten: 127.0.0.1:{port}\nhttp: 127.0.0.1:{monitor_port}\n\
             {more}\n"
        );
        if is_cluster {
            text += &format!(
                "cluster {{\n  name: test\n  listen: 127.0.0.1:{cluster_port}\n  \
                 routes: [{routes}]\n}}\n"
            );
        }
        text
    }

    fn is_healthy(&self) -> bool {
        let url = format!("http://127.0.0.1:{}/healthz", self.monitor_port);
        ureq::get(url).call().is_ok()
    }
}
