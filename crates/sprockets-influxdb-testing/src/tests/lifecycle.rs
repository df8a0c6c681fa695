//! Starting, stopping, and waiting.

use std::thread;
use std::time::Instant;

use super::*;

const V1: &str = "/write?db=d";

#[test]
fn a_stopped_server_refuses_connections_and_comes_back_with_everything() {
    let server = Server::start();
    server.only_databases(["d"]);
    let mut client = Client::new(&server);
    assert_eq!(client.post(V1, "", "m f=1 1").status, 204);
    let address = server.address();
    server.stop();
    server.stop();
    let refused = TcpStream::connect(address).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    assert!(client.rest().map_or(true, |rest| rest.is_empty()));

    server.restart();
    assert_eq!(server.address(), address);
    assert_eq!(Client::new(&server).post(V1, "", "m f=1 2").status, 204);
    assert_eq!(Client::new(&server).post("/write?db=e", "", "m f=1 2").status, 404);
    assert_eq!((server.count("d"), server.requests().len()), (2, 3));
    server.restart();
    assert_eq!(Client::new(&server).post(V1, "", "m f=1 3").status, 204);
}

#[test]
fn dropping_the_server_ends_idle_and_unfinished_connections() {
    let server = Server::start();
    let mut idle = Client::new(&server);
    assert_eq!(idle.post(V1, "", "m f=1 1").status, 204);
    let _silent = Client::new(&server);
    let mut unfinished = Client::new(&server);
    unfinished.send(format!("POST {V1} HTTP/1.1\r\nContent-Length: 100\r\n\r\nm f")).unwrap();
    drop(server);
    assert!(idle.rest().map_or(true, |rest| rest.is_empty()));
    assert!(unfinished.rest().map_or(true, |rest| rest.is_empty()));
}

#[test]
fn servers_start_and_stop_by_the_dozen() {
    for _ in 0..50 {
        let server = Server::start();
        assert_eq!(Client::new(&server).post(V1, "", "m f=1 1").status, 204);
    }
    drop((0..20).map(|_| Server::start()).collect::<Vec<_>>());
}

#[test]
fn waiting_ends_when_the_points_are_there() {
    let server = Server::start();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| server.wait_for_points("d", 3, PATIENCE));
        let mut client = Client::new(&server);
        for time in 0..3 {
            client.post(V1, "", format!("m f=1 {time}"));
        }
        assert!(waiting.join().unwrap());
    });
    assert!(server.wait_for_requests(3, Duration::ZERO));
}

#[test]
fn waiting_ends_when_the_time_is_up() {
    let server = Server::start();
    let started = Instant::now();
    assert!(!server.wait_for_points("d", 1, Duration::from_millis(30)));
    assert!(!server.wait_for_requests(1, Duration::from_millis(30)));
    assert!(started.elapsed() >= Duration::from_millis(60));
    server.stop();
    assert!(!server.wait_for_requests(1, Duration::from_millis(30)));
}

#[test]
fn waiting_outlasts_a_restart() {
    let server = Server::start();
    thread::scope(|scope| {
        let waiting =
            scope.spawn(|| server.wait_until(Duration::MAX, |server| server.count("d") == 1));
        server.stop();
        server.restart();
        Client::new(&server).post(V1, "", "m f=1 1");
        assert!(waiting.join().unwrap());
    });
}

#[test]
fn clearing_forgets_what_was_seen_and_keeps_the_settings() {
    let server = Server::start();
    server.require_token("t");
    let mut client = Client::new(&server);
    client.post(V1, "Authorization: Token t\r\n", "m f=1 1");
    server.clear();
    assert_eq!((server.count("d"), server.requests().len(), server.connections()), (0, 0, 0));
    assert_eq!(client.post(V1, "", "m f=1i 1").status, 401);
    assert_eq!(client.post(V1, "Authorization: Token t\r\n", "m f=1i 1").status, 204);
}

#[test]
fn the_server_says_where_it_is() {
    let server = Server::start();
    assert_eq!(server.url(), format!("http://127.0.0.1:{}", server.port()));
    assert!(format!("{server:?}").contains(&server.url()));
}
