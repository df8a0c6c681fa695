use std::thread;

use super::*;

/// A slot as a killed process leaves it: the name, bytes and lines of each file.
fn golden() -> Vec<(String, Vec<u8>, Vec<String>)> {
    let root = tempfile::tempdir().unwrap();
    let spool = spool(root.path());
    let text = |names: &[&str]| -> Vec<String> {
        names.iter().map(|name| format!("{name} f=1i 1")).collect()
    };
    let used = text(&["open1", "open2", "open3"]);
    let again = text(&["again1", "again2"]);
    let stored = text(&["sealed1", "sealed2", "sealed3"]);
    let (mut open, mut recycled) =
        (spool.segments.create(1_000).unwrap(), spool.segments.create(1_000).unwrap());
    assert!(open.begin("db", Precision::Seconds) && recycled.begin("db", Precision::Seconds));
    used.iter().for_each(|line| open.append(format!("{line}\n").as_bytes()));
    for n in 0..6 {
        recycled.append(format!("stale f={n}i 1\n").as_bytes());
    }
    recycled.clear();
    assert!(recycled.begin("db", Precision::Seconds));
    again.iter().for_each(|line| recycled.append(format!("{line}\n").as_bytes()));
    let lines: Vec<_> = stored.iter().map(String::as_str).collect();
    let file = sealed(&spool, &lines);
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    // A few of the zeros at the end are enough.
    let bytes = |path: &Path| {
        let bytes = fs::read(path).unwrap();
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0);
        bytes[..bytes.len().min(end + 24)].to_vec()
    };
    let unfinished = bytes(&file.path)[..150].to_vec();
    vec![
        (name(open.path()), bytes(open.path()), used),
        (name(recycled.path()), bytes(recycled.path()), again),
        (name(&file.path), bytes(&file.path), stored),
        ("00000009-3.unfinished".to_owned(), unfinished, Vec::new()),
    ]
}

/// Recovers the slot with other bytes for one file. Returns the result and the names in `damaged/`.
fn found(
    golden: &[(String, Vec<u8>, Vec<String>)],
    changed: usize,
    bytes: &[u8],
) -> (Found, BTreeSet<String>) {
    let root = tempfile::tempdir().unwrap();
    let slot = root.path().join("slots/1-00000000");
    fs::create_dir_all(&slot).unwrap();
    for (index, (name, own, _)) in golden.iter().enumerate() {
        fs::write(slot.join(name), if index == changed { bytes } else { own }).unwrap();
    }
    let found = recover(root.path());
    assert_eq!(names(&root.path().join("slots")), BTreeSet::new(), "{found:?}");
    (found, names(&root.path().join("damaged")))
}

/// Asserts that no line is invented and no line of another file is lost. Returns how many lines of
/// the changed file are missing.
fn missing(golden: &[(String, Vec<u8>, Vec<String>)], changed: usize, found: &Found) -> usize {
    let known: Vec<_> = golden.iter().flat_map(|(_, _, lines)| lines).collect();
    assert!(found.lines.iter().all(|line| known.contains(&line)), "{found:?}");
    let is_missing = |line: &&String| !found.lines.contains(line);
    for (index, (_, _, lines)) in golden.iter().enumerate() {
        assert!(index == changed || !lines.iter().any(|line| is_missing(&line)), "{found:?}");
    }
    golden[changed].2.iter().filter(is_missing).count()
}

#[test]
fn a_flipped_bit_loses_at_most_one_line_and_is_reported() {
    let golden = &golden();
    // The threads mostly wait for the disk.
    thread::scope(|scope| {
        for changed in 0..golden.len() {
            scope.spawn(move || flip_each_bit(golden, changed));
        }
    });
}

fn flip_each_bit(golden: &[(String, Vec<u8>, Vec<String>)], changed: usize) {
    let bytes = &golden[changed].1;
    for bit in 0..8 * bytes.len() {
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let (found, damaged) = found(golden, changed, &bytes);
        let missing = missing(golden, changed, &found);
        assert!(missing <= 1, "{changed} at {bit}: {found:?}");
        // Without its line feed, the last line of a segment looks as if it was being written.
        let is_last_end = golden[changed].1[bit / 8..].starts_with(b"\n\0\0\0\0");
        if missing > 0 && (changed == 2 || !is_last_end) {
            let counted = (found.expected, found.lines.len(), damaged.len());
            assert_eq!(counted, (8, 7, 2), "{changed} at {bit}: {found:?}");
        }
    }
}

/// The quarantine has no checksums, because operators edit it. A flipped bit can open a string that
/// swallows the entries after it.
#[test]
fn a_flipped_bit_in_the_quarantine_loses_no_entry_before_it() {
    let root = tempfile::tempdir().unwrap();
    let lines = ["a f=1 1", "b s=\"x\ny\" 2", "c f=3 3", "d s=\"#\" 4"].map(str::as_bytes);
    let rejected = lines.into_iter().zip(["400: no", "type conflict", "400: no", "too old"]);
    spool(root.path()).quarantine.keep("d b", Precision::Seconds, rejected).unwrap();
    let [file] = &Directory::new(root.path()).quarantine().unwrap()[..] else { panic!() };
    let (entries, bytes) = (file.read().unwrap(), fs::read(&file.path).unwrap());
    let end = |line: &[u8]| memchr::memmem::find(&bytes, line).unwrap() + line.len();
    let ends = lines.map(end);
    assert_eq!(entries.iter().map(|entry| &entry.line[..]).collect::<Vec<_>>(), lines);
    for bit in 0..8 * bytes.len() {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        fs::write(&file.path, &damaged).unwrap();
        let before = ends.iter().filter(|end| **end < bit / 8).count();
        let read = file.read().unwrap();
        assert!(read.starts_with(&entries[..before]) && read.len() <= 5, "bit {bit}: {read:?}");
        // Recovery leaves it alone.
        let found = recover(root.path());
        assert!(found.lines.is_empty() && found.messages.is_empty(), "bit {bit}: {found:?}");
        assert_eq!(fs::read(&file.path).unwrap(), damaged);
    }
}

#[test]
fn a_truncated_file_loses_only_the_lines_that_were_cut_off() {
    let golden = golden();
    for changed in 0..golden.len() {
        let (_, bytes, lines) = &golden[changed];
        for len in 0..bytes.len() {
            let (found, damaged) = found(&golden, changed, &bytes[..len]);
            let text = String::from_utf8_lossy(&bytes[..len]).into_owned();
            let whole = lines.iter().filter(|line| text.contains(&format!("{line}\n"))).count();
            let is_headless = text.matches("sum=").count() == 0 || text.matches('\n').count() == 0;
            let expected = if is_headless { lines.len() } else { lines.len() - whole };
            assert_eq!(
                missing(&golden, changed, &found),
                expected,
                "{changed} cut at {len}: {found:?}"
            );
            if changed == 2 {
                // Every line that its name promises is counted.
                assert_eq!(
                    (found.expected, damaged.len()),
                    (8, if whole < 3 { 2 } else { damaged.len() })
                );
            }
        }
    }
}
