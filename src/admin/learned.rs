//! Results of learning from traffic: the inventory, and the next steps.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Parts;
use super::reply::Reply;
use super::status::{Window, progress};
use crate::compile::Role;
use crate::config::read_duration;
use crate::inventory::InventoryReport;
use crate::learn::{LONG, ListRefused, MOST_KNOWN, now};
use crate::message::form_value;
use crate::migration::Stage;
use crate::plan::{AnsweredLately, NextStep, StandingRoute, find_routes, what_next};
use crate::proxy::{Generation, RouteInForce};
use crate::route::Template;
use crate::store::{ProgressRow, StoreError};

const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);
/// Hours in which a proxy that learned before was asked something.
const A_DAY: u32 = 24;

/// `GET /api/v1/inventory`, gathered away from the listener's threads.
pub async fn inventory(parts: &Arc<Parts>, role: Role) -> Reply {
    let parts = Arc::clone(parts);
    let gathered = move || Reply::json(200, &report(&parts, &parts.app.in_force.load(), role));
    Reply::of_work(gathered, "the inventory could not be gathered").await
}

/// The paths of a route list, and what printed it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KnownList {
    from: String,
    paths: Vec<String>,
}

/// A name of what printed a list.
const LONGEST_NAME: usize = 32;

/// `POST /api/v1/inventory/known`: the paths of another program's routes are known, in place of the last list of this name.
pub async fn know(parts: &Arc<Parts>, body: Vec<u8>) -> Reply {
    let parts = Arc::clone(parts);
    let work = move || {
        let shape = "must be {\"from\": \"rails\", \"paths\": [\"/users/{id}\"]}";
        let list: KnownList = match Reply::read(&body, shape) {
            Ok(list) => list,
            Err(reply) => return reply,
        };
        if list.from.is_empty() || list.from.len() > LONGEST_NAME || list.paths.len() > MOST_KNOWN {
            let detail = format!("`from` has 1 to {LONGEST_NAME} bytes, and `paths` at most {MOST_KNOWN} entries");
            return Reply::problem(400, &detail);
        }
        let parsed = list
            .paths
            .iter()
            .map(|path| Template::parse(path).map_err(|error| Reply::problem(400, &format!("`{path}`: {error}"))));
        let templates: Vec<Template> = match parsed.collect() {
            Ok(templates) => templates,
            Err(refused) => return refused,
        };
        if !parts.app.learner.learns() {
            return Reply::problem(409, "`[inventory] learn = false`: there is no inventory");
        }
        match parts.app.learner.know(&list.from, templates) {
            Ok(known) => Reply::json(200, &json!({ "from": list.from, "known": known })),
            Err(error @ ListRefused::TooMany) => Reply::problem(409, &error.to_string()),
            Err(error @ ListRefused::NotKept(_)) => Reply::problem(503, &error.to_string()),
        }
    };
    Reply::of_work(work, "the list could not be taken").await
}

/// `GET /api/v1/next`.
pub async fn next(parts: &Arc<Parts>, role: Role) -> Reply {
    let parts = Arc::clone(parts);
    let steps = move || {
        let generation = parts.app.in_force.load();
        Reply::json(200, &steps(&parts, &generation, &report(&parts, &generation, role)))
    };
    Reply::of_work(steps, "what is next could not be gathered").await
}

/// How far the migration was in one hour.
#[derive(Debug, Serialize)]
struct ProgressHour {
    /// Its beginning.
    hour: String,
    requests: u64,
    /// Of these, not answered by the monolith.
    moved_requests: u64,
    routes: u64,
    moved_routes: u64,
    endpoints: u64,
    moved_endpoints: u64,
    /// Endpoints that change something and need the monolith.
    writes_left: u64,
}

/// `GET /api/v1/progress?since=`: now, and hour by hour, the oldest first.
pub async fn progress_by_hour(parts: &Arc<Parts>, query: Option<&str>) -> Reply {
    let asked = form_value(query.unwrap_or_default().as_bytes(), "since");
    let Some(since) = asked.map_or(Some(MONTH), |text| read_duration(&text)) else {
        return Reply::problem(400, "`since` is no duration: write 24h or 720h");
    };
    let hours = u32::try_from(since.as_secs().div_ceil(3600)).unwrap_or(u32::MAX);
    let parts = Arc::clone(parts);
    let read = move || {
        let rows = parts.app.store.progress_since((now() / 60).saturating_sub(hours))?;
        let hours: Vec<ProgressHour> = rows.into_iter().map(hour).collect();
        Ok(serde_json::json!({ "now": progress(&parts, Window::default()), "hours": hours }))
    };
    match tokio::task::spawn_blocking(read).await {
        Ok(Ok(hours)) => Reply::json(200, &hours),
        Ok(Err::<_, StoreError>(error)) => Reply::problem(503, &format!("the hours cannot be read: {error}")),
        Err(_) => Reply::problem(500, "the hours could not be gathered"),
    }
}

fn hour(row: ProgressRow) -> ProgressHour {
    let ProgressRow { hour, requests, moved_requests, routes, moved_routes, endpoints, moved_endpoints, writes } = row;
    let began = jiff::Timestamp::from_second(i64::from(hour) * 3600).unwrap_or_default();
    let hour = began.to_string();
    ProgressHour {
        hour,
        requests,
        moved_requests,
        routes,
        moved_routes,
        endpoints,
        moved_endpoints,
        writes_left: writes,
    }
}

/// The next routes to take, to retire and to leave.
pub fn steps(parts: &Parts, generation: &Generation, report: &InventoryReport) -> Vec<NextStep> {
    let released = released(parts);
    let routes: Vec<StandingRoute> =
        generation.routes.iter().map(|entry| standing(parts, generation, entry, released)).collect();
    let button = parts.app.live.monolith_only(generation.snapshot.server.monolith_only);
    what_next(report, &generation.snapshot, &routes, button, answered_lately(parts), now())
}

fn minutes(of: Duration) -> u32 {
    u32::try_from(of.as_secs() / 60).unwrap_or(u32::MAX)
}

/// The answers of thirty days; `None`: the hours that are kept do not go back so far, or cannot be read.
fn answered_lately(parts: &Parts) -> Option<AnsweredLately> {
    let since = (now() / 60).saturating_sub(LONG / 60);
    let began = parts.app.store.progress_since(since.saturating_sub(A_DAY)).ok()?;
    let goes_back = began.first().is_some_and(|first| first.hour <= since);
    let mut sum = AnsweredLately { requests: 0, monolith: 0 };
    for row in began.iter().filter(|row| row.hour >= since) {
        sum.requests += row.requests;
        sum.monolith += row.requests.saturating_sub(row.moved_requests);
    }
    (goes_back && sum.requests > 0).then_some(sum)
}

/// The endpoints that were learned, with the routes that take them. A user agent may be about a person: role `read` sees none.
pub fn report(parts: &Parts, generation: &Generation, role: Role) -> InventoryReport {
    let mut report = parts.app.learner.report();
    if role == Role::Read {
        report.endpoints.iter_mut().for_each(|endpoint| endpoint.agents.clear());
    }
    find_routes(&mut report, &generation.snapshot, &|route| Some(generation.route(Some(route)).dial.stage.as_str()));
    report
}

/// The minute after which what the monolith answered was not asked by the big red button; `None`: it was not released lately.
fn released(parts: &Parts) -> Option<u32> {
    let at: jiff::Timestamp = parts.app.store.button_released_at()?.parse().ok()?;
    // Requests that came while the button was pressed may be learned a moment later.
    u32::try_from(at.as_second() / 60 + 1).ok()
}

fn standing(parts: &Parts, generation: &Generation, entry: &RouteInForce, released: Option<u32>) -> StandingRoute {
    let moved = entry.state.held().and_then(|held| held.moved_at());
    let moved = moved.and_then(|at| u32::try_from(at.as_second() / 60).ok());
    let came = entry.state.came().map(|came| now().saturating_sub(minutes(came.elapsed())));
    // Of a route that no move brought to where it is, no more is known.
    // Answers of that very minute count.
    let began = || now().saturating_sub(minutes(parts.app.live.uptime(std::time::Instant::now())) + 1);
    let since = moved.max(came).unwrap_or_else(began);
    let released = released.filter(|_| entry.dial.stage != Stage::Retired);
    let goes_back = entry.policy.shadow.as_ref().is_some_and(|shadow| shadow.reverse);
    let compared = if goes_back { parts.app.shadow.report(entry.name(), None) } else { None };
    StandingRoute {
        name: entry.name().to_owned(),
        dial: entry.dial,
        service: entry.policy.service.map(|id| generation.pool(id).spec().name.to_string()),
        since: Some(released.map_or(since, |released| released.max(since))),
        fallbacks: entry.meters.fallbacks(),
        // A pair that waits for a verdict may be a mismatch.
        differs: compared.is_some_and(|report| report.verdicts.mismatch + report.waiting > 0),
    }
}
