//! File systems in images, mounted in the mount namespace of a test.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use test_support::isolation::run;
use test_support::skip;

/// Sizes of the writes that fill a disk.
const SIZES: [usize; 3] = [1 << 20, 1 << 16, 4096];

/// A mounted file system with an image of its own.
pub(crate) struct Mounted {
    kind: &'static str,
    directory: TempDir,
}

impl Mounted {
    /// Prints that the test is skipped where it cannot be mounted.
    pub(crate) fn new(kind: &'static str, megabytes: u64, options: &str) -> Option<Self> {
        let disk = Self { kind, directory: tempfile::tempdir().unwrap() };
        fs::create_dir(disk.path()).unwrap();
        let is_mounted = disk.mount(megabytes, options);
        if !is_mounted {
            skip(&format!("{kind} cannot be made and mounted here"));
        }
        is_mounted.then_some(disk)
    }

    fn mount(&self, megabytes: u64, options: &str) -> bool {
        let image = self.directory.path().join("image");
        let (image_name, path) = (image.to_str().unwrap(), self.path());
        if self.kind == "tmpfs" {
            let size = format!("size={megabytes}m");
            return run("mount", &["-t", "tmpfs", "-o", &size, "none", path.to_str().unwrap()]);
        }
        File::create(&image).unwrap().set_len(megabytes << 20).unwrap();
        let force = if self.kind == "ext4" { "-F" } else { "-f" };
        run(&format!("mkfs.{}", self.kind), &["-q", force, image_name])
            && run("mount", &["-o", options, image_name, path.to_str().unwrap()])
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("mounted")
    }

    /// Fills it to the last block with bytes that do not compress.
    pub(crate) fn fill(&self) {
        let files = SIZES.map(|size| (size, File::create(self.filler(size)).unwrap()));
        for (size, mut file) in files {
            let mut bytes = vec![0; size];
            let error = loop {
                fastrand::fill(&mut bytes);
                if let Err(error) = file.write_all(&bytes) {
                    break error;
                }
            };
            assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{error}");
        }
        assert!(run("sync", &[]));
    }

    pub(crate) fn empty(&self) {
        for size in SIZES {
            fs::remove_file(self.filler(size)).unwrap();
        }
        assert!(run("sync", &[]));
    }

    fn filler(&self, size: usize) -> PathBuf {
        self.path().join(format!("filler-{size}"))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        run("umount", &["-l", self.path().to_str().unwrap()]);
    }
}

/// The segments of a spool.
pub(crate) fn segments(spool: &Path) -> Vec<PathBuf> {
    let entries = |path: PathBuf| fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let files = entries(spool.join("slots")).flat_map(entries);
    files.filter(|path| path.extension().is_some_and(|end| end == "open")).collect()
}
