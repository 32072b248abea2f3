//! Binds the listeners before anything else starts, so that a port in use is a message and not a half-started program.

use std::borrow::Cow;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::{FromRawFd, IntoRawFd};
use std::sync::Arc;

use parking_lot::Mutex;
use pingora::server::{Fds, ListenFds};

/// A listener that could not be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {}", reason(.cause))]
pub struct ListenError {
    pub address: String,
    pub cause: io::Error,
}

fn reason(cause: &io::Error) -> Cow<'static, str> {
    Cow::Borrowed(match cause.kind() {
        io::ErrorKind::AddrInUse => "the address is in use by another program",
        io::ErrorKind::PermissionDenied => "not permitted",
        io::ErrorKind::AddrNotAvailable => "this machine has no such address",
        _ => return Cow::Owned(cause.to_string()),
    })
}

impl ListenError {
    /// The remedy.
    pub fn help(&self) -> String {
        match self.cause.kind() {
            io::ErrorKind::AddrInUse => {
                "stop that program, or choose another port (`listen` and `admin` in [server], or --listen)".to_owned()
            }
            io::ErrorKind::PermissionDenied => {
                "choose a port above 1023, or give the program the right: setcap cap_net_bind_service=+ep".to_owned()
            }
            _ => "write an address of this machine and a port, such as 127.0.0.1:8080".to_owned(),
        }
    }
}

/// Sockets that listen, by the address at which they do: several may be written alike, with port 0.
pub struct Bound {
    fds: Fds,
    inherited: Fds,
}

impl Bound {
    pub fn new() -> Self {
        Self::inheriting(Fds::new())
    }

    /// Listens with these sockets where an address is one of theirs.
    pub fn inheriting(inherited: Fds) -> Self {
        Self { fds: Fds::new(), inherited }
    }

    /// The sockets that the service manager handed over, by the addresses on which they listen.
    pub fn activated() -> Fds {
        let mut fds = Fds::new();
        for fd in super::service_manager::sockets() {
            #[expect(unsafe_code, reason = "the descriptor came over the start of the process")]
            // SAFETY: the service manager opened it for us, and no other part of this process has the descriptor.
            let listener = unsafe { TcpListener::from_raw_fd(fd) };
            if let Ok(address) = listener.local_addr()
                && listener.set_nonblocking(true).is_ok()
            {
                fds.add(address.to_string(), listener.into_raw_fd());
            }
        }
        fds
    }

    /// Binds one address; the place where it really listens is returned (port 0 is chosen by the system).
    pub fn listen(&mut self, address: &Arc<str>) -> Result<SocketAddr, ListenError> {
        let failed = |cause| ListenError { address: address.to_string(), cause };
        let resolved: Vec<SocketAddr> = address.to_socket_addrs().map_err(failed)?.collect();
        if let Some(local) = resolved.iter().find(|local| self.inherited.get(&local.to_string()).is_some()) {
            let name = local.to_string();
            let fd = *self.inherited.get(&name).expect("it was found");
            self.fds.add(name, fd);
            return Ok(*local);
        }
        let listener = TcpListener::bind(&resolved[..]).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let local = listener.local_addr().map_err(failed)?;
        self.fds.add(local.to_string(), listener.into_raw_fd());
        Ok(local)
    }

    /// The table from which pingora takes its listeners. Inherited sockets that the file does not name are closed: no
    /// task would accept on them.
    pub fn into_fds(mut self) -> ListenFds {
        let wanted = self.fds.serialize().0.into_iter().collect();
        self.inherited.close_unclaimed(&wanted);
        Arc::new(Mutex::new(self.fds))
    }
}

impl Default for Bound {
    fn default() -> Self {
        Self::new()
    }
}
