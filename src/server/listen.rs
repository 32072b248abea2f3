//! Binds the listeners before anything else starts, so that a port in use is a message and not a half-started program.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::IntoRawFd;
use std::sync::Arc;

use parking_lot::Mutex;
use pingora::server::{Fds, ListenFds};

/// A listener that could not be had.
#[derive(Debug)]
pub struct ListenError {
    pub address: String,
    pub cause: io::Error,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, cause } = self;
        match cause.kind() {
            io::ErrorKind::AddrInUse => {
                write!(f, "cannot listen on {address}: the address is in use by another program")
            }
            io::ErrorKind::PermissionDenied => write!(f, "cannot listen on {address}: not permitted"),
            io::ErrorKind::AddrNotAvailable => {
                write!(f, "cannot listen on {address}: this machine has no such address")
            }
            _ => write!(f, "cannot listen on {address}: {cause}"),
        }
    }
}

impl ListenError {
    /// What to do about it.
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
}

impl Bound {
    pub fn new() -> Self {
        Self { fds: Fds::new() }
    }

    /// Binds one address; the place where it really listens is returned (port 0 is chosen by the system).
    pub fn listen(&mut self, address: &Arc<str>) -> Result<SocketAddr, ListenError> {
        let failed = |cause| ListenError { address: address.to_string(), cause };
        let resolved: Vec<SocketAddr> = address.to_socket_addrs().map_err(failed)?.collect();
        let listener = TcpListener::bind(&resolved[..]).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let local = listener.local_addr().map_err(failed)?;
        self.fds.add(local.to_string(), listener.into_raw_fd());
        Ok(local)
    }

    /// The table from which pingora takes its listeners.
    pub fn into_fds(self) -> ListenFds {
        Arc::new(Mutex::new(self.fds))
    }
}

impl Default for Bound {
    fn default() -> Self {
        Self::new()
    }
}
