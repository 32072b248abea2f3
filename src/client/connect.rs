//! Makes connections: plain TCP by itself, TLS and Unix sockets with pingora's connector.

use std::io;
use std::net::SocketAddr as InetAddress;
use std::sync::OnceLock;
use std::time::Duration;

use pingora::connectors::TransportConnector;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::upstreams::peer::{HttpPeer, Peer as _};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

use super::Socket;

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

    /// What went wrong underneath, in few words that name nothing behind the proxy.
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
pub async fn connect(peer: &HttpPeer, limit: Option<Duration>) -> Result<Socket, ConnectError> {
    let made = async {
        match (&peer._address, peer.tls()) {
            (SocketAddr::Inet(address), false) => plain(*address).await.map_err(ConnectError::Refused),
            // In a box: a plain connection should not carry the room that a handshake takes.
            _ => Box::pin(through_pingora(peer)).await,
        }
    };
    match limit {
        Some(limit) => tokio::time::timeout(limit, made).await.unwrap_or(Err(ConnectError::Timeout(limit))),
        None => made.await,
    }
}

async fn plain(address: InetAddress) -> io::Result<Socket> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    // A connection whose other end is gone without a word is found while it waits.
    let keepalive =
        TcpKeepalive::new().with_time(Duration::from_secs(30)).with_interval(Duration::from_secs(10)).with_retries(3);
    SockRef::from(&socket).set_tcp_keepalive(&keepalive)?;
    Ok(Socket::Tcp(socket))
}

async fn through_pingora(peer: &HttpPeer) -> Result<Socket, ConnectError> {
    // Made at first use: it reads the machine's certificate authorities.
    static CONNECTOR: OnceLock<TransportConnector> = OnceLock::new();
    let connector = CONNECTOR.get_or_init(|| TransportConnector::new(None));
    Ok(Socket::Stream(connector.new_stream(peer).await?))
}
