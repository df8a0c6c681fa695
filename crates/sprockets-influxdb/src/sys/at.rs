//! Files by the descriptor of their directory, so that nobody can put a link in the place of a
//! directory meanwhile. No link is followed, and no call waits for the other end of a pipe.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::ffi::OsStrExt;

const SAFELY: i32 = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;

/// What a name in a directory refers to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stat {
    pub(crate) id: (u64, u64),
    pub(crate) user: u32,
    pub(crate) mode: u32,
    pub(crate) bytes: u64,
    /// What it takes on the disk, in bytes.
    pub(crate) allocated: u64,
}

impl Stat {
    pub(crate) fn is_directory(&self) -> bool {
        self.mode & format_bits(libc::S_IFMT) == format_bits(libc::S_IFDIR)
    }

    pub(crate) fn is_file(&self) -> bool {
        self.mode & format_bits(libc::S_IFMT) == format_bits(libc::S_IFREG)
    }
}

/// The user whose permissions this process has.
pub(crate) fn user() -> u32 {
    // SAFETY: it has no arguments and cannot fail.
    unsafe { libc::geteuid() }
}

/// Whether this process may write a file of this size. If it wrote a longer one than its limit
/// allows, a signal would end it.
pub(crate) fn may_write(bytes: u64) -> bool {
    let mut limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the structure is ours. If the call fails, it is unchanged.
    unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &mut limit) };
    bytes as libc::rlim_t <= limit.rlim_cur
}

/// Opens a file in a directory. A file that it creates can be used by this user only.
pub(crate) fn open_at(directory: &File, name: &OsStr, flags: i32) -> io::Result<File> {
    let name = c_string(name)?;
    // SAFETY: the descriptor is open, and the name ends with a zero byte.
    let opened =
        unsafe { libc::openat(directory.as_raw_fd(), name.as_ptr(), flags | SAFELY, 0o600) };
    if opened < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor, which nothing else owns.
    Ok(unsafe { File::from_raw_fd(opened) })
}

/// Opens a directory in a directory, to use it for the functions of this module.
pub(crate) fn open_directory_at(directory: &File, name: &OsStr) -> io::Result<File> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const FLAGS: i32 = libc::O_DIRECTORY | libc::O_PATH;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const FLAGS: i32 = libc::O_DIRECTORY;
    open_at(directory, name, FLAGS)
}

/// Creates a directory for this user only.
pub(crate) fn create_directory_at(directory: &File, name: &OsStr) -> io::Result<()> {
    let name = c_string(name)?;
    // SAFETY: the descriptor is open, and the name ends with a zero byte.
    check(unsafe { libc::mkdirat(directory.as_raw_fd(), name.as_ptr(), 0o700) })
}

/// Removes a file, or an empty directory.
pub(crate) fn remove_at(directory: &File, name: &OsStr, is_directory: bool) -> io::Result<()> {
    let name = c_string(name)?;
    let flags = if is_directory { libc::AT_REMOVEDIR } else { 0 };
    // SAFETY: the descriptor is open, and the name ends with a zero byte.
    check(unsafe { libc::unlinkat(directory.as_raw_fd(), name.as_ptr(), flags) })
}

/// Renames a file. Fails if the new name exists.
pub(crate) fn rename_at(from: (&File, &OsStr), to: (&File, &OsStr)) -> io::Result<()> {
    let names = (c_string(from.1)?, c_string(to.1)?);
    let (from_fd, to_fd) = (from.0.as_raw_fd(), to.0.as_raw_fd());
    #[cfg(target_os = "linux")]
    {
        // SAFETY: the descriptors are open, and the names end with zero bytes.
        let renamed = check(unsafe {
            libc::syscall(
                libc::SYS_renameat2,
                from_fd,
                names.0.as_ptr(),
                to_fd,
                names.1.as_ptr(),
                libc::RENAME_NOREPLACE,
            ) as i32
        });
        // The file system, or a container's filter of system calls, may not know it.
        let is_unknown = |error: &io::Error| {
            matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS | libc::EPERM))
        };
        if !renamed.as_ref().is_err_and(is_unknown) {
            return renamed;
        }
    }
    if stat_at(to.0, to.1).is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    // SAFETY: the descriptors are open, and the names end with zero bytes.
    check(unsafe { libc::renameat(from_fd, names.0.as_ptr(), to_fd, names.1.as_ptr()) })
}

/// Looks at a name, without opening what it refers to.
pub(crate) fn stat_at(directory: &File, name: &OsStr) -> io::Result<Stat> {
    let name = c_string(name)?;
    let flags = libc::AT_SYMLINK_NOFOLLOW;
    // SAFETY: zeros are a valid value. The descriptor is open, the name ends with a zero byte, and
    // the pointer is to a local.
    let (result, stat) = unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        let result = libc::fstatat(directory.as_raw_fd(), name.as_ptr(), &raw mut stat, flags);
        (result, stat)
    };
    check(result)?;
    #[allow(clippy::unnecessary_cast)] // The types differ between systems.
    Ok(Stat {
        id: (stat.st_dev as u64, stat.st_ino as u64),
        user: stat.st_uid,
        mode: stat.st_mode as u32,
        bytes: stat.st_size as u64,
        allocated: stat.st_blocks as u64 * 512,
    })
}

/// Whether this process may create files in a directory.
pub(crate) fn is_writable(directory: &File, name: &OsStr) -> bool {
    let Ok(name) = c_string(name) else { return false };
    let access = libc::W_OK | libc::X_OK;
    // SAFETY: the descriptor is open, and the name ends with a zero byte.
    unsafe { libc::faccessat(directory.as_raw_fd(), name.as_ptr(), access, libc::AT_EACCESS) == 0 }
}

#[allow(clippy::unnecessary_cast)] // The type differs between systems.
fn format_bits(bits: libc::mode_t) -> u32 {
    bits as u32
}

fn check(result: i32) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn c_string(name: &OsStr) -> io::Result<CString> {
    Ok(CString::new(name.as_bytes())?)
}
