use super::*;

fn secrets(user: &str, password: &str) -> Secrets {
    let mut secrets = Secrets::default();
    secrets.add_basic(user, password);
    secrets
}

#[test]
fn every_form_of_a_secret_is_masked() {
    let password = "pä \"s/s&?w'ord";
    let secrets = secrets("me", password);
    for echo in [
        password.to_owned(),
        "authorization: Basic bWU6cMOkICJzL3MmP3cnb3Jk".to_owned(),
        "Basic%20bWU6cMOkICJzL3MmP3cnb3Jk".to_owned(),
        "/write?u=me&p=p%C3%A4%20%22s%2Fs%26%3Fw%27ord&db=x".to_owned(),
        "/write?u=me&p=p%c3%a4%20%22s%2fs%26%3fw%27ord&db=x".to_owned(),
        "/write?u=me&p=p%C3%A4+%22s%2Fs%26%3Fw%27ord&db=x".to_owned(),
        format!("{password:?}"),
        serde_json::json!({ "request": password }).to_string(),
        "<p>pä &#34;s/s&amp;?w&#39;ord</p>".to_owned(),
        "<p>pä &quot;s/s&amp;?w&#x27;ord</p>".to_owned(),
        BASE64_STANDARD.encode(password),
    ] {
        let shown = sanitize(&echo, &secrets);
        assert!(shown.contains(MASK), "{echo}: {shown}");
        for part in ["w'ord", "w%27ord", "w&#", "cMOk", "cnb3Jk"] {
            assert!(!shown.contains(part), "{echo}: {shown}");
        }
    }
}

#[test]
fn a_secret_is_masked_before_the_text_is_cut() {
    let secrets = secrets("me", "hunter2hunter2");
    let text = format!("{}hunter2hunter2", "x".repeat(LIMIT - 5));
    let shown = sanitize(&text, &secrets);
    assert!(shown.ends_with("xx***") && !shown.contains("hunter"), "{shown}");
}

#[test]
fn a_very_short_secret_is_masked_only_where_it_stands_alone() {
    let secrets = secrets("u", "p");
    assert_eq!(sanitize("partial: p=p&x", &secrets), "partial: ***=***&x");
    assert_eq!(sanitize("partial", &secrets), "partial");
}

#[test]
fn without_secrets_a_text_becomes_one_short_line() {
    let none = Secrets::default();
    assert_eq!(sanitize(" a\u{1}b\r\nc\u{9b}\t", &none), "a b  c ");
    assert_eq!(sanitize(&"é".repeat(1000), &none), format!("{}…", "é".repeat(LIMIT)));
    assert_eq!(format!("{:?}", secrets("u", "hunter2")), MASK);
    assert!(secrets("u", "").forms.is_empty());
}
