//! The certificate authorities of `ca_file`.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::pem::{self, Refusal};
use super::types::Source;
use crate::error::Result;

/// Certificates to trust beside the platform's. Each can be a root.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Authorities(Arc<[CertificateDer<'static>]>);

impl Authorities {
    /// Reads a PEM file.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, or with a certificate that cannot be a root. The error names
    /// the setting.
    pub(super) fn read(path: &Path, setting: Source) -> Result<Self> {
        pem::read(path, setting, "PEM certificates", Self::parse)
    }

    fn parse(pem: &[u8]) -> Result<Self, Refusal> {
        let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Arc<_>, _>>();
        let certificates =
            certificates.map_err(|error| Refusal::because("has a damaged PEM section", error))?;
        if certificates.is_empty() {
            return Err(Refusal::new("has no PEM certificate in it"));
        }
        let mut roots = RootCertStore::empty();
        for certificate in certificates.iter() {
            roots.add(certificate.clone()).map_err(|error| {
                Refusal::because("has a certificate that cannot be a root", error)
            })?;
        }
        Ok(Self(certificates))
    }

    /// The certificates in DER.
    pub(crate) fn der(&self) -> impl Iterator<Item = CertificateDer<'static>> {
        self.0.iter().cloned()
    }

    #[cfg(test)]
    pub(crate) fn of_pem(pem: &str) -> Self {
        Self::parse(pem.as_bytes()).ok().expect("PEM certificates")
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} certificates", self.0.len())
    }
}

#[cfg(test)]
mod tests;
