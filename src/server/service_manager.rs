//! Notifications to systemd (readiness, reloads, the watchdog) and the sockets that it hands over.

use std::os::fd::RawFd;
use std::time::Duration;

pub use sd_notify::NotifyState;

/// Says something to the service manager, if there is one (`sd_notify(3)`). A failed notification is only logged: the
/// server works without.
pub fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager was not told");
    }
}

/// A reload begins. The service manager wants the time beside it.
pub fn notify_reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "the service manager was not told of a reload"),
    }
}

/// Half the time after which the service manager takes us for dead; `None`: it does not look.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2).filter(|pause| !pause.is_zero())
}

/// The sockets that systemd listens on for us (`sd_listen_fds(3)`).
pub fn sockets() -> Vec<RawFd> {
    match sd_notify::listen_fds() {
        Ok(sockets) => sockets.collect(),
        Err(error) => {
            tracing::warn!(%error, "the service manager's sockets cannot be used");
            Vec::new()
        }
    }
}
