//! A running server: what it hands over, and how it ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pingora::server::ListenFds;
use pingora_runtime::Runtime;
use tokio::sync::watch;

use super::drain::{Drained, drain};
use super::hand_over::{Stays, hand_over};
use super::replica;
use crate::app::App;
use crate::compile::Snapshot;
use crate::gate::Gates;
use crate::listener::Connections;
use crate::reload::Reloader;

/// Time to finish a half-sent frame, send Close and receive the peer's.
const GOING_AWAY: Duration = Duration::from_secs(1);

/// The longest that writing the evidence may hold up the end.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// A running server.
pub struct Running {
    pub listeners: Vec<SocketAddr>,
    pub tls_listeners: Vec<SocketAddr>,
    pub admin: SocketAddr,
    pub reloader: Arc<Reloader>,
    pub(super) app: Arc<App>,
    #[expect(dead_code, reason = "the gates look as long as somebody holds them")]
    pub(super) gates: Arc<Gates>,
    pub(super) ready: Arc<AtomicBool>,
    pub(super) connections: Arc<Connections>,
    pub(super) stop: watch::Sender<bool>,
    pub(super) fds: ListenFds,
    pub(super) copy_runtime: tokio::runtime::Runtime,
    // Dropped last: the tasks of the request path live on it.
    pub(super) data: Runtime,
}

impl Running {
    /// The file in force.
    pub fn in_force(&self) -> Arc<Snapshot> {
        Arc::clone(&self.app.in_force.load().snapshot)
    }

    /// Opens the access log anew.
    pub fn reopen_logs(&self) {
        self.app.telemetry.access_log.reopen();
    }

    /// Gives the listeners to a successor, if one waits. Afterwards it serves, and this process has only to finish.
    pub async fn hand_over(&self) -> Result<(), Stays> {
        let state_dir = self.app.in_force.load().snapshot.server.state_dir.clone();
        hand_over(&state_dir, &self.fds).await?;
        let app = Arc::clone(&self.app);
        // The successor keeps what is learnt from now on.
        let let_go = move || {
            app.shadow.save();
            app.learner.save();
            app.store.let_go();
        };
        replica::leave(self.app.fleet.as_ref()).await;
        if tokio::task::spawn_blocking(let_go).await.is_err() {
            tracing::error!("the store was not let go of: its thread ended in a panic");
        }
        // A client may be about to use a kept connection: it is closed behind a response, not before a request.
        self.connections.successor_serves();
        Ok(())
    }

    /// Finishes what is in flight and ends. Everything idle is closed at once.
    pub async fn stop(&self) -> bool {
        self.ready.store(false, Ordering::Release);
        let server = &self.app.in_force.load().snapshot.server;
        if !server.lame_duck.is_zero() && !self.connections.has_successor() {
            tracing::info!("not ready any more; listening for another {:?}", server.lame_duck);
            tokio::time::sleep(server.lame_duck).await;
        }
        // Another replica may lead at once.
        replica::leave(self.app.fleet.as_ref()).await;
        self.app.shadow.begin_to_stop();
        self.app.live.begin_to_stop();
        self.stop.send_replace(true);
        let mut drained = drain(&self.connections, server.drain).await;
        if drained != Drained::All && self.connections.say_going_away() > 0 {
            // Open WebSockets get a Close frame, and time for the peer to answer it.
            drained = drain(&self.connections, GOING_AWAY).await;
        }
        match drained {
            Drained::All => tracing::info!("stopped: everything in flight was finished"),
            Drained::Left(connections) => {
                tracing::warn!(connections, "stopped: the time to drain was over");
            }
        }
        let app = Arc::clone(&self.app);
        let last_words = move || {
            app.shadow.stop(LAST_WORDS);
            app.learner.stop();
            app.store.let_go();
        };
        if tokio::task::spawn_blocking(last_words).await.is_err() {
            tracing::error!("the evidence was not written: its thread ended in a panic");
        }
        self.app.telemetry.close(Duration::from_secs(2));
        drained == Drained::All
    }

    /// Waits for the runtime's threads, at most a moment.
    pub fn close(self) {
        self.data.shutdown_timeout(Duration::from_millis(200));
        self.copy_runtime.shutdown_timeout(Duration::from_millis(200));
    }
}
