//! Each reply of [`ForeignReply::ALL`]: servers that are no InfluxDB. None of them delivers or
//! rejects a line. `answers.rs` has what is said about some of them.

use std::time::Duration;

use sprockets_influxdb::testing::{Fault, ForeignReply, Product, Server};
use sprockets_influxdb::{Api, Client, Measurement};
use test_support::{balanced, flush_until};

use super::add;
use super::table::with_api;

const LINES: usize = 8;

/// The statuses that may be about a single line, if others are delivered. A gateway answers 502 if
/// the server closed the connection.
const BLAMED: [&str; 6] = ["-400", "-403", "-405", "-413", "-422", "-502"];

#[test]
fn no_foreign_reply_delivers_or_rejects() {
    for &reply in ForeignReply::ALL {
        for api in [Api::V1, Api::V2, Api::V3] {
            let name = format!("{reply} over {api}");
            let server = Server::start_as(Product::InfluxDb3_6);
            server.inject_always(Fault::foreign_reply(reply).for_every_request());
            let client = Client::new(with_api(api, &server)).unwrap();
            add(&client, LINES);
            flush_until(&client, |stats| stats.last_error.is_some());
            // Further attempts decide no more than the first.
            for _ in 0..12 {
                client.flush(Duration::from_millis(4));
            }
            let stats = balanced(&client);
            let decided = (stats.delivered, stats.rejected, stats.pending);
            assert_eq!(decided, (0, 0, LINES as u64), "{name}: {stats:?}");
            assert_eq!(server.count("db"), 0, "{name}");
            server.clear_faults();
            let stats = flush_until(&client, |stats| stats.pending == 0);
            assert_eq!((stats.delivered, stats.rejected), (LINES as u64, 0), "{name}: {stats:?}");
            assert_eq!(server.count("db"), LINES, "{name}");
        }
    }
}

/// What answers before the server does so for one line only, as a firewall does for what it takes
/// for an attack. The others are delivered meanwhile.
#[test]
fn a_foreign_reply_to_one_line_holds_up_no_other() {
    for &reply in ForeignReply::ALL {
        let name = reply.name();
        let server = Server::start_as(Product::InfluxDb3_6);
        server.inject_always(Fault::foreign_reply(reply).when_body_contains("attack"));
        let config = with_api(Api::V1, &server).shutdown_timeout(Duration::ZERO);
        let client = Client::new(config).unwrap();
        add(&client, 1);
        flush_until(&client, |stats| stats.delivered == 1);
        let attack = Measurement::new("db", "m").tag("t", "x y").field("s", "attack");
        client.add_measurement(&attack).unwrap();
        flush_until(&client, |stats| stats.last_error.is_some());
        for delivered in 2..30 {
            add(&client, 1);
            flush_until(&client, |stats| stats.delivered == delivered);
        }
        let stats = balanced(&client);
        assert_eq!(stats.rejected + stats.pending, 1, "{name}: {stats:?}");
        let may_be_rejected = BLAMED.iter().any(|status| name.ends_with(status));
        assert!(may_be_rejected || stats.rejected == 0, "{name}: {stats:?}");
        assert_eq!(server.count("db") as u64, stats.delivered, "{name}");
    }
}
