//! Each reply of [`ForeignReply::ALL`]: servers that are no InfluxDB. None of them delivers or
//! rejects a line. `answers.rs` has what is said about some of them.

use std::time::Duration;

use sprockets_influxdb::testing::{Fault, ForeignReply, Product, Server};
use sprockets_influxdb::{Api, Client};
use test_support::{balanced, flush_until};

use super::add;
use super::table::with_api;

const LINES: usize = 8;

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
