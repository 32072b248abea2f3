//! The board: every route with where it stands and how its sides fare.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::Serialize;

use super::Parts;
use crate::gate::GateReport;
use crate::migration::{Breaker, Side, Stage};
use crate::proxy::{Edition, RouteEdition, meter_index};
use crate::upstream::UpstreamStatus;

/// `GET /api/v1/status`.
#[derive(Debug, Serialize)]
pub struct Status {
    pub version: &'static str,
    pub generation: u64,
    pub uptime_seconds: f64,
    pub monolith_only: bool,
    pub progress: Progress,
    pub routes: Vec<RouteStatus>,
    pub upstreams: Vec<UpstreamStatus>,
}

/// How far the migration is, 0.0 to 1.0.
#[derive(Debug, Serialize)]
pub struct Progress {
    /// Share of the answers of the last five minutes that did not come from the monolith.
    pub requests: f64,
    /// Share of the routes that are migrated or retired.
    pub routes: f64,
}

/// One route, or the requests that no route takes.
#[derive(Debug, Serialize)]
pub struct RouteStatus {
    pub name: String,
    pub stage: &'static str,
    /// Of the service, as written in routes.toml; `null` in the stages without one.
    pub weight: Option<String>,
    pub service: Option<String>,
    pub requests: BTreeMap<String, u64>,
    pub errors: BTreeMap<String, u64>,
    pub p50_seconds: BTreeMap<String, f64>,
    pub p99_seconds: BTreeMap<String, f64>,
    pub mismatch_rate: Option<f64>,
    pub breaker: &'static str,
    /// What the route's gate says; `null`: it has none.
    pub gate: Option<GateReport>,
    pub dial: DialStatus,
}

/// Who put the dial where it stands, by which entry of the journal, since when.
#[derive(Debug, Serialize)]
pub struct DialStatus {
    pub by: &'static str,
    /// 0: no entry yet.
    pub seq: u64,
    pub since: Option<String>,
}

pub fn status(parts: &Parts) -> Status {
    let edition = parts.in_force.load();
    let now = Instant::now();
    Status {
        version: env!("CARGO_PKG_VERSION"),
        generation: edition.generation,
        uptime_seconds: parts.live.uptime(now).as_secs_f64(),
        monolith_only: parts.live.monolith_only(edition.snapshot.server.monolith_only),
        progress: Progress {
            requests: parts.telemetry.metrics.progress_by_requests(now),
            routes: progress_by_routes(&edition),
        },
        routes: routes(parts),
        upstreams: parts.upstreams.status(),
    }
}

/// Every route, and at the end what no route takes.
pub fn routes(parts: &Parts) -> Vec<RouteStatus> {
    let edition = parts.in_force.load();
    edition.routes.iter().chain([&edition.unmatched]).map(|entry| one(parts, &edition, entry)).collect()
}

pub fn route_status(parts: &Parts, name: &str) -> Option<RouteStatus> {
    let edition = parts.in_force.load();
    let entry = edition.routes.iter().chain([&edition.unmatched]).find(|entry| entry.name() == name)?;
    Some(one(parts, &edition, entry))
}

fn progress_by_routes(edition: &Edition) -> f64 {
    let done = edition.routes.iter().filter(|entry| matches!(entry.dial.stage, Stage::Migrated | Stage::Retired));
    let (done, all) = (done.count(), edition.routes.len());
    #[expect(clippy::cast_precision_loss, reason = "there are fewer than 2^52 routes")]
    if all == 0 { 0.0 } else { done as f64 / all as f64 }
}

fn one(parts: &Parts, edition: &Edition, entry: &RouteEdition) -> RouteStatus {
    let policy = &entry.policy;
    let mut status = RouteStatus {
        name: entry.name().to_owned(),
        stage: entry.dial.stage.as_str(),
        weight: (entry.dial.stage == Stage::Canary).then(|| entry.dial.weight.to_string()),
        service: policy.service.map(|id| edition.pool(id).spec().name.to_string()),
        requests: BTreeMap::new(),
        errors: BTreeMap::new(),
        p50_seconds: BTreeMap::new(),
        p99_seconds: BTreeMap::new(),
        mismatch_rate: parts.shadow.mismatch_rate(entry.name()),
        breaker: match entry.state.breaker.peek(parts.live.milliseconds(Instant::now())) {
            _ if !entry.has_breaker() => "closed",
            Breaker::Closed => "closed",
            Breaker::Open => "open",
            Breaker::Probing => "probing",
        },
        gate: parts.gates.report(entry.name()),
        dial: entry.state.held().map_or(DialStatus { by: "file", seq: 0, since: None }, |held| DialStatus {
            by: held.standing.by.as_str(),
            seq: held.standing.seq,
            since: held.since.map(Into::into),
        }),
    };
    for side in sides(entry) {
        let summary = entry.meters.summary(meter_index(policy, side));
        let name = side.name(policy).to_owned();
        if let (Some(p50), Some(p99)) = (summary.p50, summary.p99) {
            status.p50_seconds.insert(name.clone(), p50);
            status.p99_seconds.insert(name.clone(), p99);
        }
        status.requests.insert(name.clone(), summary.requests);
        status.errors.insert(name, summary.errors);
    }
    status
}

fn sides(entry: &RouteEdition) -> Vec<Side> {
    let policy = &entry.policy;
    if policy.variants.is_empty() {
        let service = policy.service.map(|_| Side::Service);
        return [Side::Monolith].into_iter().chain(service).collect();
    }
    let variants = (0_u8..).zip(&policy.variants).map(|(index, _)| Side::Variant(index));
    // The monolith answers for all variants while the big red button is on; one of that name stands for both.
    let monolith = policy.variants.iter().all(|variant| &*variant.name != "monolith").then_some(Side::Monolith);
    variants.chain(monolith).collect()
}
