//! Signals of the operating system, as the server understands them.

use std::io;

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// A request of the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGHUP: read the file again. Never ends the process.
    Reload,
    /// SIGTERM or SIGINT: finish what is in flight, then end.
    Stop,
    /// SIGUSR1: open the access log anew.
    ReopenLogs,
    /// SIGQUIT: hand the sockets to a successor.
    HandOver,
}

/// Listens for all of them from the moment it is made.
pub struct Signals {
    hangup: Stream,
    terminate: Stream,
    interrupt: Stream,
    user1: Stream,
    quit: Stream,
}

impl Signals {
    /// Must be called within a runtime, before anything else starts: an unhandled SIGHUP ends a process.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            user1: signal(SignalKind::user_defined1())?,
            quit: signal(SignalKind::quit())?,
        })
    }

    /// The next one.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.hangup.recv() => Signal::Reload,
            _ = self.terminate.recv() => Signal::Stop,
            _ = self.interrupt.recv() => Signal::Stop,
            _ = self.user1.recv() => Signal::ReopenLogs,
            _ = self.quit.recv() => Signal::HandOver,
        }
    }
}
