//! Upstreams against real servers: health checks, files, etcd, and stand-ins for Consul, Kubernetes and Docker.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod checks;
mod consul;
mod docker;
mod etcd;
mod file;
mod kubernetes;
mod life;
mod register;
mod revoked;
mod stand_in;
mod streaming;
mod timeouts;
mod wires;

use std::sync::Arc;
use std::time::{Duration, Instant};

use multilith::endpoint::{Balance, Eject, HttpVersions, Keepalive, Source, TargetSpec, Timeouts, UpstreamSpec};
use multilith::upstream::{EndpointState, EndpointStatus, Pool, Unobserved, UpstreamStatus, Upstreams};

fn spec(source: Source) -> UpstreamSpec {
    UpstreamSpec {
        name: "users".into(),
        target: TargetSpec::Http,
        source,
        host: None,
        balance: Balance::RoundRobin,
        health: None,
        eject: Eject::Usual,
        http: HttpVersions::Http1,
        tls: None,
        timeouts: Timeouts { connect: Some(Duration::from_secs(2)), answer: None, idle: None, total: None },
        keepalive: Keepalive::For(Duration::from_secs(4)),
        limit: None,
        proxy_protocol: None,
        buffer: multilith::endpoint::Buffering::default(),
        sandbox: false,
    }
}

/// Upstreams with one pool.
struct World {
    upstreams: Arc<Upstreams>,
    pool: Arc<Pool>,
}

impl World {
    fn new(spec: UpstreamSpec) -> Self {
        let upstreams = Upstreams::new(Arc::new(Unobserved));
        let pool = upstreams.reconcile(&[Arc::new(spec)]).remove(0);
        Self { upstreams, pool }
    }

    fn reload(&mut self, spec: UpstreamSpec) {
        self.pool = self.upstreams.reconcile(&[Arc::new(spec)]).remove(0);
    }

    fn status(&self) -> UpstreamStatus {
        self.upstreams.status().remove(0)
    }

    fn endpoint(&self, address: &str) -> Option<EndpointStatus> {
        self.status().endpoints.into_iter().find(|endpoint| endpoint.address == address)
    }

    fn state(&self, address: &str) -> Option<EndpointState> {
        self.endpoint(address).map(|endpoint| endpoint.state)
    }

    /// Addresses that are listed, in order; those that drain are not.
    fn listed(&self) -> Vec<String> {
        let mut addresses: Vec<_> = self
            .status()
            .endpoints
            .into_iter()
            .filter(|endpoint| endpoint.state != EndpointState::Draining)
            .map(|endpoint| endpoint.address)
            .collect();
        addresses.sort();
        addresses
    }

    /// Waits until these are listed, and nobody else.
    fn until_listed(&self, expected: &[&str]) {
        self.eventually(&format!("{expected:?} are listed"), || self.listed() == expected);
    }

    fn eventually(&self, what: &str, holds: impl FnMut() -> bool) {
        eventually(what, holds, || format!("{:#?}", self.status()));
    }

    /// It holds now and for so long.
    fn for_a_while(&self, what: &str, long: Duration, mut holds: impl FnMut() -> bool) {
        let end = Instant::now() + long;
        while Instant::now() < end {
            assert!(holds(), "it is not true any more that {what}: {:#?}", self.status());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool, state: impl Fn() -> String) {
    let deadline = Instant::now() + Duration::from_secs(40);
    while !holds() {
        assert!(Instant::now() < deadline, "it did not come true that {what}: {}", state());
        std::thread::sleep(Duration::from_millis(10));
    }
}
