use super::*;

fn proxy(server: &str, variables: &[(&str, &str)]) -> Option<String> {
    let lookup = |name: &str| {
        variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    };
    let proxy = for_server(&server.parse().unwrap(), lookup).unwrap();
    proxy.map(|(proxy, _)| format!("{}:{}", proxy.host(), proxy.port()))
}

#[test]
fn the_scheme_chooses_the_variable() {
    let all = [
        ("HTTP_PROXY", "http://plain:1"),
        ("HTTPS_PROXY", "http://tls:2"),
        ("ALL_PROXY", "socks5://any:3"),
    ];
    assert_eq!(proxy("http://db.example:8086", &all).as_deref(), Some("plain:1"));
    assert_eq!(proxy("https://db.example:8086", &all).as_deref(), Some("tls:2"));
    assert_eq!(proxy("https://db.example:8086", &all[2..]).as_deref(), Some("any:3"));
    assert_eq!(
        proxy("http://db.example:8086", &[("HTTP_PROXY", "http://p:1"), ("http_proxy", "q:2")]),
        Some("q:2".into())
    );
    assert_eq!(proxy("http://db.example:8086", &[("HTTP_PROXY", " ")]), None);
    assert_eq!(proxy("http://db.example:8086", &[]), None);
    assert_eq!(
        proxy("http://db.example:8086", &[("HTTP_PROXY", "http://p:1"), ("REQUEST_METHOD", "GET")]),
        None
    );
}

#[test]
fn a_loopback_server_has_no_proxy() {
    let all = [("all_proxy", "http://p:1")];
    for server in [
        "localhost:8086",
        "LOCALHOST",
        "a.localhost",
        "localhost.",
        "127.0.0.1:1",
        "127.9.9.9",
        "[::1]:8086",
    ] {
        assert_eq!(proxy(&format!("http://{server}"), &all), None, "{server}");
    }
    assert!(proxy("http://localhost.example", &all).is_some());
}

#[test]
fn no_proxy_lists_hosts_domains_and_networks() {
    let excepted = |server: &str, no_proxy: &str| {
        proxy(&format!("http://{server}"), &[("ALL_PROXY", "http://p:1"), ("NO_PROXY", no_proxy)])
            .is_none()
    };
    for entry in [
        "*",
        "db.example.com",
        ".example.com",
        "*.example.com",
        "a, Example.COM ,b",
        "x example.com:8086",
    ] {
        assert!(excepted("DB.example.com:8086", entry), "{entry}");
    }
    for entry in [
        "",
        ",",
        ".",
        "notexample.com",
        "example.com:1",
        "b.example.com",
        "ample.com",
        "10.0.0.0/8",
    ] {
        assert!(!excepted("db.example.com:8086", entry), "{entry}");
    }
    for entry in [
        "10.1.2.3",
        "10.0.0.0/8",
        "0.0.0.0/0",
        "10.1.2.3/32",
        "10.1.2.3:8086",
        "fe80::/10,10.1.2.2/31",
    ] {
        assert!(excepted("10.1.2.3:8086", entry), "{entry}");
    }
    for entry in ["10.1.2.4", "11.0.0.0/8", "10.1.2.3/x", "2.3", "::/0"] {
        assert!(!excepted("10.1.2.3:8086", entry), "{entry}");
    }
    assert!(excepted("[fd00::5]:8086", "fd00::/8"));
    assert!(excepted("[fd00::5]:8086", "fd00::5"));
    assert!(!excepted("[fd00::5]:8086", "fe80::/10"));
}

#[test]
fn an_unusable_value_is_named_but_not_shown() {
    let lookup = |name: &str| (name == "https_proxy").then(|| "gopher://u:secret@p".to_owned());
    let error = for_server(&"https://db.example".parse().unwrap(), lookup).unwrap_err().to_string();
    assert!(error.starts_with("https_proxy is not") && !error.contains("secret"), "{error}");
}
