//! The address to connect to, and how the peer proves its identity.

use std::borrow::Cow;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use pingora::upstreams::peer::HttpPeer;
use rustls::ClientConfig;

use super::tls;
use crate::endpoint::HttpVersions;
use crate::message::{ProxiedAddresses, ProxyVersion};

/// Pingora's peer, and the settings of TLS, made once and not at each handshake.
#[derive(Clone)]
pub struct Peer {
    http: HttpPeer,
    tls: Option<Arc<ClientConfig>>,
    /// The PROXY header that is to go first, and the one that does.
    proxy_protocol: Option<ProxyVersion>,
    proxy_header: Option<Box<[u8]>>,
}

impl Peer {
    /// `trust`: how the peer's certificate is checked; without one, as [`tls::usual`] does. A peer without TLS has none.
    #[must_use]
    pub fn new(http: HttpPeer, trust: Option<Arc<ClientConfig>>, versions: HttpVersions) -> Self {
        let tls = http.is_tls().then(|| trust.unwrap_or_else(tls::usual));
        let mut peer = Self { http, tls, proxy_protocol: None, proxy_header: None };
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

    /// Connections begin with a PROXY header of this version, which [`Self::for_client`] writes.
    pub fn tell_clients(&mut self, version: Option<ProxyVersion>) {
        self.proxy_protocol = version;
    }

    #[must_use]
    pub const fn proxy_protocol(&self) -> Option<ProxyVersion> {
        self.proxy_protocol
    }

    /// The peer for a connection of this client, or for one of the proxy's own: where clients are told, one with a PROXY header in front
    /// of all bytes, also those of TLS.
    #[must_use]
    pub fn for_client(&self, client: Option<&ProxiedAddresses>) -> Cow<'_, Self> {
        self.proxy_protocol.map_or(Cow::Borrowed(self), |version| {
            let header = ProxiedAddresses::header(client, version);
            Cow::Owned(Self { proxy_header: Some(header.into()), ..self.clone() })
        })
    }

    pub(super) fn proxy_header(&self) -> Option<&[u8]> {
        self.proxy_header.as_deref()
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
