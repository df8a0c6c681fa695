use super::*;

#[test]
fn each_choice_reads_back_its_display() {
    for api in [Api::V1, Api::V2, Api::V3] {
        assert_eq!(api.to_string().parse(), Ok(api));
        assert_eq!(api.to_string().to_uppercase().parse(), Ok(api));
    }
    for (name, precision) in [
        ("ns", Precision::Nanoseconds),
        ("us", Precision::Microseconds),
        ("ms", Precision::Milliseconds),
        ("s", Precision::Seconds),
    ] {
        assert_eq!(precision.to_string(), name);
        assert_eq!(name.parse(), Ok(precision));
    }
    for (name, overflow) in
        [("newest", Overflow::Newest), ("oldest", Overflow::Oldest), ("block", Overflow::Block)]
    {
        assert_eq!(overflow.to_string(), name);
        assert_eq!(name.parse(), Ok(overflow));
    }
}

#[test]
fn an_unknown_choice_names_the_value_and_the_choices() {
    let message = |error: Error| {
        assert!(error.is_configuration());
        error.to_string()
    };
    assert_eq!(
        message("v4".parse::<Api>().unwrap_err()),
        r#""v4" is not an API of InfluxDB: expected v1, v2 or v3"#
    );
    assert_eq!(
        message("h".parse::<Precision>().unwrap_err()),
        r#""h" is not a precision: expected ns, us, ms or s"#
    );
    assert_eq!(
        message("".parse::<Overflow>().unwrap_err()),
        r#""" is not an overflow policy: expected newest, oldest or block"#
    );
}

#[test]
fn the_precision_parameter_fits_the_divisor_on_each_api() {
    let rows = [
        (Precision::Nanoseconds, 1, ["ns", "ns", "nanosecond"]),
        (Precision::Microseconds, 1_000, ["u", "us", "microsecond"]),
        (Precision::Milliseconds, 1_000_000, ["ms", "ms", "millisecond"]),
        (Precision::Seconds, 1_000_000_000, ["s", "s", "second"]),
    ];
    for (precision, divisor, parameters) in rows {
        assert_eq!(precision.divisor(), divisor);
        let apis = [Api::V1, Api::V2, Api::V3];
        assert_eq!(apis.map(|api| precision.parameter(api)), parameters);
    }
}
