//! One address of an upstream, ready to be connected to, and the lease that a request holds on it.

use std::borrow::Cow;
use std::hash::{Hash as _, Hasher as _};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};

use pingora::upstreams::peer::Peer as _;
use xxhash_rust::xxh3::Xxh3;

use super::endpoint_health::{EndpointFailure, EndpointHealth, EndpointKey};
use super::peers::Place;
use super::pool::Pool;
use crate::client::{ConnectError, Peer};
use crate::endpoint::IdleCloses;
use crate::message::ProxiedAddresses;

/// Immutable but for its health.
#[derive(Debug)]
pub struct Endpoint {
    pub(super) place: Place,
    address: Box<str>,
    /// `host:port` as it was listed, for the Host of a check.
    pub(super) authority: Box<str>,
    weight: u32,
    pub(super) priority: u16,
    /// As the upstream speaks, and forced to HTTP/1.1.
    pub(super) peers: Arc<(Peer, Peer)>,
    pub(super) connection_key: u64,
    pub(super) health: Arc<EndpointHealth>,
    pub(super) pool: Weak<Pool>,
}

impl Endpoint {
    pub(super) fn new(
        place: Place,
        authority: Box<str>,
        (weight, priority): (u32, u16),
        peers: Arc<(Peer, Peer)>,
        health: Arc<EndpointHealth>,
        pool: Weak<Pool>,
    ) -> Arc<Self> {
        let address = place.to_string().into();
        let connection_key = peers.1.reuse_hash();
        Arc::new(Self { place, address, authority, weight, priority, peers, connection_key, health, pool })
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn weight(&self) -> u32 {
        self.weight
    }

    pub fn key(&self) -> EndpointKey {
        self.health.key
    }

    pub fn in_flight(&self) -> u32 {
        self.health.in_flight.load(Relaxed)
    }

    pub fn is_eligible(&self) -> bool {
        self.health.eligible.load(Relaxed)
    }
}

/// The right to send one request to an endpoint; it counts as in flight until the lease is dropped.
#[derive(Debug)]
pub struct Lease {
    endpoint: Arc<Endpoint>,
    /// It still counts.
    in_flight: bool,
}

impl Lease {
    pub(super) fn new(endpoint: &Arc<Endpoint>) -> Self {
        endpoint.health.in_flight.fetch_add(1, Relaxed);
        Self { endpoint: Arc::clone(endpoint), in_flight: true }
    }

    /// The endpoint has answered, and the request is in flight no more; the lease still says where it was.
    pub fn release(&mut self) {
        if std::mem::take(&mut self.in_flight) {
            self.endpoint.health.in_flight.fetch_sub(1, Relaxed);
        }
    }

    /// To be cloned: it carries every timeout, TLS and what versions of HTTP to speak.
    pub fn peer(&self) -> &Peer {
        &self.endpoint.peers.0
    }

    /// The same for HTTP/1.1 alone: an upgrade needs it.
    pub fn peer_http1(&self) -> &Peer {
        &self.endpoint.peers.1
    }

    /// The key of kept connections over HTTP/1.1: those of one key may be taken for one another.
    pub fn connection_key(&self) -> u64 {
        self.endpoint.connection_key
    }

    /// When the endpoint was seen to close idle connections.
    pub fn idle_closes(&self) -> &Arc<IdleCloses> {
        &self.endpoint.health.closes
    }

    pub fn address(&self) -> &str {
        self.endpoint.address()
    }

    /// The same where the upstream is told of each client's connection, which may then be taken for that client's alone.
    pub fn connection_key_for(&self, client: Option<&ProxiedAddresses>) -> u64 {
        match (self.endpoint.peers.1.proxy_protocol(), client) {
            (Some(_), Some(client)) => {
                let mut hasher = Xxh3::with_seed(self.endpoint.connection_key);
                client.source.hash(&mut hasher);
                hasher.finish()
            }
            _ => self.endpoint.connection_key,
        }
    }

    /// The peer that tells the upstream of this client's connection, where it is to be told. `http1`: for HTTP/1.1 alone.
    pub fn peer_for(&self, client: Option<&ProxiedAddresses>, http1: bool) -> Cow<'_, Peer> {
        if http1 { self.peer_http1() } else { self.peer() }.for_client(client)
    }

    /// `host:port` as the upstream's table or its registry names it.
    pub fn authority(&self) -> &str {
        &self.endpoint.authority
    }

    pub fn key(&self) -> EndpointKey {
        self.endpoint.key()
    }

    /// The endpoint answered, and its status is not a failure.
    pub fn succeeded(&self) {
        let failures = &self.endpoint.health.failures;
        // Usually there are none, and nothing shared is written.
        if failures.load(Relaxed) != 0 {
            failures.store(0, Relaxed);
        }
        self.copy_answered();
    }

    /// A copy was answered, whatever its status.
    pub fn copy_answered(&self) {
        if self.endpoint.health.answered()
            && let Some(pool) = self.endpoint.pool.upgrade()
        {
            pool.look_again();
        }
    }

    /// A copy was not answered. Copies eject no endpoint: only requests that clients wait for do.
    pub fn copy_failed(&self, kind: EndpointFailure) {
        self.endpoint.health.unanswered(true);
        if let Some(pool) = self.endpoint.pool.upgrade() {
            pool.copy_failed(&self.endpoint, kind);
        }
    }

    /// No connection could be made, and this is why. Said now and then: each request's line in the access log has only that
    /// it was so.
    pub fn not_connected(&self, why: &ConnectError) {
        let Some(pool) = self.endpoint.pool.upgrade() else { return };
        if self.endpoint.health.may_complain(why.kind(), pool.now()) {
            tracing::warn!(upstream = &*pool.spec().name, endpoint = self.address(), %why, "no connection to an endpoint");
        }
    }

    /// The response is not HTTP, and this is the rule that it breaks. Said now and then, for the same reason.
    pub fn malformed(&self, rule: &'static str) {
        let Some(pool) = self.endpoint.pool.upgrade() else { return };
        if self.endpoint.health.may_complain(rule, pool.now()) {
            tracing::warn!(upstream = &*pool.spec().name, endpoint = self.address(), rule, "a malformed response");
        }
    }

    /// The attempt failed, and it was not the client's doing.
    pub fn failed(&self, kind: EndpointFailure) {
        self.endpoint.health.unanswered(false);
        let in_a_row = self.endpoint.health.failures.fetch_add(1, Relaxed).saturating_add(1);
        if let Some(pool) = self.endpoint.pool.upgrade() {
            pool.endpoint_failed(&self.endpoint, kind, in_a_row);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.release();
    }
}
