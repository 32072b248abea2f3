//! What was learned from traffic: the inventory, and what to do next.

use std::sync::Arc;

use super::Parts;
use super::reply::Reply;
use crate::inventory::Report;
use crate::learn::now;
use crate::plan::{NextStep, StandingRoute, find_routes, what_next};
use crate::proxy::{Edition, RouteEdition};

/// `GET /api/v1/inventory`, gathered away from the listener's threads.
pub async fn inventory(parts: &Arc<Parts>) -> Reply {
    let parts = Arc::clone(parts);
    match tokio::task::spawn_blocking(move || report(&parts, &parts.in_force.load())).await {
        Ok(report) => Reply::json(200, &report),
        Err(_) => Reply::problem(500, "the inventory could not be gathered"),
    }
}

/// `GET /api/v1/next`.
pub async fn next(parts: &Arc<Parts>) -> Reply {
    let parts = Arc::clone(parts);
    let steps = move || {
        let edition = parts.in_force.load();
        steps(&parts, &edition, &report(&parts, &edition))
    };
    match tokio::task::spawn_blocking(steps).await {
        Ok(steps) => Reply::json(200, &steps),
        Err(_) => Reply::problem(500, "what is next could not be gathered"),
    }
}

/// What to take, to retire and to leave next.
pub fn steps(parts: &Parts, edition: &Edition, report: &Report) -> Vec<NextStep> {
    let routes: Vec<StandingRoute> = edition.routes.iter().map(|entry| standing(edition, entry)).collect();
    let button = parts.live.monolith_only(edition.snapshot.server.monolith_only);
    what_next(report, &edition.snapshot, &routes, button, now())
}

/// The endpoints that were learned, with the routes that take them.
pub fn report(parts: &Parts, edition: &Edition) -> Report {
    let mut report = parts.learner.report();
    find_routes(&mut report, &edition.snapshot, &|route| Some(edition.route(Some(route)).dial.stage.as_str()));
    report
}

fn standing(edition: &Edition, entry: &RouteEdition) -> StandingRoute {
    let held = entry.state.held();
    let moved = held.and_then(|held| held.since.as_deref().and_then(|since| since.parse::<jiff::Timestamp>().ok()));
    StandingRoute {
        name: entry.name().to_owned(),
        stage: entry.dial.stage,
        service: entry.policy.service.map(|id| edition.pool(id).spec().name.to_string()),
        since: moved.and_then(|at| u32::try_from(at.as_second() / 60).ok()),
        fallbacks: entry.meters.fallbacks(),
    }
}
