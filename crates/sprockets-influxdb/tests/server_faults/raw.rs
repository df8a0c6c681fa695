//! A server of raw replies, for what the scripted server cannot say: every reply of that one has
//! a header by which an InfluxDB is known.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use sprockets_influxdb::{Api, Client, Config, Measurement};

/// The reply to a request with this head and this body.
type Script = Box<dyn FnMut(&str, &str) -> String + Send>;

pub(crate) struct RawServer {
    url: String,
    script: Arc<Mutex<Script>>,
    requests: Arc<AtomicUsize>,
}

impl RawServer {
    pub(crate) fn start(script: impl FnMut(&str, &str) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let script: Arc<Mutex<Script>> = Arc::new(Mutex::new(Box::new(script)));
        let requests = Arc::new(AtomicUsize::new(0));
        let (theirs, counter) = (script.clone(), requests.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (script, requests) = (theirs.clone(), counter.clone());
                std::thread::spawn(move || serve(stream.unwrap(), &script, &requests));
            }
        });
        Self { url, script, requests }
    }

    /// Answers like this from now on.
    pub(crate) fn script(&self, script: impl FnMut(&str, &str) -> String + Send + 'static) {
        *self.script.lock().unwrap() = Box::new(script);
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    pub(crate) fn config(&self, api: Api) -> Config {
        let config = Config::new().url(&self.url).tag_hostname(false).api(api);
        let config = config.max_clients(1);
        match api {
            Api::V2 => config.org("o").token("secret-token"),
            Api::V3 => config.token("secret-token"),
            _ => config.credentials("me", "hunter2"),
        }
    }
}

/// Adds the lines `m n=0i 1` and so on.
pub(crate) fn add_lines(client: &Client, lines: u64) {
    for n in 0..lines as i64 {
        let measurement = Measurement::new("db", "m").field("n", n).timestamp(n + 1);
        client.add_measurement(&measurement).unwrap();
    }
}

/// A reply with these headers, one a line, and this body.
pub(crate) fn reply(status: &str, headers: &str, body: &str) -> String {
    let headers: String = headers.lines().map(|header| format!("{header}\r\n")).collect();
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

pub(crate) fn no_content() -> String {
    "HTTP/1.1 204 No Content\r\n\r\n".to_owned()
}

fn serve(stream: TcpStream, script: &Mutex<Script>, requests: &AtomicUsize) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            match stream.read_line(&mut head) {
                Ok(read) if read > 0 => {}
                _ => return,
            }
        }
        let length = head.lines().find_map(|line| {
            line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok()
        });
        let mut body = vec![0; length.unwrap_or(0)];
        if stream.read_exact(&mut body).is_err() {
            return;
        }
        requests.fetch_add(1, Ordering::Relaxed);
        let reply = (script.lock().unwrap())(&head, &String::from_utf8_lossy(&body));
        if stream.get_mut().write_all(reply.as_bytes()).is_err()
            || reply.contains("Connection: close")
        {
            return;
        }
    }
}
