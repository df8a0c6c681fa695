use super::*;

fn parsed(text: &str) -> WriteUrl {
    WriteUrl::parse(text).unwrap()
}

#[test]
fn a_url_is_split_into_its_parts() {
    let url = parsed(" HTTPS://me:p%40ss%3A%2f@Db.example.com:8087/a/b?x=1&y ");
    assert_eq!(url.scheme, Scheme::Https);
    assert_eq!(url.host, "Db.example.com");
    assert_eq!(url.port, Some(8087));
    assert_eq!(url.path.as_deref(), Some("/a/b"));
    assert_eq!(url.query.as_deref(), Some("x=1&y"));
    assert_eq!(url.user.as_deref(), Some("me"));
    assert_eq!(url.password.as_ref().map(Secret::expose), Some("p@ss:/"));
}

#[test]
fn missing_parts_of_a_url_are_none() {
    for text in ["http://db", "http://db/", "http://db:", "http://@db/?", "http://:@db?"] {
        let url = parsed(text);
        assert_eq!((url.host.as_str(), url.port), ("db", None), "{text}");
        assert_eq!(
            (url.path, url.query, url.user, url.password),
            (None, None, None, None),
            "{text}"
        );
    }
    assert_eq!(parsed("http://db?a=1").query.as_deref(), Some("a=1"));
}

#[test]
fn ipv6_hosts_are_read_and_bracketed() {
    let url = parsed("http://[::1]:8086/write");
    assert_eq!((url.host.as_str(), url.port), ("[::1]", Some(8086)));
    assert_eq!(parsed("http://[2001:DB8::1]").host, "[2001:db8::1]");
    assert_eq!(host("::1").as_deref(), Some("[::1]"));
    assert_eq!(host("[::1]").as_deref(), Some("[::1]"));
}

#[test]
fn only_host_names_and_addresses_are_hosts() {
    for good in ["localhost", "db-1.example.com", "influx_db", "10.0.0.1", "db.example.com."] {
        assert_eq!(host(good).as_deref(), Some(good));
        assert!(format!("http://{good}:8086/write").parse::<Uri>().is_ok(), "{good}");
    }
    for bad in [
        "",
        "a b",
        "db:8086",
        "http://db",
        "db/x",
        "me@db",
        "[db]",
        "[::1",
        "::1]",
        "[::1]:80",
        "d\u{f6}",
        "a%b",
    ] {
        assert_eq!(host(bad), None, "{bad}");
    }
}

#[test]
fn loopback_hosts_are_recognized() {
    let loopback = [
        "localhost",
        "LOCALHOST.",
        "db.localhost",
        "127.0.0.1",
        "127.8.9.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
    ];
    for host in loopback {
        assert!(is_loopback(host), "{host}");
    }
    for host in
        ["localhost.example.com", "notlocalhost", "10.0.0.1", "128.0.0.1", "[::2]", "0.0.0.0"]
    {
        assert!(!is_loopback(host), "{host}");
    }
}

#[test]
fn the_refusal_of_a_url_says_what_is_wrong() {
    let rows = [
        ("", "has no scheme"),
        ("localhost:8086", "has no scheme"),
        ("/write", "has no scheme"),
        ("ftp://db", "has an unknown scheme"),
        ("http+unix://db", "has an unknown scheme"),
        ("://db", "has an unknown scheme"),
        ("http://", "has no host"),
        ("http:///write", "has no host"),
        ("http://:8086", "has no host"),
        ("http://me:pw@", "has no host"),
        ("http://db#there", "has a fragment"),
        ("http://db:80a86", "has a bad port"),
        ("http://db:+80", "has a bad port"),
        ("http://db:0", "has a bad port"),
        ("http://db:65536", "has a bad port"),
        ("http://[::1]:x", "has a bad port"),
        ("http://::1:8086", "has a bad host"),
        ("http://[::1", "has a bad host"),
        ("http://[::1]8086", "has a bad host"),
        ("http://[db]", "has a bad host"),
        ("http://a b", "has a bad host"),
        ("http://d\u{f6}ner", "has a bad host"),
        ("http://me:%ff@db", "has bad credentials"),
        ("http://me%3Ayou:pw@db", "has a bad user name"),
        ("http://db/a b", "holds a character that a URL cannot hold"),
        ("http://db/\u{1}", "holds a character that a URL cannot hold"),
    ];
    for (text, problem) in rows {
        let refusal = WriteUrl::parse(text).expect_err(text);
        assert!(refusal.contains(problem), "{text}: {refusal}");
        assert!(refusal.contains(": expected "), "{text}: {refusal}");
    }
}

#[test]
fn no_form_of_a_url_shows_its_secrets() {
    let bad = [
        "ftp://me:hunter2@db",
        "me:hunter2@db:8086",
        "me:hunter2://@db",
        "http://me:hunter2@db:x",
        "http://me:hunter2#@db",
        "http://me:hunter2/@db",
        "http://me:hunter2?@db",
        "http://me:hunter2/x@y@db:x",
        "http://me:hunter2@a b",
        "http%3A%2F%2Fme:hunter2%40db",
        "http://me:hunter2%40db",
        "http://db:x/?p=hunter2",
        "http://db:x/?u=me&hunter2",
        "http://db/ ?token=hunter2#",
        "http://me:hunter2%ff@db",
    ];
    for text in bad {
        let refusal = WriteUrl::parse(text).expect_err(text);
        assert!(!refusal.contains("hunter2"), "{refusal}");
    }
    let url = parsed("http://me:hunter2@db:8086/w?key=hunter2&db=plain&hunter2&p=hunter2");
    assert_eq!(format!("{url:?}"), "***@ http://db:8086/w?key=***&db=plain&***");
}

#[test]
fn credentials_in_the_query_become_those_of_the_header() {
    let credentials = |text: &str| {
        let url = parsed(text);
        let password = url.password.as_ref().map(|password| password.expose().to_owned());
        (url.user, password, url.query)
    };
    let all = |user: &str, password: &str, query: Option<&str>| {
        (Some(user.to_owned()), Some(password.to_owned()), query.map(str::to_owned))
    };
    assert_eq!(credentials("http://db?u=me&p=a%26b&rp=x"), all("me", "a&b", Some("rp=x")));
    assert_eq!(credentials("http://db/write?p=pw&u=me"), all("me", "pw", None));
    assert_eq!(credentials("http://you:own@db?u=me&p=pw"), all("you", "own", None));
    assert_eq!(credentials("http://db/write?p=pw"), all("token", "pw", None));
    let refused = WriteUrl::parse("http://db?u=a:hunter2&p=hunter2").unwrap_err();
    assert!(refused.contains("bad user name") && !refused.contains("hunter2"), "{refused}");
}

#[test]
fn values_that_may_be_secrets_are_told_from_others() {
    let values: Vec<_> =
        crate::config::secret_values("rp=x&key=a%26b&db=plain&hunter2&e=").collect();
    assert_eq!(values, ["a&b", "hunter2"]);
}
