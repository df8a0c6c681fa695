use std::io::Write;
use std::path::Path;

use rcgen::{CertificateParams, KeyPair};
use tempfile::NamedTempFile;

use super::super::tests::environment;
use super::super::{Config, Server};
use crate::error::Result;

fn file(content: impl AsRef<[u8]>) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(content.as_ref()).unwrap();
    file
}

/// A certificate and its key, in PEM.
fn identity() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["client".to_owned()]).unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn server(certificate: &Path, key: Option<&Path>) -> Result<Server> {
    let mut variables = vec![("INFLUXDB_CLIENT_CERT", certificate.to_str().unwrap())];
    variables.extend(key.map(|key| ("INFLUXDB_CLIENT_KEY", key.to_str().unwrap())));
    Ok(environment(&variables)?.resolve()?.server)
}

#[test]
fn the_key_is_in_a_file_of_its_own_or_beside_the_certificate() {
    let (certificate, key) = identity();
    let (certificate_file, key_file) = (file(&certificate), file(&key));
    let both = file(format!("{certificate}{key}"));
    let apart = server(certificate_file.path(), Some(key_file.path())).unwrap();
    let together = server(both.path(), None).unwrap();
    assert!(apart.identity.is_some() && apart.identity == together.identity);
    assert!(!format!("{apart:?}").contains("BEGIN"), "{apart:?}");
}

#[test]
fn what_cannot_be_used_is_an_error_that_names_the_setting() {
    let (certificate, key) = identity();
    let (certificate_file, key_file) = (file(&certificate), file(&key));
    let another = file(identity().1);
    let encrypted = file(
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAMCAQE=\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    let garbage = file("-----BEGIN PRIVATE KEY-----\nMAMCAQE=\n-----END PRIVATE KEY-----\n");
    for (certificate, key, setting, problem) in [
        (key_file.path(), None, "CERT", "has no PEM certificate in it"),
        (certificate_file.path(), None, "CERT", "has no PEM private key in it"),
        (certificate_file.path(), Some(encrypted.path()), "KEY", "has no PEM private key in it"),
        (certificate_file.path(), Some(garbage.path()), "KEY", "has a key that cannot be used"),
        (certificate_file.path(), Some(another.path()), "KEY", "has a key that cannot be used"),
        (certificate_file.path(), Some(Path::new("/nowhere")), "KEY", "cannot be read"),
        (Path::new("/nowhere"), None, "CERT", "cannot be read"),
    ] {
        let message = server(certificate, key).unwrap_err().to_string();
        let start = format!("INFLUXDB_CLIENT_{setting}: ");
        assert!(message.starts_with(&start) && message.contains(problem), "{message}");
        assert!(message.contains(": expected "), "{message}");
    }
    let message = Config::new().client_key("/key").settings().unwrap_err().to_string();
    assert!(message.starts_with("client_key: there is no certificate for the key"), "{message}");
    assert!(Config::new().client_key("/key").enabled(false).settings().is_ok());
}
