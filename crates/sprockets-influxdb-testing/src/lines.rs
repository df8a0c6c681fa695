//! Where the lines of a body begin and end.

/// The lines of a body that are neither blank nor comments, numbered from 1.
pub(crate) fn lines(body: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut rest = body;
    let mut number = 0;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let (line, remainder) = rest.split_at(line_end(rest));
            rest = remainder.get(1..).unwrap_or_default();
            if !line.iter().all(|&byte| byte == b' ') && !is_comment(line) {
                number += 1;
                return Some((number, line));
            }
        }
        None
    })
}

fn is_comment(line: &[u8]) -> bool {
    line.iter().find(|&&byte| byte != b' ') == Some(&b'#')
}

/// Where the first line ends: at a line feed that is neither escaped nor in a quoted string.
fn line_end(text: &[u8]) -> usize {
    enum In {
        Key,
        FieldKey,
        FieldValue,
        String,
    }
    let comment = is_comment(text);
    let mut place = In::Key;
    let mut bytes = text.iter().enumerate();
    while let Some((index, byte)) = bytes.next() {
        place = match (byte, place) {
            (b'\n', In::String) => In::String,
            (b'\n', _) => return index,
            (_, place) if comment => place,
            (b'\\', place) => {
                bytes.next();
                place
            }
            (b'"', In::FieldValue) => In::String,
            (b'"', In::String) => In::FieldValue,
            (_, In::String) => In::String,
            (b' ', _) => In::FieldKey,
            (b'=', In::FieldKey) => In::FieldValue,
            (b',', In::FieldValue) => In::FieldKey,
            (_, place) => place,
        };
    }
    text.len()
}

#[cfg(test)]
mod tests;
