use flate2::read::GzDecoder;

use super::*;

fn read(body: &Body, batch: &Batch) -> Vec<u8> {
    let (mut bytes, mut reader) = (Vec::new(), body.reader(batch));
    reader.read_to_end(&mut bytes).unwrap();
    assert_eq!(reader.taken(), body.length());
    assert_eq!(bytes.len() as u64, body.length());
    bytes
}

#[test]
fn a_plain_body_is_the_chunks_in_order() {
    let batch = Batch::of("db", &["m f=1 1", "m f=2 2", "m f=3 3"]);
    let body = Body::of(&batch, true);
    assert!(!body.is_compressed());
    assert_eq!(read(&body, &batch), b"m f=1 1\nm f=2 2\nm f=3 3\n");
    assert_eq!(read(&body, &batch), b"m f=1 1\nm f=2 2\nm f=3 3\n");
}

#[test]
fn a_large_body_is_compressed_as_one_member() {
    let lines = ["m,tag=value f=1 1"; 100];
    let batch = Batch::of("db", &lines);
    assert!(!Body::of(&batch, false).is_compressed());
    let body = Body::of(&batch, true);
    assert!(body.is_compressed());
    let mut plain = String::new();
    GzDecoder::new(read(&body, &batch).as_slice()).read_to_string(&mut plain).unwrap();
    assert_eq!(plain, lines.map(|line| format!("{line}\n")).concat());
}

#[test]
fn an_empty_batch_has_an_empty_body() {
    let batch = Batch::of("db", &[]);
    assert_eq!(read(&Body::of(&batch, true), &batch), b"");
}
