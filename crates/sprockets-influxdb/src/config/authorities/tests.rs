use std::error::Error as _;
use std::path::PathBuf;
use std::{fs, io};

use rcgen::{CertificateParams, KeyPair};

use super::super::pem::MAX_BYTES;
use super::*;
use crate::config::tests::environment;
use crate::config::{Config, Server};

/// A file that is removed at the end of the test.
struct TemporaryFile(PathBuf);

impl TemporaryFile {
    fn new(name: &str, content: impl AsRef<[u8]>) -> Self {
        let name = format!("sprockets-influxdb-{}-{name}.pem", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, content).unwrap();
        Self(path)
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn certificate() -> String {
    let params = CertificateParams::new(vec!["test".to_owned()]).unwrap();
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
}

fn server(config: &Config) -> Server {
    config.resolve().unwrap().server
}

#[test]
fn only_a_file_of_certificates_that_can_be_roots_is_accepted() {
    let certificate = certificate();
    let key = "-----BEGIN PRIVATE KEY-----\nMAMCAQE=\n-----END PRIVATE KEY-----\n";
    let several = format!("# a comment\n{key}{certificate}{certificate}");
    for (count, content) in [(1, certificate.as_str()), (2, &several)] {
        let authorities = Authorities::parse(content.as_bytes()).ok().unwrap();
        assert_eq!(authorities.der().count(), count);
    }
    for (content, problem) in [
        ("", "has no PEM certificate in it"),
        ("not a certificate", "has no PEM certificate in it"),
        (key, "has no PEM certificate in it"),
        ("-----BEGIN CERTIFICATE-----\nMAMCAQE=\n", "has a damaged PEM section ("),
        (
            "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
            "has a damaged PEM section (",
        ),
        (
            "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n",
            "has a certificate that cannot be a root (",
        ),
    ] {
        let file = TemporaryFile::new("refused", content);
        let error = Config::new().ca_file(&file.0).resolve().unwrap_err().to_string();
        let path = file.0.display();
        assert!(error.starts_with(&format!("ca_file: \"{path}\" {problem}")), "{error}");
        assert!(error.ends_with(": expected PEM certificates"), "{error}");
    }
}

#[test]
fn an_unreadable_file_is_an_error_with_its_cause() {
    let config = Config::new().ca_file("/nowhere/ca.pem");
    let error = config.resolve().unwrap_err();
    assert!(error.to_string().starts_with(r#"ca_file: "/nowhere/ca.pem" cannot be read ("#));
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    assert_eq!(cause.map(io::Error::kind), Some(io::ErrorKind::NotFound));

    let folder = std::env::temp_dir();
    let error = Config::new().ca_file(&folder).resolve().unwrap_err().to_string();
    assert!(error.contains("cannot be read (it is not a file)"), "{error}");

    let large = TemporaryFile::new("large", "");
    fs::File::options().write(true).open(&large.0).unwrap().set_len(MAX_BYTES + 1).unwrap();
    let error = Config::new().ca_file(&large.0).resolve().unwrap_err().to_string();
    assert!(error.contains("cannot be read (it is larger than 16 MiB)"), "{error}");
}

#[test]
fn the_error_names_what_provided_the_file() {
    let variable = [("INFLUXDB_CA_FILE", "/nowhere/ca.pem")];
    let error = environment(&variable).unwrap_err().to_string();
    assert!(error.starts_with("INFLUXDB_CA_FILE: \"/nowhere/ca.pem\" "), "{error}");
    let error = crate::Client::new(Config::new().ca_file("/nowhere/ca.pem")).unwrap_err();
    assert!(error.to_string().starts_with("ca_file: \"/nowhere/ca.pem\" "), "{error}");
}

#[test]
fn a_disabled_client_does_not_read_the_file() {
    let config = Config::new().enabled(false).ca_file("/nowhere/ca.pem");
    assert_eq!(server(&config).authorities, Authorities::default());
    let client = crate::Client::new(config).unwrap();
    let error = client.reconfigure(|config| config.enabled(true)).unwrap_err();
    assert!(error.to_string().starts_with("ca_file: "), "{error}");
}

#[test]
fn the_file_is_read_each_time_that_the_configuration_is_resolved() {
    let file = TemporaryFile::new("renewed", certificate());
    let config = Config::new().ca_file(&file.0);
    let before = server(&config);
    assert_eq!(server(&config), before);
    fs::write(&file.0, certificate()).unwrap();
    assert!(server(&config) != before);
    fs::remove_file(&file.0).unwrap();
    assert!(config.resolve().unwrap_err().to_string().starts_with("ca_file: "));
}
