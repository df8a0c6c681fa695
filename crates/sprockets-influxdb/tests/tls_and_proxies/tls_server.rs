//! A TLS server in front of the scripted server, which speaks plain HTTP only, and its
//! certificates.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use base64::prelude::{BASE64_STANDARD, Engine};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use sprockets_influxdb::testing::Server;
use tempfile::TempPath;
use test_support::file;
use test_support::tcp::{listen, read_head};

/// A certificate authority.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
pub(crate) struct Identity {
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "an authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate for a server of this name or address. `change` edits it before it is signed.
    pub(crate) fn identity(
        &self,
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Identity {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "a server");
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Identity { certificate: certificate.der().clone(), key }
    }

    /// Its certificate, in a temporary file.
    pub(crate) fn file(&self) -> TempPath {
        file(self.0.pem())
    }
}

impl Identity {
    /// A self-signed certificate, and a file with it.
    pub(crate) fn self_signed(name: &str, is_ca: IsCa) -> (Self, TempPath) {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.is_ca = is_ca;
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let file = file(certificate.pem());
        (Self { certificate: certificate.der().clone(), key }, file)
    }

    /// Listens with TLS, and passes everything on to the server.
    pub(crate) fn serve_before(self, server: &Server) -> SocketAddr {
        self.serve(server, None)
    }

    /// The same, and demands a certificate that this authority signed.
    pub(crate) fn serve_clients_of(self, authority: &Authority, server: &Server) -> SocketAddr {
        let mut roots = RootCertStore::empty();
        roots.add(authority.0.der().clone()).unwrap();
        let provider = Arc::new(default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        self.serve(server, Some(verifier.build().unwrap()))
    }

    fn serve(self, server: &Server, clients: Option<Arc<dyn ClientCertVerifier>>) -> SocketAddr {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap();
        let config = match clients {
            Some(verifier) => config.with_client_cert_verifier(verifier),
            None => config.with_no_client_auth(),
        };
        let config = config.with_single_cert(vec![self.certificate], key).unwrap();
        let (config, server) = (Arc::new(config), server.address());
        listen(move |client| pass_on(client, config.clone(), server))
    }

    /// Files with the certificate and its key.
    pub(crate) fn files(&self) -> (TempPath, TempPath) {
        let encoded = BASE64_STANDARD.encode(&self.certificate);
        let certificate =
            format!("-----BEGIN CERTIFICATE-----\n{encoded}\n-----END CERTIFICATE-----\n");
        (file(certificate), file(self.key.serialize_pem()))
    }
}

/// Passes on one exchange at a time: a TLS connection cannot be read and written concurrently.
fn pass_on(client: TcpStream, config: Arc<ServerConfig>, server: SocketAddr) -> io::Result<()> {
    let connection = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut client = BufReader::new(StreamOwned::new(connection, client));
    let mut server = BufReader::new(TcpStream::connect(server)?);
    loop {
        let request = read_message(&mut client)?;
        server.get_mut().write_all(&request)?;
        let reply = read_message(&mut server)?;
        client.get_mut().write_all(&reply)?;
    }
}

/// A request or a reply with a `Content-Length`.
fn read_message(from: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let head = read_head(from)?;
    let length = head.to_ascii_lowercase().lines().find_map(|line| {
        line.strip_prefix("content-length: ").map(|length| length.parse::<u64>().unwrap())
    });
    let mut message = head.into_bytes();
    from.take(length.unwrap_or(0)).read_to_end(&mut message)?;
    Ok(message)
}
