//! Makes connections: TCP or a Unix socket, and TLS over either.

use std::io;
use std::net::SocketAddr as InetAddress;
use std::sync::Arc;
use std::time::Duration;

use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::l4::stream::Stream;
use pingora::protocols::tls::client::handshake;
use pingora::tls::TlsConnector;
use pingora::upstreams::peer::Peer as _;
use rustls::ClientConfig;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

use super::{Peer, Socket};

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("{0}")]
    Refused(#[from] io::Error),
    #[error("no connection within {0:?}")]
    Timeout(Duration),
    #[error("{0}")]
    Tls(String),
}

impl ConnectError {
    /// No descriptor was left for it: no other endpoint could be connected to, either.
    #[must_use]
    pub fn is_out_of_descriptors(&self) -> bool {
        matches!(self, Self::Refused(error) if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)))
    }

    /// A word for faults of this kind.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Timeout(_) => "timeout",
            Self::Tls(_) => "tls",
        }
    }

    /// The underlying fault, in few words that name nothing behind the proxy.
    #[must_use]
    pub fn cause(&self) -> String {
        match self {
            Self::Refused(error) => error.kind().to_string(),
            Self::Timeout(_) => "timed out".to_owned(),
            Self::Tls(_) => "TLS handshake failed".to_owned(),
        }
    }
}

impl From<Box<pingora::Error>> for ConnectError {
    fn from(error: Box<pingora::Error>) -> Self {
        match error.root_cause().downcast_ref::<io::Error>() {
            Some(cause) => Self::Refused(
                cause
                    .raw_os_error()
                    .map_or_else(|| io::Error::new(cause.kind(), cause.to_string()), io::Error::from_raw_os_error),
            ),
            None => Self::Tls(error.to_string()),
        }
    }
}

/// A new connection. `limit` bounds all of it: name resolution is done, so it is the handshakes of TCP and TLS.
pub async fn connect(peer: &Peer, limit: Option<Duration>) -> Result<Socket, ConnectError> {
    let made = async {
        match (&peer._address, peer.tls()) {
            (SocketAddr::Inet(address), None) => Ok(Socket::Tcp(begin(plain(*address).await?, peer).await?)),
            (SocketAddr::Inet(address), Some(tls)) => {
                let socket = begin(plain(*address).await?, peer).await?;
                // In a box: a plain connection should not carry the room that a handshake takes.
                Box::pin(encrypted(socket.into(), tls, peer.sni())).await
            }
            (SocketAddr::Unix(address), tls) => {
                let path = address.as_pathname().ok_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable))?;
                let socket = Stream::from(begin(UnixStream::connect(path).await?, peer).await?);
                match tls {
                    Some(tls) => Box::pin(encrypted(socket, tls, peer.sni())).await,
                    None => Ok(Socket::Stream(Box::new(socket))),
                }
            }
        }
    };
    match limit {
        Some(limit) => tokio::time::timeout(limit, made).await.unwrap_or(Err(ConnectError::Timeout(limit))),
        None => made.await,
    }
}

/// Sends the PROXY header first, if the peer wants one.
async fn begin<S: AsyncWrite + Unpin>(mut socket: S, peer: &Peer) -> io::Result<S> {
    if let Some(header) = peer.proxy_header() {
        socket.write_all(header).await?;
    }
    Ok(socket)
}

async fn plain(address: InetAddress) -> io::Result<TcpStream> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    // Keepalive finds a peer that is gone without a word while the connection waits.
    let keepalive =
        TcpKeepalive::new().with_time(Duration::from_secs(30)).with_interval(Duration::from_secs(10)).with_retries(3);
    SockRef::from(&socket).set_tcp_keepalive(&keepalive)?;
    Ok(socket)
}

async fn encrypted(socket: Stream, tls: &Arc<ClientConfig>, server_name: &str) -> Result<Socket, ConnectError> {
    let stream = handshake(&TlsConnector::from(Arc::clone(tls)), server_name, socket).await?;
    Ok(Socket::Stream(Box::new(stream)))
}
