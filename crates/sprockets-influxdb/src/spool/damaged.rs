//! Files in which lines are lost are moved to `damaged/`, each with its reason in a file beside it,
//! for an operator to look at.

use std::io;
use std::path::{Path, PathBuf};

use super::dir::{DAMAGED, SpoolDir};
use super::disk::Disk;
use crate::printable;

/// Sets a file aside. Returns a message for the log.
pub(super) fn set_aside(dir: &SpoolDir, path: &Path, reason: &str) -> String {
    let disk = &*dir.disk;
    let part = |path: Option<&Path>| {
        let name = path.and_then(Path::file_name).unwrap_or_default();
        name.to_string_lossy().into_owned()
    };
    let name = format!("{}-{}", part(path.parent()), part(Some(path)));
    let shown = printable::shown(path);
    let renamed = dir.usable(DAMAGED, false);
    let renamed = renamed.and_then(|directory| rename_to_free(disk, path, &directory, &name));
    match renamed {
        Ok(aside) => {
            // Without its reason the file is as useful.
            let mut reason_path = aside.clone().into_os_string();
            reason_path.push(".reason");
            let reason = format!("{reason}\n");
            if disk.write_new(Path::new(&reason_path), reason.as_bytes()).is_ok() {
                dir.account.add(reason.len() as u64);
            }
            let aside = printable::shown(&aside);
            format!("{shown} of the spool is {}: it is set aside as {aside}", reason.trim_end())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            format!("{shown} of the spool is gone: {reason}")
        }
        Err(error) => {
            // If it stayed, it would be reported again and again.
            let _ = disk.remove(path);
            format!("{shown} of the spool is {reason}; removed: it cannot be set aside: {error}")
        }
    }
}

/// Moves a file to the first free name. Returns its new path.
fn rename_to_free(
    disk: &dyn Disk,
    path: &Path,
    directory: &Path,
    name: &str,
) -> io::Result<PathBuf> {
    let mut aside = directory.join(name);
    for number in 2.. {
        match disk.rename(path, &aside) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < 1_000 => {
                aside = directory.join(format!("{name}.{number}"));
            }
            renamed => return renamed.map(|()| aside),
        }
    }
    Ok(aside)
}
