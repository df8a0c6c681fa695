//! The partition of a process: the remainder of all its timestamps, modulo [`PARTITIONS`].
//!
//! On Linux a bound socket holds a partition. The kernel lets one process of a network namespace
//! bind each name, and releases it when the process ends, however it ends. Elsewhere, and where
//! sockets are forbidden or all partitions are held, the process id decides, and two processes may
//! have the same partition.

use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

/// The number of partitions: also the least difference of two timestamps of a process, in
/// nanoseconds. It is a power of two.
pub(super) const PARTITIONS: i64 = 256;

/// A claimed partition. Dropping it releases it.
pub(super) struct Partition {
    number: i64,
    hold: Option<Hold>,
}

impl Partition {
    /// Claims a partition that no process holds.
    pub(super) fn claim() -> Self {
        // Each attempt of a process begins elsewhere, so that partitions are rarely reused soon,
        // and differ also without a hold.
        static CLAIMS: AtomicU32 = AtomicU32::new(0);
        let claims = CLAIMS.fetch_add(1, Ordering::Relaxed);
        let first = i64::from(process::id().wrapping_add(claims.wrapping_mul(97))) % PARTITIONS;
        for offset in 0..PARTITIONS {
            let number = (first + offset) % PARTITIONS;
            match hold(number) {
                Held::Free(hold) => return Self { number, hold: Some(hold) },
                Held::Taken => {}
                Held::Unsupported => break,
            }
        }
        Self { number: first, hold: None }
    }

    /// A partition that nobody holds.
    #[cfg(test)]
    pub(super) fn unheld(number: i64) -> Self {
        Self { number, hold: None }
    }

    pub(super) fn number(&self) -> i64 {
        self.number
    }

    /// Holds the partition until the process ends.
    pub(super) fn keep(self) {
        // Forked children inherit the socket, and keep it longer. They never use the partition.
        std::mem::forget(self.hold);
    }
}

/// What came of an attempt to hold a partition.
#[cfg_attr(any(not(target_os = "linux"), miri), allow(dead_code))]
enum Held {
    Free(Hold),
    Taken,
    Unsupported,
}

#[cfg(all(target_os = "linux", not(miri)))]
type Hold = std::os::unix::net::UnixDatagram;

#[cfg(not(all(target_os = "linux", not(miri))))]
type Hold = ();

#[cfg(all(target_os = "linux", not(miri)))]
fn hold(number: i64) -> Held {
    use std::io::ErrorKind;
    use std::net::Shutdown;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    let name = format!("sprockets-influxdb/timestamps/{number}");
    let bound =
        SocketAddr::from_abstract_name(name).and_then(|address| UnixDatagram::bind_addr(&address));
    match bound {
        Ok(socket) => {
            // Nobody may leave data in it.
            let _ = socket.shutdown(Shutdown::Both);
            Held::Free(socket)
        }
        Err(error) if error.kind() == ErrorKind::AddrInUse => Held::Taken,
        Err(_) => Held::Unsupported,
    }
}

#[cfg(not(all(target_os = "linux", not(miri))))]
fn hold(_number: i64) -> Held {
    Held::Unsupported
}
