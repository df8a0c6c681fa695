use super::*;

#[test]
fn the_table_is_in_the_order_of_the_attributes() {
    for (index, (attribute, ..)) in NAMES.into_iter().enumerate() {
        assert_eq!(attribute as usize, index);
    }
}

#[test]
fn an_attribute_that_is_left_out_has_no_name() {
    let mut attributes = Attributes::new(Names::Sprockets);
    attributes.leave_out(Attributes::find("remote_ip").unwrap());
    attributes.leave_out(Attributes::find("http.route").unwrap());
    assert_eq!(attributes.name(Attribute::RemoteIp), None);
    assert_eq!(attributes.name(Attribute::Endpoint), None);
    assert_eq!(attributes.name(Attribute::Duration), Some("duration"));
    assert_eq!(Attributes::find("ip"), None);
}

#[test]
fn only_recorded_attributes_occupy_a_name() {
    let mut attributes = Attributes::new(Names::OpenTelemetry);
    attributes.leave_out(Attribute::Exception);
    assert!(attributes.has_name("http.route"));
    assert!(!attributes.has_name("endpoint"));
    assert!(!attributes.has_name("error.type"));
}

#[test]
fn only_remote_ip_and_correlation_id_can_become_tags() {
    let mut attributes = Attributes::new(Names::Sprockets);
    assert!(!attributes.is_tag(Attribute::RemoteIp));
    attributes.make_tag(Attribute::RemoteIp);
    attributes.make_tag(Attribute::Duration);
    assert!(attributes.is_tag(Attribute::RemoteIp));
    assert!(!attributes.is_tag(Attribute::Duration));
}

#[test]
fn a_text_is_truncated_between_characters() {
    assert_eq!(truncate("short"), "short");
    assert_eq!(truncate(&"ü".repeat(300)), "ü".repeat(256));
}

#[test]
fn unknown_methods_share_one_value() {
    let ours = Attributes::new(Names::Sprockets);
    assert_eq!(ours.method("PATCH"), "PATCH");
    assert_eq!(ours.method("patch"), "(unknown)");
    assert_eq!(Attributes::new(Names::OpenTelemetry).method("PROPFIND"), "_OTHER");
}
