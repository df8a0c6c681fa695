//! Which certificate authorities are trusted, and what a failed handshake says about the
//! configuration.

use std::io;

use rustls::pki_types::CertificateDer;
use rustls::{AlertDescription, CertificateError, InvalidMessage};

use super::sanitize::{Secrets, sanitize};
use crate::config::{Authorities, Names};

/// The platform's roots and these. Reads hundreds of files: for sender threads only. `Err` is a
/// reason.
pub(super) fn roots(
    extra: &Authorities,
    names: &Names,
) -> Result<Vec<CertificateDer<'static>>, String> {
    let found = rustls_native_certs::load_native_certs();
    let roots: Vec<_> = found.certs.into_iter().chain(extra.der()).collect();
    if !roots.is_empty() {
        return Ok(roots);
    }
    let ca_file = names.ca_file;
    let advice = format!(
        "this machine has no certificate authorities: install ca-certificates, or set {ca_file}"
    );
    let errors: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
    Err(if errors.is_empty() { advice } else { format!("{advice} ({})", errors.join("; ")) })
}

/// What an operator has to change, if `error` is a handshake that can never succeed as it is.
/// `plain` is the scheme of a server without TLS.
pub(super) fn refusal(
    error: &io::Error,
    peer: &str,
    plain: &str,
    names: &Names,
    secrets: &Secrets,
) -> Option<String> {
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    let shown = sanitize(&error.to_string(), secrets);
    match error {
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            Some(format!("the server at {peer} does not speak TLS: {}", names.use_scheme(plain)))
        }
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => Some(format!(
            "the certificate of {peer} is for another name, which {} cannot mend: correct {}, or \
             the certificate ({shown})",
            names.ca_file,
            names.host()
        )),
        rustls::Error::InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        ) => Some(format!(
            "the certificate of {peer} is not valid today, or this machine's clock is wrong \
             ({shown})"
        )),
        // What `openssl req -x509` makes, and rustls does not take. It has no variant of its own.
        rustls::Error::InvalidCertificate(CertificateError::Other(why))
            if why.to_string() == "CaUsedAsEndEntity" =>
        {
            Some(format!(
                "the certificate of {peer} is that of an authority, which no server may show: \
                 make one with basicConstraints=CA:FALSE ({shown})"
            ))
        }
        rustls::Error::InvalidCertificate(_) => Some(format!(
            "the certificate of {peer} is not trusted: set {} to the authority that signed it \
             ({shown})",
            names.ca_file
        )),
        rustls::Error::AlertReceived(alert) if is_about_identity(*alert) => {
            Some(format!("no TLS with {peer}: {}; {shown}", names.rejected_identity()))
        }
        rustls::Error::AlertReceived(_)
        | rustls::Error::PeerIncompatible(_)
        | rustls::Error::NoCertificatesPresented
        | rustls::Error::UnsupportedNameType => Some(format!("no TLS with {peer}: {shown}")),
        _ => None,
    }
}

/// Whether a server may say this about the client's certificate.
fn is_about_identity(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::AccessDenied
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRequired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::DecryptError
            | AlertDescription::HandshakeFailure
            | AlertDescription::UnknownCA
            | AlertDescription::UnsupportedCertificate
    )
}

#[cfg(test)]
mod tests {
    use rustls::PeerIncompatible;

    use super::*;
    use crate::config::Config;

    #[test]
    fn what_can_never_succeed_says_what_to_change() {
        let names = Config::new().resolve().unwrap().server.names;
        let refusal = |error| {
            let error = io::Error::new(io::ErrorKind::InvalidData, error);
            refusal(&error, "db:8086", "http", &names, &Secrets::default()).unwrap_or_default()
        };
        let rows = [
            (
                rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType),
                "INFLUXDB_SCHEME=http",
            ),
            (
                rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer),
                "set INFLUXDB_CA_FILE",
            ),
            (rustls::Error::InvalidCertificate(CertificateError::Expired), "this machine's clock"),
            (
                rustls::Error::InvalidCertificate(CertificateError::NotValidForName),
                "correct INFLUXDB_HOST",
            ),
            (
                rustls::Error::AlertReceived(AlertDescription::CertificateRequired),
                "a certificate of the client: set INFLUXDB_CLIENT_CERT and INFLUXDB_CLIENT_KEY",
            ),
            (
                rustls::Error::AlertReceived(AlertDescription::ProtocolVersion),
                "no TLS with db:8086",
            ),
            (
                rustls::Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered),
                "no TLS with db:8086",
            ),
        ];
        for (error, advice) in rows {
            let reason = refusal(error);
            assert!(reason.contains(advice) && reason.contains("db:8086"), "{reason}");
        }
        assert_eq!(refusal(rustls::Error::DecryptError), "");
        let reset = io::ErrorKind::ConnectionReset.into();
        let none = Secrets::default();
        assert_eq!(super::refusal(&reset, "db:8086", "http", &names, &none), None);
    }
}
