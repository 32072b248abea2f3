//! The paths of the API.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use serde::Deserialize;

use super::Parts;
use super::access::Caller;
use super::button::press;
use super::comparisons;
use super::learned;
use super::moves::{self, ApiRequest};
use super::plan;
use super::reply::{Reply, compares_nothing, unknown_route};
use super::status::{Window, has_route, route_status, routes, status};
use crate::client::FetchError;
use crate::compile::{Role, redacted};
use crate::config::read_duration;
use crate::fleet::RegionSums;
use crate::message::form_value;
use crate::proxy::{ExplainError, ExplainRequest, Explained, explain};
use crate::reload::ReloadResult;

/// The metrics, gathered away from the listener's own threads since there may be many of them.
pub async fn metrics(parts: &Arc<Parts>) -> Reply {
    let parts = Arc::clone(parts);
    let gathered = move || {
        let (mut body, content_type) = parts.app.telemetry.metrics.encode();
        if let Some(fleet) = &parts.app.fleet {
            body.extend_from_slice(fleet.page().as_bytes());
        }
        Reply::new(200, content_type, body)
    };
    Reply::of_work(gathered, "the metrics could not be gathered").await
}

/// Everything below `/api/v1`.
pub async fn answer(
    parts: &Arc<Parts>,
    caller: &Caller,
    method: &Method,
    uri: &http::Uri,
    asked: &ApiRequest,
    body: Vec<u8>,
) -> Reply {
    let get = *method == Method::GET || *method == Method::HEAD;
    let post = *method == Method::POST;
    let (path, query) = (uri.path(), uri.query());
    match path {
        "/api/v1/openapi.json" if get => Reply::new(200, "application/json", OPENAPI.into()),
        "/api/v1/status" if get => windowed(query, |window| Reply::json(200, &status(parts, window))),
        "/api/v1/routes" if get => windowed(query, |window| Reply::json(200, &routes(parts, window))),
        "/api/v1/upstreams" if get => Reply::json(200, &parts.app.upstreams.status()),
        "/api/v1/config" if get => config(parts).await,
        "/api/v1/journal" if get => moves::journal(parts, asked).await,
        "/api/v1/inventory" if get => learned::inventory(parts, caller.role).await,
        "/api/v1/inventory/known" if post => learned::know(parts, body).await,
        "/api/v1/fleet" if get => fleet(parts),
        "/api/v1/fleet/regions" if get => regions_told(parts).await,
        "/api/v1/next" if get => learned::next(parts, caller.role).await,
        "/api/v1/progress" if get => learned::progress_by_hour(parts, query).await,
        "/api/v1/check" if post => plan::check(body).await,
        "/api/v1/plan" if post => plan::planned(parts, body).await,
        "/api/v1/plan/learn" if post => plan::learn(parts, body).await,
        "/api/v1/reload" if post => reload(parts, &body).await,
        "/api/v1/explain" if post => told_of(parts, &body),
        "/api/v1/monolith-only" if post => monolith_only(parts, caller, asked, &body).await,
        "/metrics"
        | "/healthz"
        | "/readyz"
        | "/api/v1/status"
        | "/api/v1/routes"
        | "/api/v1/upstreams"
        | "/api/v1/config"
        | "/api/v1/journal"
        | "/api/v1/inventory"
        | "/api/v1/next"
        | "/api/v1/fleet"
        | "/api/v1/fleet/regions"
        | "/api/v1/progress"
        | "/api/v1/events"
        | "/api/v1/openapi.json" => Reply::not_allowed("GET, HEAD"),
        "/api/v1/check"
        | "/api/v1/plan"
        | "/api/v1/plan/learn"
        | "/api/v1/inventory/known"
        | "/api/v1/reload"
        | "/api/v1/explain"
        | "/api/v1/monolith-only" => Reply::not_allowed("POST"),
        _ => match path.strip_prefix("/api/v1/routes/") {
            Some(below) if !post && moves::is_act(below) => Reply::not_allowed("POST"),
            Some(below) if below.ends_with("/replay") => match below.strip_suffix("/replay") {
                Some(name) if post => comparisons::replay(parts, caller, name, &body).await,
                _ => Reply::not_allowed("POST"),
            },
            Some(below) if get => route(parts, caller, below, query),
            Some(below) if post => moves::answer(parts, caller, below, asked, body).await,
            Some(below) if *method == Method::DELETE => comparisons::reset(parts, caller, below, asked, &body).await,
            Some(below) if below.ends_with("/comparisons") => Reply::not_allowed("GET, HEAD, DELETE"),
            Some(_) => Reply::not_allowed("GET, HEAD"),
            None => Reply::problem(404, "there is nothing at this path; /api/v1/openapi.json lists what there is"),
        },
    }
}

/// Every replica that is listed; none where this proxy is alone.
fn fleet(parts: &Parts) -> Reply {
    Reply::json(200, &parts.app.fleet.as_ref().map(|fleet| fleet.members()).unwrap_or_default())
}

async fn regions_told(parts: &Parts) -> Reply {
    regions(parts).await.map_or_else(|why| Reply::problem(503, &why.to_string()), |all| Reply::json(200, &all))
}

/// Why it is not known what the regions counted.
#[derive(Debug, thiserror::Error)]
pub enum RegionsUnknown {
    #[error("etcd of the fleet does not say what the regions counted: {0}")]
    Fetch(#[from] FetchError),
    #[error("etcd of the fleet does not say what the regions counted: the question ended in a panic")]
    Panic,
}

/// The routes as each region reported them last; none where there is one region.
pub async fn regions(parts: &Parts) -> Result<Vec<RegionSums>, RegionsUnknown> {
    let Some(fleet) = parts.app.fleet.clone() else { return Ok(Vec::new()) };
    let asked = tokio::task::spawn_blocking(move || fleet.regions(ETCD)).await;
    Ok(asked.map_err(|_| RegionsUnknown::Panic)??)
}

/// Answers a query about a window of time.
fn windowed(query: Option<&str>, answer: impl FnOnce(Window) -> Reply) -> Reply {
    Window::of_query(query).map_or_else(|refused| refused, answer)
}

/// `NAME` and what is below it.
fn route(parts: &Parts, caller: &Caller, below: &str, query: Option<&str>) -> Reply {
    let (name, what) = below.split_once('/').unwrap_or((below, ""));
    if what.is_empty() {
        return windowed(query, |window| {
            route_status(parts, name, window).map_or_else(unknown_route, |status| Reply::json(200, &status))
        });
    }
    if !has_route(parts, name) {
        return unknown_route();
    }
    // Evidence goes back further than the windows of the board.
    let since = match form_value(query.unwrap_or_default().as_bytes(), "since").map(|text| read_duration(&text)) {
        Some(None) => return Reply::problem(400, "`since` is no duration: write 5m or 2h"),
        Some(since) => since,
        None => None,
    };
    match what {
        "gate" => moves::gate_of(parts, name).map_or_else(
            || Reply::problem(404, &format!("this route has no gate: give it [routes.{name}.gate]")),
            |report| Reply::json(200, &report),
        ),
        "comparisons" => parts.app.shadow.report(name, since).map_or_else(
            || compares_nothing(name),
            |report| {
                let report = if caller.role == Role::Read { report.without_values() } else { report };
                Reply::json(200, &report)
            },
        ),
        "comparisons.hurl" | "comparisons.sh" if caller.role == Role::Read => {
            Reply::problem(403, "exports hold what clients sent: this token's role is `read`")
        }
        "comparisons.hurl" => {
            parts.app.shadow.hurl(name).map_or_else(|| compares_nothing(name), |text| Reply::text(200, &text))
        }
        "comparisons.sh" => {
            parts.app.shadow.shell(name).map_or_else(|| compares_nothing(name), |text| Reply::text(200, &text))
        }
        _ => Reply::problem(404, "there is nothing at this path; /api/v1/openapi.json lists what there is"),
    }
}

/// The file in force, without the secrets that are written in it. Looking for them takes a second in a file of a hundred
/// thousand routes.
async fn config(parts: &Arc<Parts>) -> Reply {
    let reloader = Arc::clone(&parts.reloader);
    let shown = move || {
        let mut file = reloader.in_force();
        for text in file.files.iter_mut().map(|file| &mut file.text).chain([&mut file.text]) {
            *text = redacted(text).into_owned();
        }
        Reply::json(200, &file)
    };
    Reply::of_work(shown, "the file could not be shown").await
}

/// The versions that a saved plan was made of.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlannedReload {
    from: String,
    to: String,
}

async fn reload(parts: &Arc<Parts>, body: &[u8]) -> Reply {
    let planned = match serde_json::from_slice::<Option<PlannedReload>>(if body.is_empty() { b"null" } else { body }) {
        Ok(planned) => planned,
        Err(error) => {
            return Reply::problem(400, &format!("the body names a plan's `from` and `to`, or is empty: {error}"));
        }
    };
    if let Some(PlannedReload { from, to }) = planned {
        let reloader = Arc::clone(&parts.reloader);
        let Ok(texts) = tokio::task::spawn_blocking(move || reloader.fingerprints()).await else {
            return Reply::problem(500, "the file could not be read");
        };
        // The file is watched: it may be in force already.
        let stale = if texts.file.as_ref() != Some(&to) {
            "the file is not the one that was planned"
        } else if texts.in_force != from && texts.in_force != to {
            "another file was put in force since"
        } else {
            ""
        };
        if !stale.is_empty() {
            return Reply::problem(409, &format!("the plan is stale: {stale}; make a new one"));
        }
    }
    let reloader = Arc::clone(&parts.reloader);
    let reloading = move || {
        let outcome = reloader.reload();
        Reply::json(if outcome.result == ReloadResult::Refused { 409 } else { 200 }, &outcome)
    };
    Reply::of_work(reloading, "the reload ended in a panic; the last good file stays in force").await
}

/// Which route takes a request, with the dials and the button as they stand.
pub fn explained(parts: &Parts, request: &ExplainRequest) -> Result<Explained, ExplainError> {
    let generation = parts.app.in_force.load();
    let button = parts.app.live.monolith_only(generation.snapshot.server.monolith_only);
    let dials = |id| Some(generation.route(Some(id)).dial);
    explain(&generation.snapshot, request, button, &dials)
}

fn told_of(parts: &Parts, body: &[u8]) -> Reply {
    let request: ExplainRequest = match Reply::read(body, "is not an explain request") {
        Ok(request) => request,
        Err(reply) => return reply,
    };
    match explained(parts, &request) {
        Ok(explanation) => Reply::json(200, &explanation),
        Err(error) => Reply::problem(400, &error.to_string()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Button {
    on: bool,
    /// Stands in the journal.
    reason: Option<String>,
}

async fn monolith_only(parts: &Arc<Parts>, caller: &Caller, asked: &ApiRequest, body: &[u8]) -> Reply {
    let Ok(button) = serde_json::from_slice::<Button>(body) else {
        return Reply::problem(
            400,
            "the body must be {\"on\": true} or {\"on\": false}, with a `reason` if there is one",
        );
    };
    let reason = moves::cut(button.reason.as_deref().unwrap_or_default());
    press(parts, button.on, &asked.who(caller), reason).await;
    Reply::json(200, &serde_json::json!({ "monolith_only": button.on }))
}

/// The API as an `OpenAPI` document; `tests/api` holds the answers against it.
const OPENAPI: &str = include_str!("openapi.json");
/// The timeout for requests to the fleet's etcd while a caller waits.
const ETCD: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::OPENAPI;

    /// The properties without a description, each by its place in the document.
    fn undescribed(value: &Value, place: &str, found: &mut Vec<String>) {
        for (key, below) in value.as_object().into_iter().flatten() {
            let place = format!("{place}/{key}");
            if key == "properties" {
                for (name, property) in below.as_object().into_iter().flatten() {
                    let about = property["description"].as_str().unwrap_or_default();
                    if about.len() <= 3 || about.trim() != about {
                        found.push(format!("{place}/{name}"));
                    }
                }
            }
            undescribed(below, &place, found);
        }
        for (index, below) in value.as_array().into_iter().flatten().enumerate() {
            undescribed(below, &format!("{place}/{index}"), found);
        }
    }

    #[test]
    fn every_property_of_the_bodies_has_its_sentence() {
        let document: Value = serde_json::from_str(OPENAPI).expect("the document is JSON");
        let mut found = Vec::new();
        undescribed(&document, "", &mut found);
        assert!(found.is_empty(), "{}", found.join("\n"));
    }
}
