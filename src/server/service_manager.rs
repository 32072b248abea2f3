//! Notifications to systemd (readiness, reloads, the watchdog) and the sockets that it hands over.

use std::env;
use std::os::fd::RawFd;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

/// The first socket that systemd hands over (`sd_listen_fds(3)`).
const FIRST_SOCKET: RawFd = 3;

/// Says something to the service manager, if there is one (`sd_notify(3)`). A failed notification is only logged: the
/// server works without.
pub fn notify(what: &str) {
    let Some(path) = env::var_os("NOTIFY_SOCKET") else { return };
    let Ok(socket) = UnixDatagram::unbound() else { return };
    let path = path.to_string_lossy();
    let sent = match path.strip_prefix('@') {
        #[cfg(target_os = "linux")]
        Some(name) => {
            use std::os::linux::net::SocketAddrExt;
            std::os::unix::net::SocketAddr::from_abstract_name(name)
                .and_then(|address| socket.send_to_addr(what.as_bytes(), &address))
        }
        _ => socket.send_to(what.as_bytes(), &*path),
    };
    if let Err(error) = sent {
        tracing::debug!(%error, "the service manager was not told");
    }
}

/// Half the time after which the service manager takes us for dead; `None`: it does not look.
pub fn watchdog() -> Option<Duration> {
    let ours = env::var("WATCHDOG_PID").map_or(Ok(std::process::id()), |pid| pid.parse());
    if ours != Ok(std::process::id()) {
        return None;
    }
    let microseconds: u64 = env::var("WATCHDOG_USEC").ok()?.parse().ok()?;
    Some(Duration::from_micros(microseconds / 2)).filter(|pause| !pause.is_zero())
}

/// The sockets that systemd listens on for us.
pub fn sockets() -> Vec<RawFd> {
    let ours = env::var("LISTEN_PID").is_ok_and(|pid| pid.parse() == Ok(std::process::id()));
    let count: RawFd = env::var("LISTEN_FDS").ok().and_then(|count| count.parse().ok()).filter(|_| ours).unwrap_or(0);
    (FIRST_SOCKET..FIRST_SOCKET + count.clamp(0, 64)).collect()
}

/// Monotonic microseconds, which systemd wants beside `RELOADING=1`.
#[expect(unsafe_code, reason = "std does not tell the clock's number")]
pub fn monotonic_microseconds() -> i64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure is valid and only written to.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec * 1_000_000 + now.tv_nsec / 1000
}
