//! Upstream connections that a client's connection keeps between two requests: those on which the client has signed in.

use std::time::Instant;

use crate::client::Socket;

/// An idle connection to an upstream that serves one client alone, because the upstream knows the client by it.
#[derive(Debug)]
pub struct SignedIn {
    pub socket: Socket,
    /// Of the endpoint and all that the connection was made with.
    pub key: u64,
    /// When its last response ended.
    pub since: Instant,
}
