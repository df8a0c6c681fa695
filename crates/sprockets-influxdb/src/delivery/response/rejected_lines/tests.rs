use super::*;

fn named(lines: &[(usize, &str)]) -> Option<Vec<(usize, String)>> {
    Some(lines.iter().map(|(index, reason)| (*index, (*reason).to_owned())).collect())
}

#[test]
fn lines_are_found_by_their_text() {
    let batch = Batch::of(
        "db",
        &["m f=x 1", "m s=\"it's: a\nlong 'one': here\",f=x 2", "m f=1 3", "m f=x 4", "m f=x 4"],
    );
    let text = "unable to parse 'm f=x 1': invalid number\n\
                unable to parse 'm s=\"it's: a\nlong 'one': here\",f=x 2': invalid\nnumber";
    assert_eq!(by_text(text, &batch), named(&[(0, "invalid number"), (1, "invalid\nnumber")]));
    assert_eq!(count_entries(text), 2);

    let twice = "unable to parse 'm f=x 4': a\nunable to parse 'm f=x 4': b";
    assert_eq!(by_text(twice, &batch), named(&[(3, "a"), (4, "b")]));
    assert_eq!(by_text(&format!("{twice}\nunable to parse 'm f=x 4': c"), &batch), None);

    assert_eq!(by_text("unable to parse 'm f=y 1': invalid number", &batch), None);
    assert_eq!(by_text("unable to parse 'm f=x 1", &batch), None);
    assert_eq!(by_text("unable to parse 'm f=x 1': one\nunable to parse 'm f", &batch), None);
    assert_eq!(by_text("", &batch), None);
}

#[test]
fn a_text_that_could_be_two_lines_names_none() {
    let batch = Batch::of("db", &["m,t=a f=x", "m,t=a f=x': z"]);
    assert_eq!(by_text("unable to parse 'm,t=a f=x': z': reason", &batch), None);
}

#[test]
fn lines_are_found_by_their_number() {
    let batch = Batch::of("db", &["a f=1", "b f=1", "c f=1"]);
    let numbers =
        |numbers: &[u64]| by_number(numbers.iter().map(|n| (*n, format!("bad {n}"))), &batch);
    assert_eq!(numbers(&[3, 1, 3]), named(&[(0, "bad 1"), (2, "bad 3")]));
    assert_eq!(numbers(&[0]), None);
    assert_eq!(numbers(&[2, 4]), None);
    assert_eq!(numbers(&[u64::MAX]), None);
    assert_eq!(numbers(&[]), None);
}
