//! The certificate authorities of `ca_file`.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use ureq::tls::Certificate;

use super::mask::quoted;
use super::types::Source;
use crate::error::{Cause, Result};

/// The largest bundles in use have a quarter of a megabyte.
const MAX_BYTES: u64 = 16 << 20;

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
        let read = read_bounded(path).map_err(|error| Refusal {
            problem: format!("cannot be read ({error})"),
            cause: error.get_ref().is_none().then(|| Arc::new(error) as Cause),
        });
        read.and_then(|pem| Self::parse(&pem)).map_err(|refusal| {
            let path = quoted(&path.to_string_lossy());
            let problem = refusal.problem;
            let error = setting.error(format!("{path} {problem}: expected PEM certificates"));
            error.caused_by(refusal.cause)
        })
    }

    fn parse(pem: &[u8]) -> Result<Self, Refusal> {
        let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Arc<_>, _>>();
        let certificates =
            certificates.map_err(|error| Refusal::because("has a damaged PEM section", error))?;
        if certificates.is_empty() {
            return Err(Refusal { problem: "has no PEM certificate in it".into(), cause: None });
        }
        let mut roots = RootCertStore::empty();
        for certificate in certificates.iter() {
            roots.add(certificate.clone()).map_err(|error| {
                Refusal::because("has a certificate that cannot be a root", error)
            })?;
        }
        Ok(Self(certificates))
    }

    /// The certificates, as the HTTP client takes them.
    pub(crate) fn certificates(&self) -> Vec<Certificate<'static>> {
        self.0.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect()
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

/// Why a file cannot be used.
struct Refusal {
    problem: String,
    cause: Option<Cause>,
}

impl Refusal {
    fn because(problem: &str, cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self { problem: format!("{problem} ({cause})"), cause: Some(Arc::new(cause)) }
    }
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    // Not the metadata of an open file: opening a named pipe waits for its writer.
    if !path.metadata()?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut pem = Vec::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut pem)?;
    if pem.len() as u64 > MAX_BYTES {
        return Err(io::Error::other("it is larger than 16 MiB"));
    }
    Ok(pem)
}

#[cfg(test)]
mod tests;
