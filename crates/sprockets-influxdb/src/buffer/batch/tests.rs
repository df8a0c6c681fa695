use super::*;

fn batch(lines: usize) -> Batch {
    let lines: Vec<_> = (0..lines).map(|n| format!("m s=\"{}\n\" {n}", "x".repeat(n))).collect();
    Batch::of("db", &lines.iter().map(String::as_str).collect::<Vec<_>>())
}

fn text(batches: &[Batch]) -> Vec<u8> {
    batches.iter().flat_map(Batch::chunks).collect::<Vec<_>>().concat()
}

#[test]
fn split_keeps_every_line_in_order() {
    for lines in 1..20 {
        let whole = text(&[batch(lines)]);
        let (head, tail) = batch(lines).split();
        assert_eq!(tail.is_none(), lines == 1);
        let parts: Vec<_> = std::iter::once(head).chain(tail).collect();
        assert_eq!(text(&parts), whole);
        assert_eq!(parts.iter().map(Batch::lines).sum::<usize>(), lines);
        assert_eq!(parts.iter().map(Batch::len).sum::<usize>(), whole.len());
        assert!(parts.iter().all(|part| part.lines() > 0));
    }
}

#[test]
fn the_first_line_can_be_dropped_until_none_is_left() {
    let mut batch = batch(5);
    let whole = batch.len();
    let mut dropped = 0;
    for left in (0..5).rev() {
        let (size, _) = batch.drop_first_line();
        dropped += size.bytes;
        assert_eq!((size.lines, batch.lines()), (1, left));
    }
    assert_eq!((dropped, batch.len()), (whole, 0));
    assert_eq!(batch.drop_first_line().0, Size::default());
}

#[test]
fn the_last_line_is_copied_whole() {
    for lines in [1, 2, 7] {
        let last = batch(lines).last_line().unwrap();
        let expected = batch(lines).iter_lines_with_ends().last().unwrap().to_vec();
        assert_eq!((last.lines(), text(&[last])), (1, expected));
    }
    assert!(batch(0).last_line().is_none());
}
