//! Text from outside, made fit for a log.

/// As much of a text as is kept, in characters: servers repeat what users sent.
const LIMIT: usize = 500;

/// A text for a log: one line, not too long.
pub(super) fn sanitize(text: &str) -> String {
    let mut characters = text.trim().chars();
    let mut clean: String =
        characters.by_ref().take(LIMIT).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if characters.next().is_some() {
        clean.push('…');
    }
    clean
}
