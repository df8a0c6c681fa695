//! Replies that echo our lines, are cut short, or are made to do harm.

use super::*;

#[test]
fn text_that_echoes_our_lines_decides_nothing() {
    let bad = "m,t=partial\\ write s=\"hinted handoff queue not empty, database is required\",f=";
    let batch = Batch::of("nope", &[bad, "m f=1"]);
    let body = v1(&format!("unable to parse '{bad}': missing field value"));
    for status in [400, 500] {
        let found = classify(&reply(Api::V1, status, &body), &batch).disposition;
        let expected = rejected(lines(&[(0, "missing field value")]), false);
        assert_eq!(without_reason(found), expected, "{status}");
    }
}

#[test]
fn a_body_cut_short_names_no_lines() {
    let whole = v1("partial write: unable to parse 'm f= 2': missing field value\n\
         unable to parse 'm f=3i 4': odd");
    assert_eq!(
        disposition(&reply(Api::V1, 400, &whole)),
        rejected(lines(&[(1, "missing field value"), (3, "odd")]), true)
    );
    for end in 30..whole.len() - 1 {
        let cut = Reply { truncated: true, ..reply(Api::V1, 400, &whole[..end]) };
        assert_eq!(disposition(&cut), rejected(none(), true), "{end}");
        // The end of the connection may be all that tells.
        let closed = Reply { truncated: false, ..cut };
        assert!(matches!(
            disposition(&closed),
            Disposition::Rejected(Rejection { rest_stored: true, .. })
        ));
    }
    let headers = headers([(
        "x-influxdb-error",
        b"partial write: unable to parse 'm f= 2': missing field value dropped=0",
    )]);
    let only_header = Reply { headers: &headers, ..reply(Api::V1, 400, "") };
    assert_eq!(disposition(&only_header), rejected(none(), true));
}

#[test]
fn hostile_replies_do_not_panic() {
    let batch = Batch::of("nope", &LINES);
    let pieces: [&[u8]; 24] = [
        b"{\"error\":\"",
        b"{\"message\":",
        b"\"data\":[",
        b"\"data\":{\"line_number\":",
        b"\"line\":",
        b"\"line_number\":18446744073709551615",
        b"partial write: ",
        b"unable to parse '",
        b"m f= 2",
        b"': ",
        b"\n",
        b"\\n",
        b"\\u12",
        b"\\xzz",
        b" dropped=",
        b"99999999999999999999999",
        b"field type conflict: input field \"",
        b"\" on measurement \"",
        b"\" is type ",
        b", already exists as type ",
        b"\xff\xfe\x00",
        b"requestURI: ",
        b"(and ",
        b" other parse error",
    ];
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..20_000 {
        let mut body = Vec::new();
        for _ in 0..random.usize(..12) {
            match random.u8(..4) {
                0 => body.extend(std::iter::repeat_with(|| random.u8(..)).take(5)),
                _ => body.extend_from_slice(pieces[random.usize(..pieces.len())]),
            }
        }
        let mut headers = HeaderMap::new();
        if let (true, Ok(value)) = (random.bool(), HeaderValue::from_bytes(&body)) {
            for name in ["x-influxdb-error", "retry-after", "location", "server"] {
                headers.insert(name, value.clone());
            }
        }
        let api = [Api::V1, Api::V2, Api::V3][random.usize(..3)];
        let reply = Reply {
            body: if random.bool() { &body } else { b"" },
            headers: &headers,
            truncated: random.bool(),
            ..reply(api, random.u16(..700), "")
        };
        let answer = classify(&reply, &batch);
        assert!(answer.disposition.reason().chars().count() < 800);
        let is_known = headers.contains_key("x-influxdb-error");
        let is_confirmed = reply.status == 204
            || (200..300).contains(&reply.status) && is_known && reply.is_empty();
        assert_eq!(answer.disposition == Disposition::Delivered, is_confirmed, "{reply:?}");
    }
    let bombs = [
        b"[".repeat(1 << 20),
        b"{\"error\":".repeat(1 << 17),
        [b"{\"error\":\"", "unable to parse 'm f= 2': ".repeat(1 << 15).as_bytes(), b"\"}"]
            .concat(),
        [b"{\"error\":\"unable to parse '", "': ".repeat(1 << 18).as_bytes(), b"\"}"].concat(),
        [b"{\"error\":\"", "unable to parse '\\n".repeat(1 << 15).as_bytes(), b"\"}"].concat(),
        b"\"'".repeat(1 << 20),
    ];
    for bomb in &bombs {
        classify(&Reply { body: bomb, ..reply(Api::V1, 400, "") }, &batch);
    }
}
