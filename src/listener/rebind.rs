//! A connection is watched by the thread that serves it.
//!
//! Pingora accepts on one thread and serves on any of them, and leaves the socket with the reactor of the one that accepted
//! it: that thread would be woken for each arrival, only to wake the one that waits for it.

use std::os::fd::{AsRawFd as _, BorrowedFd};

use pingora::protocols::l4::stream::Stream as Unencrypted;
use pingora::protocols::{GetSocketDigest as _, SocketDigest, Stream};

use crate::client::Socket;

/// The connection as one of the runtime that this is called on. A connection that cannot be moved stays where it is.
pub fn rebind(stream: Stream) -> Stream {
    if !stream.as_any().is::<Unencrypted>() {
        return stream;
    }
    let stream = stream.into_any().downcast::<Unencrypted>().expect("its kind was looked at");
    match again(&stream) {
        Ok(again) => Box::new(again),
        Err(error) => {
            // Out of descriptors, for example: it works as well, if not as fast.
            tracing::debug!(%error, "a connection stays with the thread that accepted it");
            stream
        }
    }
}

/// The socket of a connection without TLS, as one of the runtime that this is called on. A socket that cannot be moved
/// stays as it is.
pub fn plain(stream: Stream) -> Socket {
    match stream.as_any().downcast_ref::<Unencrypted>().map(duplicate) {
        Some(Ok(socket)) => Socket::Tcp(socket),
        Some(Err(error)) => {
            tracing::debug!(%error, "a connection stays with the thread that accepted it");
            Socket::Stream(stream)
        }
        None => Socket::Stream(stream),
    }
}

fn duplicate(stream: &Unencrypted) -> std::io::Result<tokio::net::TcpStream> {
    #[expect(unsafe_code, reason = "pingora's stream lends no descriptor that says how long it lives")]
    // SAFETY: the stream owns the descriptor, and is borrowed for longer than this is.
    let socket = unsafe { BorrowedFd::borrow_raw(stream.as_raw_fd()) };
    tokio::net::TcpStream::from_std(std::net::TcpStream::from(socket.try_clone_to_owned()?))
}

/// The same socket under another descriptor, with the options that it has.
fn again(stream: &Unencrypted) -> std::io::Result<Unencrypted> {
    let mut again = Unencrypted::from(duplicate(stream)?);
    let digest = SocketDigest::from_raw_fd(again.as_raw_fd());
    if let Some(peer) = stream.get_socket_digest().and_then(|digest| digest.peer_addr().cloned()) {
        drop(digest.peer_addr.set(Some(peer)));
    }
    again.set_socket_digest(digest);
    Ok(again)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::runtime::{Builder, Runtime};

    use super::*;

    fn runtime() -> Runtime {
        Builder::new_current_thread().enable_io().build().expect("a runtime")
    }

    #[test]
    fn a_connection_goes_on_when_the_thread_that_accepted_it_is_gone() {
        let (accepting, serving) = (runtime(), runtime());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let mut client = std::net::TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
        let stream = accepting.block_on(async {
            listener.set_nonblocking(true).expect("a socket can be told");
            let listener = tokio::net::TcpListener::from_std(listener).expect("a runtime");
            Unencrypted::from(listener.accept().await.expect("a client came").0)
        });
        let mut stream: Stream = serving.block_on(async { rebind(Box::new(stream)) });
        drop(accepting);
        client.write_all(b"hello").expect("it is taken");
        let echo = serving.block_on(async {
            let mut said = [0; 5];
            stream.read_exact(&mut said).await?;
            stream.write_all(&said).await?;
            stream.flush().await
        });
        echo.expect("it is served");
        let mut heard = [0; 5];
        client.read_exact(&mut heard).expect("it is heard");
        assert_eq!(&heard, b"hello");
        let peer = stream.get_socket_digest().and_then(|digest| digest.peer_addr().cloned());
        let peer = peer.and_then(|peer| peer.as_inet().copied());
        assert_eq!(peer, client.local_addr().ok());
    }
}
