//! nginx.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::proxy::{Behaviour, Proxy};

pub(crate) fn start(server: SocketAddr, behaviour: Behaviour) -> Option<Proxy> {
    Proxy::start("nginx", command, configuration, server, behaviour)
}

fn command(configuration: &Path) -> Command {
    let log = configuration.with_file_name("error.log");
    let mut command = Command::new("nginx");
    command.arg("-c").arg(configuration).arg("-e").arg(log);
    command
}

fn configuration(directory: &Path, port: u16, server: SocketAddr, behaviour: Behaviour) -> String {
    let directory = directory.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {directory}/{kind};"))
        .concat();
    let options = match behaviour {
        Behaviour::Limit => "",
        Behaviour::ShortKeepAlive => {
            "client_max_body_size 0; keepalive_timeout 100ms; keepalive_requests 7;"
        }
        Behaviour::Forward | Behaviour::Maintenance => "client_max_body_size 0;",
    };
    let location = match behaviour {
        Behaviour::Maintenance => {
            "default_type text/html; return 503 '<html>Back at noon.</html>';".to_owned()
        }
        _ => format!("proxy_pass http://{server}/;"),
    };
    // Started by root, its worker would be another user who may not write here.
    let user = if is_root() { "user root;" } else { "" };
    format!(
        "{user} daemon off; worker_processes 1; pid {directory}/pid; \
         error_log {directory}/error.log; events {{}} \
         http {{ access_log off; {temporary} {options} \
         server {{ listen 127.0.0.1:{port}; root {directory}/none; \
         location /influx/ {{ {location} }} }} }}"
    )
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
