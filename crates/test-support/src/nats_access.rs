//! Access to real nats-servers: certificates, and accounts with their users in operator mode.

use std::fs;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use nkeys::KeyPair;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa};
use serde_json::{Value, json};
use tempfile::{TempDir, TempPath};

use crate::file;
use crate::nats::NatsServers;

/// A server that speaks TLS, with more properties of it, such as `, verify: true`. The directory
/// has the authority (`ca.pem`), and what a client shows of itself (`client.pem`, `client.key`).
pub fn tls_server(properties: &str) -> Option<(NatsServers, TempDir)> {
    let directory = tempfile::tempdir().expect("a directory");
    let key = || rcgen::KeyPair::generate().expect("a key");
    let certificate = |names: &[&str]| {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        CertificateParams::new(names).expect("names")
    };
    let mut authority = certificate(&[]);
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(authority, key()).expect("an authority");
    let write = |name: &str, text: String| {
        let path = directory.path().join(name);
        fs::write(&path, text).expect("written");
        path
    };
    for (name, names) in [("server", &["localhost", "127.0.0.1"][..]), ("client", &["client"])] {
        let key = key();
        let signed = certificate(names).signed_by(&key, &issuer).expect("a certificate");
        write(&format!("{name}.pem"), signed.pem());
        write(&format!("{name}.key"), key.serialize_pem());
    }
    let authority = write("ca.pem", issuer.pem());
    let [certificate, key] = ["server.pem", "server.key"].map(|name| directory.path().join(name));
    let files = format!("cert_file: {certificate:?}, key_file: {key:?}, ca_file: {authority:?}");
    let servers = NatsServers::start_with(1, &format!("tls {{ {files}{properties} }}"))?;
    Some((servers, directory))
}

/// An operator with one account, which may use JetStream without a limit.
pub struct Operator {
    configuration: String,
    account: KeyPair,
}

impl Default for Operator {
    fn default() -> Self {
        Self::new()
    }
}

impl Operator {
    /// Makes keys and signs the operator's and the account's tokens.
    pub fn new() -> Self {
        let [operator, account, system] =
            [KeyPair::new_operator(), KeyPair::new_account(), KeyPair::new_account()];
        let unlimited = |has_jetstream: bool| {
            let names = ["subs", "data", "payload", "imports", "exports", "conn", "leaf"];
            let mut limits: Value =
                names.iter().map(|name| ((*name).to_owned(), json!(-1))).collect();
            limits["wildcards"] = json!(true);
            if has_jetstream {
                for name in ["mem_storage", "disk_storage", "streams", "consumer"] {
                    limits[name] = json!(-1);
                }
            }
            json!({ "type": "account", "version": 2, "limits": limits })
        };
        let of_operator = json!({ "type": "operator", "version": 2 });
        let configuration = format!(
            "operator: {}\nsystem_account: {}\nresolver: MEMORY\n\
             resolver_preload: {{ {}: {}, {}: {} }}",
            token(&operator, &operator, &of_operator, None),
            system.public_key(),
            system.public_key(),
            token(&operator, &system, &unlimited(false), None),
            account.public_key(),
            token(&operator, &account, &unlimited(true), None),
        );
        Self { configuration, account }
    }

    /// For the configuration of a server.
    pub fn configuration(&self) -> &str {
        &self.configuration
    }

    /// The credentials file of a new user of the account. `permissions` may have the properties
    /// `pub` and `sub`; `expires` is in seconds of the epoch.
    pub fn user(&self, permissions: &Value, expires: Option<u64>) -> TempPath {
        let user = KeyPair::new_user();
        let mut claims = json!({
            "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1,
            "pub": {}, "sub": {},
        });
        for (name, value) in permissions.as_object().into_iter().flatten() {
            claims[name] = value.clone();
        }
        let token = token(&self.account, &user, &claims, expires);
        let seed = user.seed().expect("a seed");
        file(format!(
            "-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        ))
    }
}

/// A token about `subject`, signed by `issuer`.
fn token(issuer: &KeyPair, subject: &KeyPair, claims: &Value, expires: Option<u64>) -> String {
    let mut body = json!({
        "jti": subject.public_key(), "iat": 1_700_000_000, "iss": issuer.public_key(),
        "sub": subject.public_key(), "name": "test", "nats": claims,
    });
    if let Some(expires) = expires {
        body["exp"] = json!(expires);
    }
    let head = json!({ "typ": "JWT", "alg": "ed25519-nkey" });
    let [head, body] = [head, body].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string()));
    let text = format!("{head}.{body}");
    let signature = issuer.sign(text.as_bytes()).expect("a signature");
    format!("{text}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}
