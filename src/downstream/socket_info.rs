//! Calls on a socket that std does not have: cut it off without sending the rest, and ask how much of it arrived.

use std::mem::size_of;
use std::os::fd::RawFd;

/// Ends a connection, and what was not sent yet is thrown away: a client that does not read would keep it in memory.
#[expect(unsafe_code, reason = "std has no linger by descriptor")]
pub fn cut_off(fd: RawFd) {
    if fd < 0 {
        return;
    }
    let at_once = libc::linger { l_onoff: 1, l_linger: 0 };
    let length = libc::socklen_t::try_from(size_of::<libc::linger>()).expect("a small structure");
    // SAFETY: the caller owns the socket; the option is valid for its length. A stale number could at worst end another
    // connection, never touch memory.
    unsafe {
        libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_LINGER, (&raw const at_once).cast(), length);
        libc::shutdown(fd, libc::SHUT_RDWR);
    }
}

/// Bytes that the other end has acknowledged; `None` where the system does not say.
#[expect(unsafe_code, reason = "std has no TCP_INFO")]
pub fn acknowledged(fd: RawFd) -> Option<u64> {
    /// `tcpi_bytes_acked` in Linux's `struct tcp_info`, which only ever grows at its end. The crate libc stops before it.
    const PLACE: usize = 120;
    const NEEDED: usize = PLACE + size_of::<u64>();
    if !cfg!(target_os = "linux") || fd < 0 {
        return None;
    }
    let mut info = [0_u8; NEEDED];
    let mut length = libc::socklen_t::try_from(NEEDED).expect("a small structure");
    // SAFETY: the buffer is valid for its length, which the kernel does not exceed.
    let asked =
        unsafe { libc::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_INFO, info.as_mut_ptr().cast(), &raw mut length) };
    if asked != 0 || usize::try_from(length).ok()? < NEEDED {
        return None;
    }
    Some(u64::from_ne_bytes(info[PLACE..NEEDED].try_into().ok()?))
}

/// A client's socket by its descriptor, which is open for as long as the connection is served.
#[derive(Debug, Clone, Copy)]
pub struct Descriptor(pub RawFd);

impl super::http2::SocketState for Descriptor {
    fn acknowledged(&self) -> Option<u64> {
        acknowledged(self.0)
    }

    fn cut_off(&self) {
        cut_off(self.0);
    }
}
