//! Recorded requests as test cases for another proxy: each with the upstream that gets it here.

use std::collections::BTreeSet;

use serde::Serialize;

use super::replay::{NamedValues, Replay, service_share};
use crate::compile::Snapshot;
use crate::endpoint::UpstreamId;
use crate::learn::Recorded;
use crate::migration::Policy;

/// One request, and the upstream that gets it by the file. Values in the path are of their kind, not those that came.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct RoutingCase {
    pub method: String,
    /// Empty: the request had no host.
    pub host: String,
    /// Path and query, as on the wire.
    pub target: String,
    /// Only those that the file asks about.
    pub headers: Vec<(String, String)>,
    /// `None`: no route takes it, the monolith does.
    pub route: Option<String>,
    pub upstream: String,
}

/// Each recorded request once, in the order of methods, hosts and targets. Left out: those whose client decides between upstreams.
#[must_use]
pub fn routing_cases(snapshot: &Snapshot, recorded: &Recorded) -> Vec<RoutingCase> {
    let named = NamedValues::of(snapshot);
    let cases: BTreeSet<RoutingCase> = recorded
        .requests
        .iter()
        .filter_map(|request| {
            let replay = Replay::of(request, &named)?;
            let route = replay.route(snapshot).and_then(|id| snapshot.routes.get(id as usize));
            let upstream = match route {
                Some(route) => upstream(&route.policy)?,
                None => UpstreamId::MONOLITH,
            };
            Some(RoutingCase {
                method: request.method.clone(),
                host: request.host.clone(),
                target: replay.target(),
                headers: replay.headers(),
                route: route.map(|route| route.name.to_string()),
                upstream: snapshot.upstreams[upstream.index()].name.to_string(),
            })
        })
        .collect();
    cases.into_iter().collect()
}

/// The upstream that answers all clients; `None`: it depends on the client.
fn upstream(policy: &Policy) -> Option<UpstreamId> {
    match service_share(policy.dial)? {
        0 => Some(UpstreamId::MONOLITH),
        10_000 => policy.service,
        _ => None,
    }
}
