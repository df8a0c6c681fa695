//! Files in which lines are lost are moved to `damaged/`, each with its reason in a file beside it,
//! for an operator to look at.

use std::io;
use std::path::Path;

use super::dir::SpoolDir;
use crate::printable;

/// Sets a file aside. Returns a message for the log.
pub(super) fn set_aside(dir: &SpoolDir, path: &Path, reason: &str) -> String {
    let (disk, directory) = (dir.disk(), dir.join("damaged"));
    let part = |path: Option<&Path>| {
        let name = path.and_then(Path::file_name).unwrap_or_default();
        name.to_string_lossy().into_owned()
    };
    let name = format!("{}-{}", part(path.parent()), part(Some(path)));
    let aside = directory.join(&name);
    let shown = printable::shown(path);
    match disk.create_dir(&directory).and_then(|()| disk.rename(path, &aside)) {
        Ok(()) => {
            // Without its reason the file is as useful.
            let reason_path = directory.join(format!("{name}.reason"));
            let _ = disk.append(&reason_path, format!("{reason}\n").as_bytes());
            format!(
                "{shown} of the spool is {reason}: it is set aside as {}",
                printable::shown(&aside)
            )
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
