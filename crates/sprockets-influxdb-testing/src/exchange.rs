//! Handles the requests of one connection, with their faults. A request is recorded before its
//! reply is sent, so a test that has seen the reply also finds the record.

use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::sync::Arc;

use crate::dialect::{Dialect, text};
use crate::http::{Connection, Ending, Head, Next};
use crate::non_write;
use crate::shared::Shared;
use crate::write::Write;

/// Serves a connection until one side ends it.
pub(crate) fn serve(shared: &Shared, stream: Arc<TcpStream>) {
    let mut connection = Connection::new(stream);
    loop {
        match exchange(shared, &mut connection) {
            Ok(Next::Request) => {}
            Ok(Next::Close) => return connection.close(),
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                let reply =
                    text(400, format!("400 Bad Request: {error}")).encode(Ending::default());
                // The client may be gone. Draining avoids a reset, which could lose the reply.
                let _ = connection.write(&reply);
                let _ = connection.close_write_side();
                let _ = connection.drain();
                return;
            }
            Ok(Next::Reset) | Err(_) => return,
        }
    }
}

fn exchange(shared: &Shared, connection: &mut Connection) -> io::Result<Next> {
    let head = Head::read(connection)?;
    let dialect = {
        let settings = &shared.lock().settings;
        let added = settings.write_paths.contains(&head.path).then_some(Dialect::V1);
        settings.product.api_at(&head.path).or(added)
    };
    match dialect {
        Some(dialect) if head.method == "POST" => {
            Write::new(shared, connection, head, dialect).run()
        }
        dialect => non_write::answer(shared, connection, head, dialect),
    }
}
