use super::super::Config;
use super::super::tests::environment;

fn names(config: &Config) -> Vec<String> {
    let tags = config.resolve().unwrap().values.base_tags.value;
    tags.into_iter()
        .map(|(name, value)| if name == "hostname" { name } else { format!("{name}={value}") })
        .collect()
}

#[test]
fn base_tags_are_hostname_environment_and_the_users_in_order() {
    assert_eq!(names(&Config::new()), ["hostname"]);
    let config = environment(&[("ENVIRONMENT", "testing")]).unwrap();
    let config = config.base_tags([("b", "1"), ("a", "2")]).base_tag("b", "3");
    assert_eq!(names(&config), ["hostname", "environment=testing", "b=3", "a=2"]);
    let config = config.base_tag("environment", "mine").base_tag("hostname", "mine");
    assert_eq!(names(&config), ["hostname", "environment=mine", "b=3", "a=2"]);
    assert_eq!(config.resolve().unwrap().values.base_tags.value.iter().next().unwrap().1, "mine");
    assert_eq!(names(&Config::new().tag_hostname(false)), [""; 0]);
    let off = environment(&[("INFLUXDB_TAG_HOSTNAME", "off")]).unwrap();
    assert_eq!(names(&off), [""; 0]);
    assert_eq!(names(&off.tag_hostname(true)), ["hostname"]);
}

#[test]
fn a_trigger_size_beyond_the_buffer_is_lowered_with_a_warning() {
    let config = Config::new().trigger_size(60_000);
    let settings = config.resolve().unwrap();
    assert_eq!(settings.values.trigger_size.value, 25_000);
    assert_eq!(
        settings.warnings,
        ["the trigger size is lowered from 60000 to 25000, the most that the buffer holds"]
    );
    let settings = config.max_buffer_size(60_000).resolve().unwrap();
    assert_eq!((settings.values.trigger_size.value, settings.warnings.len()), (60_000, 0));
    let settings = Config::new().max_buffer_size(10).resolve().unwrap();
    assert_eq!((settings.values.trigger_size.value, settings.warnings.len()), (10, 1));
}
