//! A pipe of the kernel through which a long body passes from one socket to another: its bytes are never copied into this program.

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, splice};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// A shorter rest of a body is read and written: a pipe costs system calls of its own.
pub const SHORTEST: u64 = 64 * 1024;
/// Empty pipes that a thread keeps.
const SPARE: usize = 4;

/// How many pipes there may be. Each has two descriptors.
static MOST: AtomicUsize = AtomicUsize::new(0);
static OPEN: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static EMPTY: RefCell<Vec<Ends>> = const { RefCell::new(Vec::new()) };
}

/// Sets how many pipes there may be: none before the first call.
pub fn allow(most: usize) {
    MOST.store(most, Relaxed);
}

#[derive(Debug)]
struct Ends {
    read: OwnedFd,
    write: OwnedFd,
}

impl Ends {
    /// `None`: there are enough, or the system gives no more.
    fn open() -> Option<Self> {
        if OPEN.fetch_add(1, Relaxed) < MOST.load(Relaxed)
            && let Ok((read, write)) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)
        {
            return Some(Self { read, write });
        }
        OPEN.fetch_sub(1, Relaxed);
        None
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Relaxed);
    }
}

/// A pipe, and how many bytes are in it.
#[derive(Debug)]
pub struct Pipe {
    /// `None` only while it is dropped.
    ends: Option<Ends>,
    length: usize,
}

impl Pipe {
    /// An empty one. `None`: the body has to be read and written.
    #[must_use]
    pub fn empty() -> Option<Self> {
        let ends = EMPTY.with_borrow_mut(Vec::pop).or_else(Ends::open)?;
        Some(Self { ends: Some(ends), length: 0 })
    }

    /// Bytes that are in it.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.length
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    fn ends(&self) -> &Ends {
        self.ends.as_ref().expect("a pipe has its ends until it is dropped")
    }

    /// Takes at most `most` bytes that came on the socket; the pipe must be empty, so that only the socket can be waited for.
    /// Ready: how many; 0 is the end.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>, socket: &TcpStream, most: u64) -> Poll<io::Result<usize>> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        loop {
            ready!(socket.poll_read_ready(cx))?;
            let moved = socket.try_io(Interest::READABLE, || {
                let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
                Ok(splice(socket, None, &self.ends().write, None, most, flags)?)
            });
            match moved {
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                moved => {
                    self.length = *moved.as_ref().unwrap_or(&0);
                    return Poll::Ready(moved);
                }
            }
        }
    }

    /// Sends the bytes in the pipe. Ready: it is empty. `moved` is set when some left.
    pub fn poll_drain(&mut self, cx: &mut Context<'_>, socket: &TcpStream, moved: &mut bool) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            ready!(socket.poll_write_ready(cx))?;
            let sent = socket.try_io(Interest::WRITABLE, || {
                let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
                Ok(splice(&self.ends().read, None, socket, None, self.length, flags)?)
            });
            match sent {
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(length) => {
                    self.length -= length;
                    *moved = true;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        // One that still holds bytes of an exchange is closed with them.
        if self.is_empty()
            && let Some(ends) = self.ends.take()
        {
            EMPTY.with_borrow_mut(|empty| {
                if empty.len() < SPARE {
                    empty.push(ends);
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    async fn connected() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
        (near.expect("connected"), far.expect("accepted").0)
    }

    #[tokio::test]
    async fn a_body_passes_byte_for_byte_and_the_bytes_behind_it_stay_in_the_socket() {
        allow(1);
        let body: Vec<u8> = (0..3_000_017_u32).flat_map(u32::to_le_bytes).collect();
        let ((mut origin, from), (to, mut client)) = (connected().await, connected().await);
        let sent = body.clone();
        let sender = tokio::spawn(async move {
            origin.write_all(&sent).await.expect("it is read");
            origin.write_all(b"behind").await.expect("it is read");
            origin
        });
        let length = body.len();
        let receiver = tokio::spawn(async move {
            let mut came = vec![0; length];
            client.read_exact(&mut came).await.expect("it is sent");
            came
        });
        let mut pipe = Pipe::empty().expect("one is allowed");
        assert!(Pipe::empty().is_none(), "and not two");
        let mut left = length as u64;
        while left > 0 {
            let filled = std::future::poll_fn(|cx| pipe.poll_fill(cx, &from, left)).await.expect("it comes");
            assert!(filled > 0, "it has not ended");
            left -= filled as u64;
            std::future::poll_fn(|cx| pipe.poll_drain(cx, &to, &mut false)).await.expect("it is taken");
        }
        assert!(receiver.await.expect("no panic") == body);
        let mut from = from;
        let mut behind = [0; 6];
        from.read_exact(&mut behind).await.expect("it is there");
        assert_eq!(&behind, b"behind");
        drop(pipe);
        let mut pipe = Pipe::empty().expect("an empty one is used again");
        drop(sender.await.expect("no panic"));
        assert_eq!(std::future::poll_fn(|cx| pipe.poll_fill(cx, &from, 9)).await.expect("it ends"), 0);
    }
}
