//! Full disks on which filling a file with zeros keeps no room for later writes.

use std::path::Path;

use sprockets_influxdb::Client;
use test_support::isolation::{in_namespaces, is_isolated, run};
use test_support::{NO_SERVER, balanced};

use super::mounted::Mounted;
use super::{add, config, deliver_all};

/// Fills a disk under a client. `copy` copies its spool before.
fn fill(kind: &'static str, options: &str, copy: impl FnOnce(&Path) -> bool) {
    let Some(disk) = Mounted::new(kind, if kind == "tmpfs" { 8 } else { 320 }, options) else {
        return;
    };
    let client = Client::new(config(NO_SERVER, &disk.path().join("spool"))).unwrap();
    add(&client, 0..50);
    assert_eq!(balanced(&client).spooled, 50);
    assert!(run("sync", &[]) && copy(&disk.path()), "{kind}{options}");
    disk.fill();
    add(&client, 50..20_000);
    let stats = balanced(&client);
    assert_eq!((stats.added, stats.pending), (20_000, 20_000), "{kind} {options}: {stats:?}");
    disk.empty();
    deliver_all(&client, 20_000);
}

fn nothing(_disk: &Path) -> bool {
    true
}

macro_rules! isolated {
    ($($(#[$comment:meta])* $name:ident: $test:ident => $work:expr;)*) => {$(
        $(#[$comment])*
        #[test]
        fn $name() {
            in_namespaces(&["--mount"], concat!("full::", stringify!($test)));
        }

        #[test]
        #[ignore = "started by the other test, in a mount namespace"]
        fn $test() {
            if is_isolated() {
                $work;
            }
        }
    )*};
}

isolated! {
    a_full_ext4_does_not_end_the_process: ext4 => fill("ext4", "loop", nothing);
    a_full_tmpfs_does_not_end_the_process: tmpfs => fill("tmpfs", "", nothing);
    a_full_xfs_does_not_end_the_process: xfs => fill("xfs", "loop", nothing);
    a_full_xfs_does_not_end_the_process_after_a_reflink_copy: reflink => {
        fill("xfs", "loop", |disk| {
            let name = |name| disk.join(name).to_str().unwrap().to_owned();
            run("cp", &["-a", "--reflink=always", &name("spool"), &name("copy")])
        });
    };
    a_full_btrfs_does_not_end_the_process: btrfs => fill("btrfs", "loop", nothing);
    a_full_btrfs_that_compresses_does_not_end_the_process: compressed => {
        fill("btrfs", "loop,compress=zstd", nothing);
    };
    a_full_btrfs_does_not_end_the_process_after_a_snapshot: snapshot => {
        fill("btrfs", "loop", |disk| {
            let name = disk.to_str().unwrap();
            run("btrfs", &["subvolume", "snapshot", name, &format!("{name}/snapshot")])
        });
    };
}
