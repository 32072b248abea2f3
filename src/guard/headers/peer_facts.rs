//! How a request came in: what the edge knows of its connection.

use std::net::IpAddr;
use std::sync::Arc;

use crate::compile::{ForceRule, Network};
use crate::message;

/// How a request came in.
#[derive(Debug, Clone, Copy)]
pub struct PeerFacts<'a> {
    /// The other end of the connection.
    pub peer: IpAddr,
    pub tls: bool,
    pub subject: Option<&'a ClientSubject>,
    pub trusted: &'a [Network],
    pub force: Option<&'a ForceRule>,
    /// Upstreams get `Forwarded`, too, where the peer has sent none.
    pub forwarded: bool,
}

/// The subject of the certificate that the client has shown and that was verified, as `CN=alice, O=Example`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientSubject(pub Arc<str>);

impl ClientSubject {
    pub(super) fn value(&self) -> &[u8] {
        // A subject with control characters is told as none.
        if message::is_value(self.0.as_bytes()) { self.0.as_bytes() } else { b"" }
    }
}
