//! A connection's socket: TCP as the system has it, or a stream of pingora's (TLS, Unix).

use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd as _, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pingora::protocols::{ALPN, Stream};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// Plain TCP is read and written without the layers that pingora's streams have.
#[derive(Debug)]
pub enum Socket {
    Tcp(TcpStream),
    Stream(Stream),
}

impl Socket {
    /// The descriptor of the socket, for what the system knows of it.
    #[must_use]
    pub fn descriptor(&self) -> RawFd {
        match self {
            Self::Tcp(socket) => socket.as_raw_fd(),
            Self::Stream(stream) => stream.id(),
        }
    }

    /// How long ago the last segment came, to some milliseconds: of a connection that was closed while it waited, the peer's FIN.
    /// `None`: not TCP, or the system does not say.
    #[must_use]
    #[expect(unsafe_code, reason = "std has no TCP_INFO")]
    pub fn silent_for(&self) -> Option<Duration> {
        /// `tcpi_last_ack_recv` in Linux's `struct tcp_info`, which only ever grows at its end.
        const PLACE: usize = 56;
        const NEEDED: usize = PLACE + size_of::<u32>();
        let descriptor = self.descriptor();
        if !cfg!(target_os = "linux") || descriptor < 0 {
            return None;
        }
        let mut info = [0_u8; NEEDED];
        let mut length = libc::socklen_t::try_from(NEEDED).expect("a small structure");
        let buffer = info.as_mut_ptr().cast();
        // SAFETY: the buffer is valid for its length, which the kernel does not exceed.
        let asked = unsafe { libc::getsockopt(descriptor, libc::IPPROTO_TCP, libc::TCP_INFO, buffer, &raw mut length) };
        if asked != 0 || usize::try_from(length).ok()? < NEEDED {
            return None;
        }
        let milliseconds = u32::from_ne_bytes(info[PLACE..NEEDED].try_into().ok()?);
        Some(Duration::from_millis(u64::from(milliseconds)))
    }

    /// A read of plain TCP would find nothing: the thread's driver has heard of no bytes and no end since the last one. Takes no lock,
    /// and leaves no waker behind. `false`: that is not known.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        match self {
            Self::Tcp(socket) => socket.try_io(Interest::READABLE, || Ok(())).is_err(),
            Self::Stream(_) => false,
        }
    }

    #[must_use]
    pub fn is_tls(&self) -> bool {
        match self {
            Self::Tcp(_) => false,
            Self::Stream(stream) => stream.get_ssl_digest().is_some(),
        }
    }

    /// The handshake of TLS has chosen HTTP/2.
    #[must_use]
    pub fn is_http2(&self) -> bool {
        match self {
            Self::Tcp(_) => false,
            Self::Stream(stream) => stream.selected_alpn_proto() == Some(ALPN::H2),
        }
    }
}

impl From<Stream> for Socket {
    fn from(stream: Stream) -> Self {
        Self::Stream(stream)
    }
}

impl From<TcpStream> for Socket {
    fn from(socket: TcpStream) -> Self {
        Self::Tcp(socket)
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_read(cx, buffer),
            Self::Stream(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_write(cx, bytes),
            Self::Stream(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            // A TCP socket holds nothing back.
            Self::Tcp(_) => Poll::Ready(Ok(())),
            Self::Stream(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Stream(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_write_vectored(cx, slices),
            Self::Stream(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(socket) => socket.is_write_vectored(),
            Self::Stream(stream) => stream.is_write_vectored(),
        }
    }
}
