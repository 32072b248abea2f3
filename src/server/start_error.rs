//! Why a server does not start, with the remedy.

use super::listen::ListenError;
use crate::fleet::FleetError;
use crate::listener::tls::TlsError;
use crate::live::BadToken;

/// Why a server did not start. Nothing of it is left running.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{0}")]
    Listen(ListenError),
    #[error("cannot set up the metrics: {0}")]
    Metrics(prometheus::Error),
    #[error("cannot open the access log: {0}")]
    Log(std::io::Error),
    #[error("{}", joined(.0))]
    Tls(Vec<TlsError>),
    #[error("cannot read the certificate authorities of this machine: {}", .0.root_cause())]
    Authorities(Box<pingora::Error>),
    #[error("cannot start the threads of copies: {0}")]
    Threads(std::io::Error),
    #[error("{0}")]
    Token(BadToken),
    #[error("cannot join the fleet: {0}")]
    Fleet(FleetError),
}

fn joined(errors: &[TlsError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl StartError {
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Listen(error) => Some(error.help()),
            Self::Token(_) => Some(
                "tokens of the admin listener are given as { env = \"NAME\" } or { file = \"path\" }, and differ".to_owned(),
            ),
            Self::Fleet(_) => Some("look at `etcd` in [fleet]: its URLs, and the files of its certificates and password".to_owned()),
            Self::Metrics(_) => Some("the bounds in [metrics] `buckets` must rise".to_owned()),
            Self::Log(_) => Some("`output` in [logs] must be stdout, stderr, or a path that can be written".to_owned()),
            Self::Tls(_) => {
                Some("put the files that [server.tls] names in place, in PEM: `certificates` with the chain and the key of its first, `client_ca` and `acme.ca` with authorities".to_owned())
            }
            Self::Authorities(_) => {
                Some("SSL_CERT_FILE and SSL_CERT_DIR say where they are, if not where the system keeps them; all must be readable".to_owned())
            }
            Self::Threads(_) => Some("the system refuses more threads: raise its limit (`ulimit -u`)".to_owned()),
        }
    }
}
