//! `forward`: reads what applications published to NATS JetStream, and writes it to InfluxDB.
//!
//! `pull` takes messages from a consumer, `message` reads them, `lane` delivers those of one
//! database, and `forwarder` acknowledges each when all its lines are decided.

mod create;
mod forwarder;
mod jetstream;
mod lane;
mod message;
mod pull;
mod set_aside;
mod status;
mod totals;

use std::path::PathBuf;

use clap::Args;
use sprockets_influxdb::internal::nats::Cluster;
use sprockets_influxdb::{Config, Precision};
use tokio::runtime::{Builder, Runtime};

use crate::args;
use crate::exit::Problem;
use crate::progress::{Progress, Size};
use crate::wait::{self, IGNORED_VARIABLES};
use forwarder::Forwarder;
use jetstream::JetStream;
use set_aside::SetAside;

/// Where the stream is, if there is no --from.
const FROM_VARIABLE: &str = "INFLUXDB_NATS_URL";

/// Forward measurements from NATS JetStream to InfluxDB
///
/// Applications publish to JetStream if their INFLUXDB_URL is nats://host:4222. This takes their
/// messages by a pull consumer and writes them to the InfluxDB that the variables name, as
/// applications would: in batches, retried, halved around lines that the server rejects. A message
/// is acknowledged when each of its lines is delivered or rejected. Any number of forwarders may
/// share one consumer.
///
/// Rejected lines, and messages that are not line protocol, are kept in the directory of --spool.
///
/// The first Ctrl-C or SIGTERM ends it within the shutdown timeout: what is not decided then goes
/// to another forwarder. The second ends it at once.
///
/// Exit code: 0 if every line was delivered, 1 if one was not or the consumer is gone, 2 if an
/// argument, a setting or a stream cannot be used, 130 on a second Ctrl-C.
#[derive(Args, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    server: args::Server,
    /// Create the stream and the consumer if they do not exist, and say what was made
    #[arg(long)]
    create: bool,
    #[command(flatten)]
    limits: create::Limits,
    /// Show what waits in the stream, by consumer, and end
    #[arg(long, conflicts_with_all = ["create", "until_empty"])]
    status: bool,
    /// End when nothing waits any more
    #[arg(long)]
    until_empty: bool,
    /// Directory for rejected lines and for messages that cannot be read [env: INFLUXDB_SPOOL]
    #[arg(long = "spool", value_name = "DIRECTORY")]
    spool: Option<PathBuf>,
    /// MiB of lines that are taken and not yet decided, at most
    #[arg(long, value_name = "MIB", default_value = "64",
        value_parser = clap::value_parser!(u32).range(1..=65_536))]
    window: u32,
    /// No progress, and a summary only if a line was not delivered
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    output: args::Output,
}

/// Which stream, and how to reach it.
#[derive(Args, Debug)]
struct Source {
    /// URL of the NATS servers, such as nats://a:4222,b:4222 [env: INFLUXDB_NATS_URL]
    #[arg(long, value_name = "URL")]
    from: Option<String>,
    /// Credentials file of NATS [env: INFLUXDB_NATS_CREDS]
    #[arg(long, value_name = "FILE")]
    creds: Option<PathBuf>,
    /// The stream [env: INFLUXDB_NATS_STREAM]
    #[arg(long, value_name = "NAME")]
    stream: Option<String>,
    /// The durable consumer, which all forwarders of a stream share
    #[arg(long, value_name = "NAME", default_value = "forward")]
    durable: String,
}

/// What applies to NATS too. The others are about InfluxDB.
const SOURCE_VARIABLES: [&str; 6] = [
    "INFLUXDB_CA_FILE",
    "INFLUXDB_CLIENT_CERT",
    "INFLUXDB_CLIENT_KEY",
    "INFLUXDB_NATS_CREDS",
    "INFLUXDB_NATS_SUBJECT",
    "INFLUXDB_TLS_VERIFY",
];

impl Source {
    /// The servers, from the environment and the options.
    fn cluster(&self) -> Result<Cluster, Problem> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let from = match &self.from {
            Some(url) if args::has_password(url) => {
                return Err(format!(
                    "the URL contains a password, and other users of this machine can read \
                     arguments: use {FROM_VARIABLE} or --creds"
                )
                .into());
            }
            Some(url) => url.clone(),
            None => variable(FROM_VARIABLE)
                .ok_or(format!("no servers of NATS: pass --from, or set {FROM_VARIABLE}"))?,
        };
        let lookup =
            |name: &str| SOURCE_VARIABLES.contains(&name).then(|| std::env::var_os(name))?;
        let mut config = Config::new().with_lookup(lookup).url(&from);
        if let Some(creds) = &self.creds {
            config = config.nats_creds(creds);
        }
        Ok(Cluster::new(&config)?)
    }

    fn stream(&self) -> Result<String, Problem> {
        let variable = || std::env::var("INFLUXDB_NATS_STREAM").ok();
        let name = self.stream.clone().or_else(variable).filter(|name| !name.is_empty());
        let name =
            name.ok_or("no stream: pass its name as --stream, or set INFLUXDB_NATS_STREAM")?;
        named("stream", name)
    }

    fn durable(&self) -> Result<String, Problem> {
        named("durable", self.durable.clone())
    }
}

/// The name of a stream or a consumer, which is a token of a subject.
fn named(option: &str, name: String) -> Result<String, Problem> {
    let is_token = |byte: u8| byte.is_ascii_graphic() && !b".*>/\\".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(format!(
            "--{option}: {name:?} is not a name: expected printable ASCII without space, '.', \
             '*', '>', '/' and '\\'"
        )
        .into());
    }
    Ok(name)
}

pub(crate) fn run(options: &Options) -> Result<u8, Problem> {
    let cluster = options.source.cluster()?;
    let (stream, durable) = (options.source.stream()?, options.source.durable()?);
    let runtime = runtime()?;
    let progress = Progress::new(options.quiet, Size::Unknown);
    let client = runtime.block_on(cluster.connect("sprockets-influxdb forward"))?;
    let jetstream = JetStream::new(cluster, client, stream, durable);
    if options.status {
        return status::run(&runtime, &jetstream, &options.output);
    }
    let window = options.window as usize * (1 << 20);
    // Each lane may hold all of the window, and its lines may get longer timestamps.
    let base = wait::config().max_buffer_size(isize::MAX as usize).max_buffer_bytes(4 * window);
    let ignored = [&IGNORED_VARIABLES[..], &IGNORED_HERE].concat();
    let config = options.server.config(base, &ignored)?.precision(Precision::Nanoseconds);
    let is_nats = config.settings()?.iter().any(|setting| {
        setting.name() == "scheme" && ["nats", "tls"].contains(&&*setting.value().to_string())
    });
    if is_nats {
        return Err(
            "INFLUXDB_URL is a URL of NATS: expected that of the InfluxDB to write to".into()
        );
    }
    if options.create {
        let made = runtime.block_on(create::run(&jetstream, &options.limits))?;
        made.iter().for_each(|text| progress.message(text));
    }
    let ack_wait = runtime.block_on(jetstream.require())?;

    let directory = args::spool(options.spool.as_ref());
    if directory.is_none() {
        progress.message(
            "warning: rejected lines are counted and not kept: pass a directory as --spool",
        );
    }
    let set_aside = SetAside::new(directory.as_deref());
    // Shows warnings, and fails if a setting cannot be used, before anything is taken.
    let timeout = wait::client(config.clone(), &progress)?.shutdown_timeout();
    let times = (timeout, ack_wait);
    let (forwarder, decisions) =
        Forwarder::new(jetstream, config, set_aside, window, times, progress);
    let totals = runtime.block_on(forwarder.run(decisions, options.until_empty));
    let report = totals.report();
    // A failed write to a closed pipe does not change what happened.
    let _ = report.print(options.quiet, &options.output);
    Ok(report.exit_code())
}

/// Variables that are for the stream's side, or for applications.
const IGNORED_HERE: [&str; 9] = [
    "INFLUXDB_MAX_BUFFER_BYTES",
    "INFLUXDB_MAX_BUFFER_SIZE",
    "INFLUXDB_NATS_CREDS",
    "INFLUXDB_NATS_STREAM",
    "INFLUXDB_NATS_SUBJECT",
    "INFLUXDB_PRECISION",
    "INFLUXDB_SPOOL",
    "INFLUXDB_SPOOL_MAX_BYTES",
    "INFLUXDB_SPOOL_SYNC",
];

fn runtime() -> Result<Runtime, Problem> {
    let runtime = Builder::new_current_thread().enable_all().build();
    Ok(runtime.map_err(|error| format!("cannot start a runtime: {error}"))?)
}
