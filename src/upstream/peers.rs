//! How to connect to an endpoint: pingora's peer, made once per endpoint with everything the upstream's table says.

use std::hash::{Hash as _, Hasher as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pingora::protocols::TcpKeepalive;
use pingora::upstreams::peer::HttpPeer;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::client::tls::{self, Trust};
use crate::client::{BrokerTls, Peer};
use crate::endpoint::{HttpVersions, TlsIdentity, UpstreamSpec};

/// Where to connect to: nothing here needs a name to be resolved.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Place {
    Inet(SocketAddr),
    Unix(PathBuf),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Inet(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Why an upstream cannot be connected to at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerProblem {
    #[error("`{}` cannot be read: {why}", .file.display())]
    Unreadable { file: PathBuf, why: String },
    #[error("`{}` holds no certificate in PEM", .file.display())]
    NoCertificate { file: PathBuf },
    #[error("a certificate in `{}` is unusable: {why}", .file.display())]
    BadCertificate { file: PathBuf, why: String },
    #[error("`{}` holds no usable private key in PEM: {why}", .file.display())]
    BadKey { file: PathBuf, why: String },
}

impl PeerProblem {
    /// The file that cannot be used.
    #[must_use]
    pub fn file(&self) -> &Path {
        match self {
            Self::Unreadable { file, .. }
            | Self::NoCertificate { file }
            | Self::BadCertificate { file, .. }
            | Self::BadKey { file, .. } => file,
        }
    }
}

/// Makes the peers of one upstream.
#[derive(Debug)]
pub(super) struct PeerMaker {
    spec: Arc<UpstreamSpec>,
    /// `None`: plain, or nothing that differs from the usual.
    trust: Option<Arc<ClientConfig>>,
    /// Of the certificates and keys when they were read.
    fingerprint: u64,
}

impl PeerMaker {
    /// Reads the certificates that the specification names.
    pub(super) fn new(spec: &Arc<UpstreamSpec>) -> Result<Self, PeerProblem> {
        // First: what changes while the files are read is seen as a change.
        let fingerprint = fingerprint(spec.tls.as_ref());
        let trust = spec.tls.as_ref().map(trust).transpose()?.map(Arc::new);
        Ok(Self { spec: Arc::clone(spec), trust, fingerprint })
    }

    /// Its certificates and keys are those that the files hold now.
    pub(super) fn is_current(&self) -> bool {
        self.fingerprint == fingerprint(self.spec.tls.as_ref())
    }

    /// How a broker is spoken to, where this is one.
    pub(super) fn broker_tls(&self) -> Option<BrokerTls> {
        let (tls, config) = self.spec.tls.as_ref().zip(self.trust.as_ref())?;
        Some(BrokerTls { config: Arc::clone(config), server_name: tls.server_name.clone() })
    }

    /// The peer as the upstream speaks, and the same forced to HTTP/1.1.
    pub(super) fn make(&self, place: &Place) -> (Peer, Peer) {
        let http1 = self.peer(place, HttpVersions::Http1);
        match self.spec.http {
            HttpVersions::Http1 => (http1.clone(), http1),
            versions => (self.peer(place, versions), http1),
        }
    }

    fn peer(&self, place: &Place, versions: HttpVersions) -> Peer {
        let spec = &*self.spec;
        let server_name = spec.tls.as_ref().map_or(String::new(), |tls| tls.server_name.to_string());
        let http = match place {
            Place::Inet(address) => HttpPeer::new(*address, spec.tls.is_some(), server_name),
            Place::Unix(path) => unix_peer(path, spec.tls.is_some(), server_name),
        };
        let mut peer = Peer::new(http, self.trust.clone(), versions);
        peer.tell_clients(spec.proxy_protocol);
        // Pingora's pool does not look at ALPN or the CA: connections of different ones must not be mixed.
        peer.group_key = group(spec, versions, self.fingerprint);
        let options = &mut peer.options;
        // Pingora's default is one stream per connection.
        options.max_h2_streams = 100;
        options.connection_timeout = spec.timeouts.connect;
        options.total_connection_timeout = spec.timeouts.connect;
        // Over HTTP/1 the proxy's watch tells the head's deadline from the pauses of a body; over HTTP/2 there is only this one.
        options.read_timeout = match spec.http {
            HttpVersions::Http1 => None,
            HttpVersions::Http2 | HttpVersions::Auto => longer(spec.timeouts.answer, spec.timeouts.idle),
        };
        options.write_timeout = spec.timeouts.idle;
        options.idle_timeout = Some(spec.keepalive.kept());
        options.tcp_keepalive = matches!(place, Place::Inet(_)).then_some(TcpKeepalive {
            idle: Duration::from_secs(30),
            interval: Duration::from_secs(10),
            count: 3,
            #[cfg(target_os = "linux")]
            user_timeout: Duration::ZERO,
        });
        peer
    }
}

/// A path that no socket address can hold is refused when the file is compiled; here it must not panic.
fn unix_peer(path: &Path, tls: bool, server_name: String) -> HttpPeer {
    HttpPeer::new_uds(&path.to_string_lossy(), tls, server_name.clone()).unwrap_or_else(|_| {
        // Connecting to this one is always refused.
        HttpPeer::new(SocketAddr::from(([127, 0, 0, 1], 0)), tls, server_name)
    })
}

fn group(spec: &UpstreamSpec, versions: HttpVersions, files: u64) -> u64 {
    let UpstreamSpec { name, tls, proxy_protocol, .. } = spec;
    xxh3_64(format!("{name}\0{:?}\0{versions:?}\0{proxy_protocol:?}\0{files}", tls.as_ref()).as_bytes())
}

/// Changes when one of the files does.
fn fingerprint(tls: Option<&TlsIdentity>) -> u64 {
    let mut hasher = Xxh3::new();
    for file in tls.iter().flat_map(|tls| tls.files()) {
        std::fs::read(file).ok().hash(&mut hasher);
    }
    hasher.finish()
}

/// Why an upstream could not be asked with the certificates and keys that its files hold now.
pub fn certificate_problem(tls: &TlsIdentity) -> Option<PeerProblem> {
    tls.files().next()?;
    trust(tls).err()
}

/// How the upstream's certificate is checked, and our own.
fn trust(identity: &TlsIdentity) -> Result<ClientConfig, PeerProblem> {
    let authorities = identity.ca.as_deref().map(read_authorities).transpose()?;
    let trust = Trust { authorities, verify: identity.verify, pins: identity.pins.clone() };
    let client = identity.client.as_ref();
    let own = client.map(|(cert, key)| Ok::<_, PeerProblem>((read_own(cert)?, read_key(key)?))).transpose()?;
    tls::config(trust, own).map_err(|error| {
        // The authorities were looked at one by one: what is left is our key.
        let file = client.map_or_else(PathBuf::new, |(_, key)| key.clone());
        PeerProblem::BadKey { file, why: error.to_string() }
    })
}

/// The certificates of a file of authorities.
fn read_authorities(file: &Path) -> Result<Vec<CertificateDer<'static>>, PeerProblem> {
    let mut store = RootCertStore::empty();
    let certificates = read_certificates(file)?;
    for certificate in &certificates {
        store
            .add(certificate.clone())
            .map_err(|e| PeerProblem::BadCertificate { file: file.into(), why: e.to_string() })?;
    }
    Ok(certificates)
}

fn read_own(cert: &Path) -> Result<Vec<CertificateDer<'static>>, PeerProblem> {
    let certificates = read_certificates(cert)?;
    for certificate in &certificates {
        rustls::server::ParsedCertificate::try_from(certificate)
            .map_err(|e| PeerProblem::BadCertificate { file: cert.into(), why: e.to_string() })?;
    }
    Ok(certificates)
}

fn read_key(key: &Path) -> Result<PrivateKeyDer<'static>, PeerProblem> {
    PrivateKeyDer::from_pem_file(key).map_err(|e| PeerProblem::BadKey { file: key.into(), why: e.to_string() })
}

fn read_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, PeerProblem> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = read.map_err(|e| PeerProblem::Unreadable { file: file.into(), why: e.to_string() })?;
    if certificates.is_empty() {
        return Err(PeerProblem::NoCertificate { file: file.into() });
    }
    Ok(certificates)
}

/// `None` is longer than any.
fn longer(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    Some(one?.max(other?))
}
