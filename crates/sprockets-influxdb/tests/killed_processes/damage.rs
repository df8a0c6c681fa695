//! Damages files of a spool that no process uses, and predicts which lines that costs. It reads the
//! files by the documented format alone.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// What was damaged.
pub(crate) enum Damage {
    None,
    /// No line may be missing.
    Harmless(&'static str),
    /// These lines may be missing, as writer and number.
    Lines(&'static str, Vec<(String, u32)>),
    /// A file that does not belong to the spool; the caller removes it.
    Stray(PathBuf),
}

/// A line of a file: its position, and its content.
struct Line {
    at: usize,
    len: usize,
    content: Option<(String, u32)>,
}

const MARK: usize = 16;

pub(crate) fn damage(spool: &Path, random: &mut fastrand::Rng) -> Damage {
    let slots: Vec<_> = entries(&spool.join("slots")).collect();
    let is_of_lines =
        |path: &PathBuf| path.extension().is_some_and(|end| end == "open" || end == "lp");
    let files: Vec<_> = slots.iter().flat_map(|slot| entries(slot)).filter(is_of_lines).collect();
    if files.is_empty() {
        return Damage::None;
    }
    let path = &files[random.usize(..files.len())];
    if random.u32(..6) == 0 {
        let stray = path.with_file_name("not of the spool");
        fs::write(&stray, "something else").expect("written");
        return Damage::Stray(stray);
    }
    let mut bytes = fs::read(path).expect("read");
    let Some((headers, lines)) = read(&bytes) else { return Damage::None };
    let end = lines.last().map_or(headers, |line| line.at + line.len);
    let done = match random.u32(..4) {
        0 => {
            bytes[random.usize(..headers / 2 - 1)] ^= 1;
            Damage::Harmless("headers damaged")
        }
        1 => {
            OpenOptions::new()
                .append(true)
                .open(path)
                .and_then(|mut file| file.write_all(b"# an\0unknown mark\n"))
                .expect("written");
            return Damage::Harmless("files made longer");
        }
        2 => {
            let cut = random.usize(headers..=end);
            bytes.truncate(cut);
            let is_cut = |line: &&Line| line.at + line.len > cut;
            let lost = lines.iter().filter(is_cut).filter_map(|line| line.content.clone());
            Damage::Lines("files cut short", lost.collect())
        }
        _ => {
            let Some(line) = random.choice(&lines) else { return Damage::None };
            bytes[line.at + random.usize(..line.len)] ^= 1 << random.u32(..7);
            Damage::Lines("bits flipped", line.content.clone().into_iter().collect())
        }
    };
    fs::write(path, bytes).expect("written");
    done
}

fn entries(directory: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path())
}

/// The length of both headers, and the lines; `None` for a file without headers.
fn read(bytes: &[u8]) -> Option<(usize, Vec<Line>)> {
    let header = bytes.iter().position(|byte| *byte == b'\n')? + 1;
    let headers = 2 * header;
    if bytes.get(..header) != bytes.get(header..headers) {
        return None;
    }
    let mut lines = Vec::new();
    let mut at = headers;
    while let Some(mark) = bytes.get(at..at + MARK).filter(|mark| mark[0] == b'#') {
        let len = std::str::from_utf8(&mark[1..7]).ok();
        let Some(len) = len.and_then(|len| usize::from_str_radix(len, 16).ok()) else { break };
        let Some(line) = bytes.get(at + MARK..at + MARK + len) else { break };
        lines.push(Line { at: at + MARK, len, content: content(&String::from_utf8_lossy(line)) });
        at += MARK + len;
    }
    Some((headers, lines))
}

fn content(line: &str) -> Option<(String, u32)> {
    let (writer, rest) = line.strip_prefix("m,writer=")?.split_once(' ')?;
    let number = rest.strip_prefix("number=")?.split_once('i')?.0;
    Some((writer.to_owned(), number.parse().ok()?))
}
