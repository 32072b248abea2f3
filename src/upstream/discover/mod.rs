//! Follows the sources of endpoints: DNS, SRV, files, etcd, Consul, Kubernetes, Docker. One task per upstream; `endpoint::Membership`
//! decides what a list or an event means.

mod consul;
mod dns;
mod docker;
mod etcd;
mod file;
mod kubernetes;
mod sink;

use std::time::Duration;

use super::known::KnownEndpoints;
use super::pool::PoolRef;
use crate::endpoint::Source;

use sink::Sink;

/// When a first list lacks a known member, a second list is asked for after this pause.
const SECOND_LOOK: Duration = Duration::from_secs(3);
/// A registry in trouble is asked again after 0.5 s, 1 s … 15 s.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// The longest a registry may take for an answer it has at hand.
const ANSWER: Duration = Duration::from_secs(5);

/// Follows one source until its pool is gone.
pub(super) async fn follow(pool: PoolRef, source: Source, known: Option<KnownEndpoints>) {
    let sink = Sink::new(pool, known);
    match source {
        Source::Fixed(_) => {}
        Source::Dns { name, port } => dns::follow_addresses(sink, &name, port).await,
        Source::Srv { name } => dns::follow_services(sink, &name).await,
        Source::File { path } => file::follow(sink, &path).await,
        Source::Etcd { endpoints, prefix } => etcd::follow(sink, &endpoints, &prefix).await,
        Source::Consul { url, service, tag } => consul::follow(sink, &url, &service, tag.as_deref()).await,
        Source::Kubernetes(service) => kubernetes::follow(sink, &service).await,
        Source::Docker(containers) => docker::follow(sink, &containers).await,
    }
}

/// A pause that doubles, with a tenth of chance, so that many proxies do not come back to a registry at once.
#[derive(Debug)]
struct Patience {
    next: Duration,
}

impl Patience {
    fn new() -> Self {
        Self { next: FIRST_PAUSE }
    }

    fn reset(&mut self) {
        self.next = FIRST_PAUSE;
    }

    async fn pause(&mut self) {
        let pause = self.next.mul_f64(0.9 + 0.2 * fastrand::f64());
        self.next = (self.next * 2).min(LONGEST_PAUSE);
        tokio::time::sleep(pause).await;
    }
}
