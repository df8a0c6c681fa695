//! The load: threads that ask the service, each on a connection of its own, as fast as it answers.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ureq::Agent;

use super::latch::Latch;

const CLIENTS: u32 = 20;
/// One client after the other, so that the chart has a slope to show.
const BETWEEN_CLIENTS: Duration = Duration::from_millis(80);

/// The clients at work.
pub(crate) struct Load {
    over: Latch,
    tally: Arc<Tally>,
    clients: Vec<JoinHandle<()>>,
}

/// What the clients have seen.
#[derive(Default)]
struct Tally {
    answered: AtomicU64,
    unanswered: AtomicU64,
}

/// What the clients have seen in the end.
pub(crate) struct Sent {
    pub(crate) answered: u64,
    pub(crate) unanswered: u64,
}

impl Load {
    pub(crate) fn start(url: &str) -> io::Result<Self> {
        let mut load = Self { over: Latch::default(), tally: Arc::default(), clients: Vec::new() };
        for number in 0..CLIENTS {
            let (url, over, tally) = (url.to_owned(), load.over.clone(), load.tally.clone());
            let client =
                thread::Builder::new().name(format!("load-{number}")).spawn(move || {
                    if !over.wait(BETWEEN_CLIENTS * number) {
                        ask(&url, &over, &tally);
                    }
                })?;
            load.clients.push(client);
        }
        Ok(load)
    }

    pub(crate) fn answered(&self) -> u64 {
        self.tally.answered.load(Ordering::Relaxed)
    }

    /// Waits for the answers that are due.
    pub(crate) fn end(self) -> Sent {
        self.over.set();
        for client in self.clients {
            // One that panicked has said so, and its request is missing in the count.
            let _ = client.join();
        }
        Sent {
            answered: self.tally.answered.load(Ordering::Relaxed),
            unanswered: self.tally.unanswered.load(Ordering::Relaxed),
        }
    }
}

fn ask(url: &str, over: &Latch, tally: &Tally) {
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        // The service is on this machine, whatever the environment says of proxies.
        .proxy(None)
        .timeout_global(Some(Duration::from_secs(10)))
        .build()
        .into();
    while !over.is_set() {
        let count = match request(&agent, url) {
            Ok(()) => &tally.answered,
            Err(_) => &tally.unanswered,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// One request, as visitors make them: mostly for what is quick. The answer is read to its end.
fn request(agent: &Agent, url: &str) -> Result<(), ureq::Error> {
    let get = |path: &str| agent.get(format!("{url}{path}")).call();
    let mut answer = match fastrand::u8(..100) {
        0..35 => get(&format!("/users/{}", fastrand::u32(1..1_000))),
        35..60 => get("/orders"),
        60..72 => agent.post(format!("{url}/orders")).send("three of those"),
        72..87 => get("/search?q=anything"),
        87..97 => get("/flaky"),
        _ => get(&format!("/wp-admin/{}", fastrand::u32(..))),
    }?;
    answer.body_mut().read_to_vec().map(drop)
}
