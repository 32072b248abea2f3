//! The accept loops: pingora's, over sockets that the process holds already.

use std::net::SocketAddr;
use std::sync::Arc;

use pingora::apps::ServerApp;
use pingora::listeners::{L4BufferSettings, ListenerConfig};
use pingora::server::ListenFds;
use pingora::services::Service as _;
use pingora::services::listening::Service;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::HttpListener;

/// A buffer of pingora's is held as long as its connection. The ends of [`downstream`](crate::downstream) gather what is written
/// to clients, and hold nothing while they are idle.
const UNBUFFERED: usize = 0;
/// The admin listener has no such end.
const GATHERING: usize = 16 * 1024;

/// The input of every accept loop.
pub struct AcceptLoops {
    pub fds: ListenFds,
    pub stopping: watch::Receiver<bool>,
}

impl AcceptLoops {
    /// Serves clients at this address, in `tasks` accept loops. Of one type, so that the loop is compiled with this crate, for speed.
    pub fn serve_clients(&self, runtime: &Handle, address: SocketAddr, listener: HttpListener, tasks: usize) {
        self.serve(runtime, address, listener, (tasks, UNBUFFERED));
    }

    /// Serves the operator at this address, in one accept loop.
    pub fn serve_operator<A>(&self, runtime: &Handle, address: SocketAddr, app: A)
    where
        A: ServerApp + Send + Sync + 'static,
    {
        self.serve(runtime, address, app, (1, GATHERING));
    }

    /// Serves the connections of one listener: in `tasks` accept loops, with a write buffer of `write_buffer` bytes for each
    /// connection.
    fn serve<A>(&self, runtime: &Handle, address: SocketAddr, app: A, (tasks, write_buffer): (usize, usize))
    where
        A: ServerApp + Send + Sync + 'static,
    {
        let address = address.to_string();
        let mut service = Service::new(address.clone(), app);
        service.add_listener(ListenerConfig::tcp(&address).l4_buffer(L4BufferSettings::new(0, write_buffer)));
        let (fds, stopping) = (Arc::clone(&self.fds), self.stopping.clone());
        runtime.spawn(async move { service.start_service(Some(fds), stopping, tasks).await });
    }
}
