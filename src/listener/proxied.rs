//! The PROXY header in front of a client's bytes: read from peers that are trusted, and from no other.

use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::{Buf as _, BytesMut};
use pingora::protocols::Stream;
use pingora::protocols::l4::stream::Stream as Unencrypted;

use crate::client::Socket;
use crate::client::read::poll_append;
use crate::compile::ProxyProtocol;
use crate::downstream::Timer;
use crate::message::{ProxiedAddresses, ProxyHeader};

/// Read at once: a header is short, and what comes with it is given back.
const PIECE: usize = 4096;

/// The front of a connection: its header, if there was one.
#[derive(Debug, Default)]
pub struct Front {
    /// The addresses that the header names; `None`: there was none, or it names none.
    pub addresses: Option<ProxiedAddresses>,
    /// The bytes that were read behind it.
    pub unread: BytesMut,
}

/// Why the connection is not served.
#[derive(Debug)]
pub enum NoFront {
    /// There is no header where one must be, or it cannot be read, or its sender is not trusted.
    Refused,
    /// It did not come in time. `begun`: a part of it did.
    TooLate { begun: bool },
    /// The peer has left.
    Closed,
}

/// Reads the header of a connection, within `limit`.
pub async fn receive(
    socket: &mut Socket,
    rule: ProxyProtocol,
    trusted: bool,
    limit: Option<Duration>,
) -> Result<Front, NoFront> {
    if !trusted {
        // The peer's bytes are read as a request, and a header is none.
        return if rule == ProxyProtocol::Require { Err(NoFront::Refused) } else { Ok(Front::default()) };
    }
    let mut unread = BytesMut::new();
    let mut timer = Timer::default();
    let due = limit.map(|limit| Instant::now() + limit);
    poll_fn(|cx| {
        loop {
            match ProxyHeader::read(&unread) {
                ProxyHeader::Incomplete => {}
                ProxyHeader::Absent if rule == ProxyProtocol::Accept => {
                    return Poll::Ready(Ok(Front { addresses: None, unread: std::mem::take(&mut unread) }));
                }
                ProxyHeader::Absent | ProxyHeader::Malformed => return Poll::Ready(Err(NoFront::Refused)),
                ProxyHeader::Whole { length, addresses } => {
                    unread.advance(length);
                    return Poll::Ready(Ok(Front { addresses, unread: std::mem::take(&mut unread) }));
                }
            }
            match poll_append(cx, socket, &mut unread, PIECE) {
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(_) => return Poll::Ready(Err(NoFront::Closed)),
                Poll::Pending => {
                    return timer.poll(cx, due).map(|()| Err(NoFront::TooLate { begun: !unread.is_empty() }));
                }
            }
        }
    })
    .await
}

/// Gives back what was read ahead of a handshake of TLS. `None`: the stream is not one of a socket.
pub fn give_back(stream: Stream, unread: &[u8]) -> Option<Stream> {
    if unread.is_empty() {
        return Some(stream);
    }
    let mut stream = stream.into_any().downcast::<Unencrypted>().ok()?;
    stream.rewind(unread);
    Some(stream)
}

/// Both ends of the connection, as the system knows them.
pub fn own(stream: &Stream) -> Option<ProxiedAddresses> {
    let digest = stream.get_socket_digest()?;
    let (source, destination) = (digest.peer_addr()?.as_inet()?, digest.local_addr()?.as_inet()?);
    Some(ProxiedAddresses::new(*source, *destination))
}

/// The address of the other end; `None`: a Unix socket.
pub fn peer(stream: &Stream) -> Option<IpAddr> {
    let digest = stream.get_socket_digest()?;
    digest.peer_addr()?.as_inet().map(SocketAddr::ip)
}
