//! The connection to a cluster, and the runtime that it lives on.
//!
//! The client library is asynchronous: it answers pings and reconnects between batches, when no
//! sender thread is there to drive it. So its runtime has a thread of its own.

use std::future::Future;
use std::io;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, ConnectErrorKind, Event};
use rustls::ClientConfig;
use tokio::runtime::{Builder, Handle};
use tokio::sync::{oneshot, watch};

use super::errors::{self, NotConnected};
use super::limits::Limits;
use super::options;
use super::settings::{Settings, failure};
use crate::delivery::disposition::{Cause, Scope};
use crate::sync::{Mutex, lock};
use crate::sys;

/// The connection of one transport. It is made for the first batch.
pub(super) struct Connection {
    settings: Arc<Settings>,
    state: Mutex<Made>,
    /// The largest message that the server takes, in bytes; 0 before the first connection.
    max_payload: AtomicUsize,
}

#[derive(Default)]
struct Made {
    /// Reading the platform's certificates takes a while.
    tls: Option<ClientConfig>,
    runtime: Option<Runtime>,
    link: Option<Arc<Link>>,
}

/// A runtime on a thread of its own, which ends when this is dropped.
struct Runtime {
    handle: Handle,
    _running: oneshot::Sender<()>,
}

/// A connection that was made once. The client reconnects by itself.
pub(super) struct Link {
    handle: Handle,
    client: Client,
    events: Arc<Events>,
}

/// What the server said beside replies.
#[derive(Debug)]
pub(super) struct Events {
    /// The number of disconnections.
    disconnected: watch::Sender<u64>,
    /// The last refusal of a subject, and the number of refusals.
    forbidden: watch::Sender<(u64, String)>,
    /// Why there is no connection at the moment.
    problem: Mutex<Problem>,
    /// The server's text, if it refused the subscription to the replies. It says so only once.
    inbox: Mutex<Option<String>>,
}

/// The last error of the connection.
#[derive(Clone, Debug, Default)]
enum Problem {
    #[default]
    None,
    Unauthorized,
    Text(String),
}

/// Why a request has no reply, before its timeout.
pub(super) enum Broken {
    Disconnected,
    /// The server's text.
    Forbidden(String),
}

impl Connection {
    pub(super) fn new(settings: Arc<Settings>) -> Self {
        Self { settings, state: Mutex::default(), max_payload: AtomicUsize::new(0) }
    }

    /// The largest message that the server takes, in bytes. `None` before the first connection.
    pub(super) fn max_payload(&self) -> Option<usize> {
        Some(self.max_payload.load(Ordering::Relaxed)).filter(|bytes| *bytes > 0)
    }

    /// A connection to a server. Connects within `timeout` if there was none.
    pub(super) fn link(&self, timeout: Duration) -> Result<Arc<Link>, NotConnected> {
        let link = self.made_link(timeout)?;
        // It may be another server's than before.
        self.max_payload.store(link.limits().max_payload, Ordering::Relaxed);
        Ok(link)
    }

    fn made_link(&self, timeout: Duration) -> Result<Arc<Link>, NotConnected> {
        let mut state = lock(&self.state);
        if let Some(link) = &state.link {
            let link = link.clone();
            drop(state);
            return link.connected(&self.settings);
        }
        let handle = match &state.runtime {
            Some(runtime) => runtime.handle.clone(),
            None => {
                let runtime = Runtime::start().map_err(|error| {
                    let reason = format!("cannot start a thread for NATS: {error}");
                    failure(Cause::Unreachable, Scope::Server, reason)
                })?;
                state.runtime.insert(runtime).handle.clone()
            }
        };
        let events = Arc::new(Events::default());
        let settings = &self.settings;
        let tls = match &state.tls {
            Some(tls) => tls.clone(),
            None => state.tls.insert(options::tls_config(settings)?).clone(),
        };
        let connected = block_on(&handle, async {
            tokio::time::timeout(timeout, connect(settings, &tls, "sprockets-influxdb", &events))
                .await
        });
        let client = connected.unwrap_or_else(|_| {
            let problem = format!("no answer within {timeout:?}");
            Err(NotConnected::unreachable(settings, Cause::Timeout, &problem))
        })?;
        let link = Arc::new(Link { handle, client, events });
        state.link = Some(link.clone());
        Ok(link)
    }
}

impl Runtime {
    fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (running, ended) = oneshot::channel::<()>();
        sys::spawn("influxdb-nats", move || {
            // An error: the sender was dropped.
            let _ = runtime.block_on(ended);
            runtime.shutdown_background();
        })?;
        Ok(Self { handle, _running: running })
    }
}

impl Link {
    pub(super) fn limits(&self) -> Limits {
        Limits::of(&self.client.server_info())
    }

    /// The server's version.
    pub(super) fn version(&self) -> String {
        self.client.server_info().version
    }

    /// This, unless the client has no connection at the moment.
    fn connected(self: Arc<Self>, settings: &Settings) -> Result<Arc<Self>, NotConnected> {
        if self.client.connection_state() == State::Connected {
            return Ok(self);
        }
        let unreachable =
            |problem: &str| NotConnected::unreachable(settings, Cause::Unreachable, problem);
        Err(match &*lock(&self.events.problem) {
            Problem::Unauthorized => NotConnected::unauthorized(settings),
            Problem::Text(problem) => unreachable(problem),
            Problem::None => unreachable("the connection is lost"),
        })
    }

    /// The server's text, if it refuses the subscription to replies.
    pub(super) fn inbox_problem(&self) -> Option<String> {
        lock(&self.events.inbox).clone()
    }

    /// Waits for what `work` does, until the connection is lost, or the server refuses `subject` or
    /// the subscription to replies.
    pub(super) fn run<F: Future<Output: Send> + Send>(
        &self,
        subject: &str,
        work: impl FnOnce(Client) -> F,
    ) -> Result<F::Output, Broken> {
        // Before the request, so that nothing is missed.
        let mut disconnected = self.events.disconnected.subscribe();
        let mut forbidden = self.events.forbidden.subscribe();
        let work = work(self.client.clone());
        block_on(&self.handle, async {
            tokio::select! {
                output = work => Ok(output),
                _ = disconnected.changed() => Err(Broken::Disconnected),
                text = refusal_of(&mut forbidden, subject) => Err(Broken::Forbidden(text)),
            }
        })
    }
}

/// Blocks this thread until the future is done. A thread of another runtime must not wait itself.
fn block_on<F: Future<Output: Send> + Send>(handle: &Handle, future: F) -> F::Output {
    if Handle::try_current().is_err() {
        return handle.block_on(future);
    }
    thread::scope(|scope| scope.spawn(|| handle.block_on(future)).join())
        .unwrap_or_else(|panic| resume_unwind(panic))
}

/// Waits until the server refuses the subject.
async fn refusal_of(forbidden: &mut watch::Receiver<(u64, String)>, subject: &str) -> String {
    // The sender lives as long as the link.
    while forbidden.changed().await.is_ok() {
        let text = &forbidden.borrow_and_update().1;
        if errors::is_about_inbox(text) || errors::is_about(text, subject) {
            return text.clone();
        }
    }
    std::future::pending().await
}

impl Default for Events {
    fn default() -> Self {
        Self {
            disconnected: watch::Sender::new(0),
            forbidden: watch::Sender::new((0, String::new())),
            problem: Mutex::default(),
            inbox: Mutex::default(),
        }
    }
}

impl Events {
    /// The server's text about the last subject that it refused.
    pub(super) fn last_refusal(&self) -> Option<String> {
        let refused = self.forbidden.borrow();
        (refused.0 > 0).then(|| refused.1.clone())
    }

    fn record(&self, event: &Event) {
        match event {
            Event::Connected => {
                *lock(&self.problem) = Problem::None;
                *lock(&self.inbox) = None;
            }
            Event::Disconnected => self.disconnected.send_modify(|count| *count += 1),
            Event::ServerError(_) | Event::ClientError(_) => match errors::forbidden(event) {
                Some(text) => self.forbid(text),
                None if errors::is_unauthorized(event) => {
                    *lock(&self.problem) = Problem::Unauthorized;
                }
                None => *lock(&self.problem) = Problem::Text(event.to_string()),
            },
            _ => {}
        }
    }

    fn forbid(&self, text: &str) {
        if errors::is_about_inbox(text) {
            *lock(&self.inbox) = Some(text.to_owned());
        }
        self.forbidden.send_modify(|(count, last)| {
            *count += 1;
            text.clone_into(last);
        });
    }
}

/// Connects to one of the servers. `name` is what they show of this client.
pub(super) async fn connect(
    settings: &Settings,
    tls: &ClientConfig,
    name: &str,
    events: &Arc<Events>,
) -> Result<Client, NotConnected> {
    let mut last = None;
    // The library gives up at the first host whose name cannot be resolved, and shuffles them.
    for _ in 0..settings.nats.servers.len() {
        let recorded = events.clone();
        let options = options::of(settings, tls.clone())?.name(name).event_callback(move |event| {
            recorded.record(&event);
            std::future::ready(())
        });
        let servers: Vec<String> = settings.nats.servers.clone();
        match options.connect(servers).await {
            Ok(client) => return Ok(client),
            Err(error) if error.kind() == ConnectErrorKind::Dns => last = Some(error),
            Err(error) => return Err(NotConnected::of(&error, settings)),
        }
    }
    Err(match last {
        Some(error) => NotConnected::of(&error, settings),
        None => NotConnected::unreachable(settings, Cause::Unreachable, "no server"),
    })
}
