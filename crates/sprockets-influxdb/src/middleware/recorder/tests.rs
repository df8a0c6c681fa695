use std::time::Duration;

use super::*;
use crate::config::Config;
use crate::testing::Server;

struct Get;

impl RequestHead for Get {
    fn method(&self) -> &str {
        "GET"
    }

    fn path(&self) -> &str {
        "/"
    }

    fn header(&self, _name: &str) -> Option<&[u8]> {
        None
    }
}

#[test]
fn requests_without_a_database_are_recorded_in_the_default_one() {
    let server = Server::start();
    let config = Config::new().url(&server.url());
    let begin = |config| {
        let client = Client::new(config).unwrap();
        let recorder = Recorder::new(client.clone(), "", "request", RequestOptions::new());
        (client, recorder.begin(&Get))
    };
    assert!(begin(config.clone()).1.is_none());
    let (client, guard) = begin(config.database("usual"));
    drop(guard.unwrap());
    assert!(client.flush(Duration::from_secs(30)).is_complete());
    assert_eq!(server.points("usual").len(), 1);
}
