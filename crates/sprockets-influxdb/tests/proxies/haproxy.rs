//! HAProxy.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::proxy::{Behaviour, Proxy};

pub(crate) fn start(server: SocketAddr, behaviour: Behaviour) -> Option<Proxy> {
    Proxy::start("HAProxy", command, configuration, server, behaviour)
}

fn command(configuration: &Path) -> Command {
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(configuration);
    command
}

fn configuration(_: &Path, port: u16, server: SocketAddr, behaviour: Behaviour) -> String {
    let rule = match behaviour {
        Behaviour::Forward => "",
        Behaviour::ShortKeepAlive => "timeout http-keep-alive 100ms",
        Behaviour::Limit => {
            "http-request deny deny_status 413 if { req.hdr(content-length) -m int gt 1048576 }"
        }
        Behaviour::Maintenance => {
            "http-request return status 503 content-type text/html \
             string \"<html>Back at noon.</html>\""
        }
    };
    format!(
        "defaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n\
         frontend all\n  bind 127.0.0.1:{port}\n  {rule}\n\
         \x20 http-request return status 404 if !{{ path_beg /influx/ }}\n\
         \x20 http-request replace-path /influx/(.*) /\\1\n  default_backend influxd\n\
         backend influxd\n  server influxd {server}\n"
    )
}
