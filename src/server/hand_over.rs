//! The sockets pass from a running process to its successor, so that an upgrade refuses no connection.
//!
//! The successor (`run --upgrade`) waits on a socket in the state folder. At SIGQUIT the predecessor sends its listeners
//! there, and one end of a pair of sockets besides, on which the successor says that it serves. Only then does the
//! predecessor stop listening; without that word it stays up.

use std::fs::Permissions;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use pingora::server::{Fds, ListenFds};
use tokio::io::AsyncReadExt;

use crate::live::private_folder;

/// Under this name the pair's other end travels; no listener is called so.
const READY: &str = "ready";
/// A successor reads its file and looks for its upstreams before it serves.
const SUCCESSOR_STARTS: Duration = Duration::from_secs(60);
/// Pingora waits six seconds at a time.
const WAITS: usize = 10;

/// Why the predecessor stays.
#[derive(Debug, thiserror::Error)]
pub enum Stays {
    #[error("no successor waits for the sockets; start one with `run --upgrade`")]
    NobodyWaits,
    #[error("the sockets could not be sent to the successor: {0}")]
    NotSent(io::Error),
    /// The successor took the sockets and ended, or did not serve in time. It listens no more, or it will yet.
    #[error("the successor took the sockets, but does not serve")]
    NotReady,
}

pub fn meeting_place(state_dir: &Path) -> PathBuf {
    state_dir.join("upgrade.sock")
}

/// Sends the listeners to the waiting successor, and waits until it serves.
pub async fn hand_over(state_dir: &Path, listeners: &ListenFds) -> Result<(), Stays> {
    let place = meeting_place(state_dir);
    if !place.exists() {
        return Err(Stays::NobodyWaits);
    }
    let (ours, theirs) = UnixStream::pair().map_err(Stays::NotSent)?;
    let mut table = Fds::new();
    let (names, fds) = listeners.lock().serialize();
    table.deserialize(names, fds);
    table.add(READY.to_owned(), theirs.as_raw_fd());
    let sent = tokio::task::spawn_blocking(move || {
        // Sent while the pair's other end is still open here, closed right after.
        let sent = table.send_to_sock(&*place.to_string_lossy());
        drop(theirs);
        sent
    });
    let sent = sent.await.map_err(|error| Stays::NotSent(io::Error::other(error)))?;
    sent.map_err(|error| Stays::NotSent(io::Error::other(error.to_string())))?;
    ours.set_nonblocking(true).map_err(Stays::NotSent)?;
    let mut ours = tokio::net::UnixStream::from_std(ours).map_err(Stays::NotSent)?;
    match tokio::time::timeout(SUCCESSOR_STARTS, ours.read_u8()).await {
        Ok(Ok(_)) => Ok(()),
        _ => Err(Stays::NotReady),
    }
}

/// The sockets that a successor was given.
#[derive(Default)]
pub struct Inheritance {
    pub listeners: Option<Fds>,
    ready: Option<UnixStream>,
}

impl Inheritance {
    /// Waits for the predecessor's sockets.
    pub fn wait(state_dir: &Path) -> io::Result<Self> {
        private_folder(state_dir)?;
        let place = meeting_place(state_dir);
        let fds = Closing::of(&place, || {
            let place = place.to_string_lossy();
            let mut fds = Fds::new();
            let mut tried = 0;
            while let Err(error) = fds.get_from_sock(&*place) {
                tried += 1;
                if tried >= WAITS {
                    return Err(io::Error::other(error.to_string()));
                }
            }
            Ok(fds)
        })?;
        let ready = fds.get(READY).copied();
        #[expect(unsafe_code, reason = "the descriptor came over a socket")]
        // SAFETY: it was received just now and has no other owner.
        let ready = ready.map(|fd| unsafe { UnixStream::from_raw_fd(fd) });
        let mut listeners = Fds::new();
        let (names, numbers) = fds.serialize();
        for (name, fd) in names.into_iter().zip(numbers).filter(|(name, _)| name != READY) {
            listeners.add(name, fd);
        }
        Ok(Self { listeners: Some(listeners), ready })
    }

    /// Tells the predecessor that it may go.
    pub fn serves(self) {
        if let Some(mut ready) = self.ready
            && let Err(error) = ready.write_all(b"1")
        {
            tracing::warn!(%error, "the predecessor was not told that it may go");
        }
    }
}

/// Pingora gives its socket mode 0777, and every process that connects there gets the listeners.
struct Closing;

impl Closing {
    const LOOK: Duration = Duration::from_millis(5);
    const OPEN: u32 = 0o666;

    /// Closes the socket to others as soon as pingora has opened it, for as long as this takes.
    fn of<T>(place: &Path, wait: impl FnOnce() -> T) -> T {
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Relaxed) {
                    Self::close(place);
                    std::thread::sleep(Self::LOOK);
                }
            });
            let waited = wait();
            done.store(true, Relaxed);
            waited
        })
    }

    fn close(place: &Path) {
        let open = std::fs::metadata(place).is_ok_and(|found| found.mode() & 0o777 == Self::OPEN);
        if open && let Err(error) = std::fs::set_permissions(place, Permissions::from_mode(0o600)) {
            tracing::warn!(%error, "the socket of the hand-over is open to others");
        }
    }
}
