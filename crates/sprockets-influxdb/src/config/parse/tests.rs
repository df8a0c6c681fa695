use super::*;

#[test]
fn booleans_are_read_in_any_case() {
    for text in ["true", "TRUE", "True", "1", "yes", "Yes", "on", " on\n"] {
        assert_eq!(BOOLEAN.read(text), Ok(true), "{text}");
    }
    for text in ["false", "FALSE", "False", "0", "no", "No", "off", "OFF"] {
        assert_eq!(BOOLEAN.read(text), Ok(false), "{text}");
    }
}

#[test]
fn a_refusal_names_the_value_and_what_is_expected() {
    assert_eq!(
        PORT.read("80a86").unwrap_err(),
        r#""80a86" is not a port: expected a whole number from 1 to 65535"#
    );
    assert_eq!(
        PROBABILITY.check(f64::NAN).unwrap_err(),
        "NaN is not a probability: expected a number from 0 to 1"
    );
    let refusal = SIZE.read(&"9".repeat(10_000)).unwrap_err();
    assert!(refusal.len() < 400, "{refusal}");
}

#[test]
fn limits_are_exact() {
    assert_eq!(PORT.read("65535"), Ok(65535));
    assert!(PORT.read("65536").is_err());
    assert!(PORT.read("0").is_err());
    assert_eq!(CLIENTS.check(1024), Ok(1024));
    assert!(CLIENTS.check(1025).is_err());
    assert_eq!(SIZE.check(isize::MAX as usize), Ok(isize::MAX as usize));
    assert!(SIZE.check(usize::MAX).is_err());
    assert!(SIZE.expected.ends_with(&isize::MAX.to_string()));
    assert_eq!(WAIT.read("0"), Ok(Duration::ZERO));
    assert!(TIMEOUT.read("0").is_err());
    assert_eq!(INTERVAL.check(MAX_DURATION), Ok(MAX_DURATION));
    assert!(INTERVAL.check(MAX_DURATION + Duration::from_nanos(1)).is_err());
    assert!(INTERVAL.check(Duration::MAX).is_err());
    for parser in [&INTERVAL, &TIMEOUT, &WAIT] {
        assert!(parser.expected.contains(&MAX_DURATION.as_millis().to_string()));
    }
}
