//! TLS before the scripted server, which speaks plain HTTP only; and the certificates for it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use sprockets_influxdb::testing::Server;
use tempfile::TempPath;

/// A certificate authority.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// What a server shows, and proves that it is its own.
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

    /// For a server of that name or address; changed before it is signed.
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

    /// Its certificate, in a file that is gone when this is dropped.
    pub(crate) fn file(&self) -> TempPath {
        file(&self.0.pem())
    }
}

impl Identity {
    /// One that vouches for itself, and the file with its certificate.
    pub(crate) fn self_signed(name: &str, is_ca: IsCa) -> (Self, TempPath) {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.is_ca = is_ca;
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let file = file(&certificate.pem());
        (Self { certificate: certificate.der().clone(), key }, file)
    }

    /// Listens with TLS, and passes on what it is sent, until the test ends.
    pub(crate) fn stand_before(self, server: &Server) -> SocketAddr {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate], key)
            .unwrap();
        let (config, server) = (Arc::new(config), server.address());
        listen(move |client| pass_on(client, config.clone(), server))
    }
}

pub(crate) fn file(content: &str) -> TempPath {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(content.as_bytes()).unwrap();
    file.into_temp_path()
}

/// Serves each connection on a thread of its own. One that fails is one that the client has ended.
pub(crate) fn listen(
    serve: impl Fn(TcpStream) -> io::Result<()> + Clone + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let serve = serve.clone();
            thread::spawn(move || serve(stream.unwrap()));
        }
    });
    address
}

/// One exchange after the other: a TLS connection cannot be read and written at the same time.
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

/// A request or a reply, whose length is announced.
fn read_message(from: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let head = read_head(from)?;
    let length = head.to_ascii_lowercase().lines().find_map(|line| {
        line.strip_prefix("content-length: ").map(|length| length.parse::<u64>().unwrap())
    });
    let mut message = head.into_bytes();
    from.take(length.unwrap_or(0)).read_to_end(&mut message)?;
    Ok(message)
}

/// As far as the empty line.
pub(crate) fn read_head(from: &mut impl BufRead) -> io::Result<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if from.read_line(&mut head)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(head)
}
