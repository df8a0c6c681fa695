//! The certificate that the client shows to servers, and its key.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use ureq::tls::{Certificate, ClientCert, PrivateKey};

use super::pem::{self, Refusal};
use super::types::InForce;
use crate::error::Result;

/// A chain of certificates, the client's own first, and the key of that.
#[derive(Clone)]
pub(crate) struct ClientIdentity {
    der: Arc<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    /// The same, as the HTTP client takes it.
    client_cert: ClientCert,
}

impl ClientIdentity {
    /// Reads the files that two settings name. Without a file of its own, the key is expected in
    /// the file of the certificate. `None` if neither is set.
    ///
    /// # Errors
    ///
    /// A key without a certificate, a file that cannot be read, and a key that cannot be used or
    /// is that of another certificate. The error names the setting, and never shows the key.
    pub(super) fn read(
        certificate: &InForce<Option<PathBuf>>,
        key: &InForce<Option<PathBuf>>,
    ) -> Result<Option<Self>> {
        let Some(certificate_path) = &certificate.value else {
            if key.value.is_none() {
                return Ok(None);
            }
            let problem = "there is no certificate for the key: expected INFLUXDB_CLIENT_CERT \
                           (client_cert) as well";
            return Err(key.source.error(problem));
        };
        let chain = pem::read(
            certificate_path,
            certificate.source,
            "a PEM certificate, and those of its issuers after it",
            |pem| {
                let chain: Vec<_> =
                    CertificateDer::pem_slice_iter(pem)
                        .collect::<Result<_, _>>()
                        .map_err(|error| Refusal::because("has a damaged PEM section", error))?;
                if chain.is_empty() {
                    return Err(Refusal::new("has no PEM certificate in it"));
                }
                Ok(chain)
            },
        )?;
        let (key_path, setting) = match &key.value {
            Some(path) => (path, key.source),
            None => (certificate_path, certificate.source),
        };
        let expected = "the PEM private key of the certificate, not encrypted";
        let (key, http_key) = pem::read(key_path, setting, expected, |pem| {
            let missing = || Refusal::new("has no PEM private key in it that can be read");
            let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| missing())?;
            CertifiedKey::from_der(chain.clone(), key.clone_key(), &default_provider())
                .map_err(|error| Refusal::because("has a key that cannot be used", error))?;
            Ok((key, PrivateKey::from_pem(pem).map_err(|_| missing())?))
        })?;
        let http_chain: Vec<_> =
            chain.iter().map(|link| Certificate::from_der(link).to_owned()).collect();
        let client_cert = ClientCert::new_with_certs(&http_chain, http_key);
        Ok(Some(Self { der: Arc::new((chain, key)), client_cert }))
    }

    /// The chain, and the key.
    #[cfg(feature = "nats")]
    pub(crate) fn der(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        (self.der.0.clone(), self.der.1.clone_key())
    }

    pub(crate) fn client_cert(&self) -> &ClientCert {
        &self.client_cert
    }
}

impl PartialEq for ClientIdentity {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} certificates and a key", self.der.0.len())
    }
}

#[cfg(test)]
mod tests;
