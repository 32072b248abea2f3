//! What a person does with the comparisons of a route: forget them, ask one of their requests again.

use std::sync::Arc;

use serde::Deserialize;

use super::Parts;
use super::access::Caller;
use super::moves::{self, ApiRequest, cut};
use super::reply::{Reply, compares_nothing, unknown_route};
use super::status::has_route;
use crate::migration::dial::By;
use crate::proxy::again;
use crate::reload::{self, Author, MoveRequest, NotMoved};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Why {
    reason: Option<String>,
}

/// `DELETE /api/v1/routes/NAME/comparisons`: the evidence begins anew. It is in the journal first: what cannot be written
/// there is not forgotten.
pub async fn reset(parts: &Arc<Parts>, caller: &Caller, below: &str, asked: &ApiRequest, body: &[u8]) -> Reply {
    let Some(name) = below.strip_suffix("/comparisons") else { return Reply::not_allowed("GET, HEAD") };
    if !has_route(parts, name) {
        return unknown_route();
    }
    if !parts.app.shadow.knows(name) {
        return compares_nothing(name);
    }
    let why: Why = match Reply::read(body, "is not {\"reason\": \"…\"}") {
        Ok(why) => why,
        Err(_) if body.is_empty() => Why::default(),
        Err(reply) => return reply,
    };
    let Some(reason) = why.reason.as_deref().map(str::trim).filter(|reason| !reason.is_empty()) else {
        return Reply::problem(400, "say why, for the journal: {\"reason\": \"…\"}");
    };
    let (parts, route) = (Arc::clone(parts), name.to_owned());
    let (who, reason) = (asked.who(caller), cut(reason).to_owned());
    let resetting = move || {
        let author = Author { by: By::Person, who: &who, reason: &reason, verdict: None };
        let request = MoveRequest {
            route: &route,
            asked: reload::RequestedMove::Reset,
            author,
            expect_seq: None,
            write: false,
            unasked: false,
        };
        let made = parts.reloader.turn(&request)?;
        parts.app.shadow.reset(&route, &who, &reason);
        parts.gates.look_now();
        Ok::<_, NotMoved>(serde_json::json!({ "reset": route, "seq": made.seq, "who": made.who, "reason": reason }))
    };
    match tokio::task::spawn_blocking(resetting).await {
        Ok(Ok(made)) => Reply::json(200, &made),
        Ok(Err(why)) => moves::refused(&why),
        Err(_) => Reply::problem(500, "the reset ended in a panic"),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Replay {
    number: u64,
    /// Beside those that were kept; they win.
    #[serde(default)]
    headers: Vec<(String, String)>,
}

/// `POST /api/v1/routes/NAME/replay`: a request of an example is asked again at both sides.
pub async fn replay(parts: &Arc<Parts>, caller: &Caller, name: &str, body: &[u8]) -> Reply {
    let Replay { number, headers: given } = match Reply::read(body, "is not {\"number\": 17}") {
        Ok(replay) => replay,
        Err(reply) => return reply,
    };
    if !has_route(parts, name) {
        return unknown_route();
    }
    if !parts.app.shadow.knows(name) {
        return compares_nothing(name);
    }
    let generation = parts.app.in_force.load();
    if parts.app.live.monolith_only(generation.snapshot.server.monolith_only) {
        return Reply::problem(409, "the big red button is on: services are asked nothing");
    }
    // The evidence may lie on disk, which is not this runtime's.
    let (shadow, route) = (Arc::clone(&parts.app.shadow), name.to_owned());
    let found = tokio::task::spawn_blocking(move || shadow.kept_request(&route, number)).await;
    let Some((kept, mut headers)) = found.ok().flatten() else {
        return Reply::problem(404, "no request of this number is kept (any more); the comparisons have the numbers");
    };
    headers.extend(given);
    let asked = match again(&generation, name, kept, &headers) {
        Ok(asked) => asked,
        Err(why) => return Reply::problem(409, &why.to_string()),
    };
    drop(generation);
    tracing::info!(route = name, number, by = &*caller.name, "a kept request is asked again at both sides");
    parts.app.shadow.again(asked).await.map_or_else(|| compares_nothing(name), |report| Reply::json(200, &report))
}
