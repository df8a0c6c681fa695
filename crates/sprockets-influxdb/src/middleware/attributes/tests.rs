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
fn a_name_is_either_always_a_tag_or_always_a_field() {
    let mut kinds = std::collections::BTreeMap::new();
    for names in [Names::Sprockets, Names::OpenTelemetry] {
        for is_tag in [false, true] {
            let mut attributes = Attributes::new(names);
            for (attribute, ..) in NAMES {
                if is_tag {
                    attributes.make_tag(attribute);
                }
                let name = attributes.name(attribute).expect("recorded");
                let kind = (attribute, attributes.is_tag(attribute));
                assert_eq!(*kinds.entry(name).or_insert(kind), kind, "{name}");
                assert!(attributes.has_name(name));
                assert_eq!(Attributes::find(name), Some(attribute));
            }
        }
    }
    assert_eq!(kinds["remote_ip"], (Attribute::RemoteIp, true));
    assert_eq!(kinds["client_ip"], (Attribute::RemoteIp, false));
    assert_eq!(kinds["client.address"], (Attribute::RemoteIp, false));
    assert_eq!(kinds["correlation_id"], (Attribute::CorrelationId, true));
    assert_eq!(kinds["request_id"], (Attribute::CorrelationId, false));
    assert_eq!(kinds["request.id"], (Attribute::CorrelationId, false));
}

#[test]
fn what_is_left_out_is_no_tag_either() {
    let mut attributes = Attributes::new(Names::Sprockets);
    attributes.leave_out(Attribute::RemoteIp);
    attributes.make_tag(Attribute::RemoteIp);
    assert_eq!(attributes.name(Attribute::RemoteIp), None);
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
