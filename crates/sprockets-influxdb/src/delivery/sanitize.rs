//! Makes text from outside fit for a log.

/// The characters of a text that are kept. Servers echo what users sent.
const LIMIT: usize = 500;

/// One line without control characters, and not too long.
pub(super) fn sanitize(text: &str) -> String {
    let mut characters = text.trim().chars();
    let kept = characters.by_ref().take(LIMIT);
    let mut line: String = kept.map(|c| if c.is_control() { ' ' } else { c }).collect();
    if characters.next().is_some() {
        line.push('…');
    }
    line
}
