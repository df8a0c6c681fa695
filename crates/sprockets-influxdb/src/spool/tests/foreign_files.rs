use super::*;

type Make = Box<dyn FnOnce(&Path)>;

/// A slot with one file of this name, created by `make`.
fn slot_with(name: &str, make: impl FnOnce(&Path)) -> (tempfile::TempDir, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let slot = root.path().join("slots/1-00000000");
    fs::create_dir_all(&slot).unwrap();
    let path = slot.join(name);
    make(&path);
    (root, path)
}

#[test]
fn foreign_files_are_left_alone_and_reported() {
    let huge = |path: &Path| fs::File::create(path).unwrap().set_len(1 << 40).unwrap();
    let text = |text: &'static str| move |path: &Path| fs::write(path, text).unwrap();
    let fifo = |path: &Path| {
        assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    };
    let link = |path: &Path| std::os::unix::fs::symlink("/dev/zero", path).unwrap();
    let newer = "# sprockets-influxdb spool 2 x=y\n";
    let cases: [(&str, Make); 12] = [
        ("notes.txt", Box::new(text("a note"))),
        ("00000001.open", Box::new(text("\x7fELF"))),
        ("00000001.open", Box::new(text(newer))),
        ("00000001-1.lp", Box::new(text(newer))),
        ("00000001-18446744073709551615.lp", Box::new(text("x"))),
        ("00000001-99999999999999999999.lp", Box::new(text("x"))),
        ("00000001.open", Box::new(huge)),
        ("00000001-5.lp", Box::new(huge)),
        ("00000001.open", Box::new(fifo)),
        ("00000001-5.lp", Box::new(fifo)),
        ("00000001-5.lp", Box::new(link)),
        ("00000001.open", Box::new(|path: &Path| fs::create_dir(path).unwrap())),
    ];
    for (name, make) in cases {
        let (root, path) = slot_with(name, make);
        let found = recover(root.path());
        assert!(found.lines.is_empty() && found.expected == 0, "{name}: {found:?}");
        assert!(
            found.messages.len() == 1 && found.messages[0].contains("left alone"),
            "{name}: {found:?}"
        );
        assert!(path.symlink_metadata().is_ok(), "{name}");
    }
}

#[test]
fn a_file_with_more_lines_than_its_name_says_is_read_whole() {
    let root = tempfile::tempdir().unwrap();
    let spool = spool(root.path());
    let stored = sealed(&spool, &["m f=1 1", "m f=2 2"]);
    let bytes = fs::read(&stored.path).unwrap();
    for name in ["00000001-1.lp", "00000001-0.lp"] {
        let (root, _) = slot_with(name, |path| fs::write(path, &bytes).unwrap());
        assert_eq!(recover(root.path()).lines, ["m f=1 1", "m f=2 2"], "{name}");
    }
}

#[test]
fn a_lock_or_slot_of_the_wrong_type_does_not_stop_recovery() {
    let (root, _) = slot_with("lock", |path| fs::create_dir(path).unwrap());
    fs::write(root.path().join("slots/2-00000000"), "no directory").unwrap();
    std::os::unix::fs::symlink("/", root.path().join("slots/3-00000000")).unwrap();
    let lines = recover(root.path()).lines;
    assert!(lines.is_empty() && spool(root.path()).segments.create(1_000).is_some());
}
