//! Where to connect to, and how the other end proves who it is.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use pingora::upstreams::peer::HttpPeer;
use rustls::ClientConfig;

use super::tls;
use crate::endpoint::HttpVersions;

/// Pingora's peer, and the settings of TLS, made once and not at each handshake.
#[derive(Clone)]
pub struct Peer {
    http: HttpPeer,
    tls: Option<Arc<ClientConfig>>,
}

impl Peer {
    /// `trust`: how the other end of TLS is checked; without one, as [`tls::usual`] does. A peer without TLS has none.
    #[must_use]
    pub fn new(http: HttpPeer, trust: Option<Arc<ClientConfig>>, versions: HttpVersions) -> Self {
        let tls = http.is_tls().then(|| trust.unwrap_or_else(tls::usual));
        let mut peer = Self { http, tls };
        peer.speak(versions);
        peer
    }

    /// Which versions of HTTP are offered.
    pub fn speak(&mut self, versions: HttpVersions) {
        let (most, least) = match (versions, self.tls.is_some()) {
            (HttpVersions::Http1, _) | (HttpVersions::Auto, false) => (1, 1),
            (HttpVersions::Http2, _) => (2, 2),
            (HttpVersions::Auto, true) => (2, 1),
        };
        self.http.options.set_http_version(most, least);
        let Some(tls) = &mut self.tls else { return };
        let protocols: &[&[u8]] = match versions {
            HttpVersions::Http1 => &[b"http/1.1"],
            HttpVersions::Http2 => &[b"h2"],
            HttpVersions::Auto => &[b"h2", b"http/1.1"],
        };
        if tls.alpn_protocols != protocols {
            // A copy shares the sessions that may be resumed.
            Arc::make_mut(tls).alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        }
    }

    /// The settings of TLS; `None`: plain.
    pub(super) const fn tls(&self) -> Option<&Arc<ClientConfig>> {
        self.tls.as_ref()
    }
}

impl Deref for Peer {
    type Target = HttpPeer;

    fn deref(&self) -> &HttpPeer {
        &self.http
    }
}

impl DerefMut for Peer {
    fn deref_mut(&mut self) -> &mut HttpPeer {
        &mut self.http
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.http.fmt(f)
    }
}
