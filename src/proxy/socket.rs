//! What std cannot do with a descriptor: end a connection that another future owns, and ask how much of it arrived.

use std::mem::size_of;
use std::os::fd::RawFd;

/// Makes a pending read or write of a connection end.
#[expect(unsafe_code, reason = "std has no shutdown by descriptor")]
pub fn shut_down(fd: RawFd) {
    if fd < 0 {
        return;
    }
    // SAFETY: the descriptor belongs to a session that the watched future owns; this runs on the same task, while that future
    // does not. A stale number could at worst shut down a socket, never touch memory.
    unsafe {
        libc::shutdown(fd, libc::SHUT_RDWR);
    }
}

/// The same, and what was not sent yet is thrown away: a client that does not read would keep it in memory.
#[expect(unsafe_code, reason = "std has no linger by descriptor")]
pub fn cut_off(fd: RawFd) {
    if fd < 0 {
        return;
    }
    let at_once = libc::linger { l_onoff: 1, l_linger: 0 };
    let length = libc::socklen_t::try_from(size_of::<libc::linger>()).expect("a small structure");
    // SAFETY: as above; the option is valid for its length.
    unsafe {
        libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_LINGER, (&raw const at_once).cast(), length);
    }
    shut_down(fd);
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
