//! A person's actions on the comparisons of a route: forget them, ask one of their requests again.

use std::sync::Arc;

use serde::Deserialize;

use super::Parts;
use super::access::Caller;
use super::moves::{self, ApiRequest, cut};
use super::reply::{Reply, compares_nothing, nothing_compared, unknown_route};
use super::status::has_route;
use crate::compare::AgainReport;
use crate::migration::dial::By;
use crate::proxy::{NotAgain, again};
use crate::reload::{Author, MoveMade, MoveRequest, NotMoved, RequestedMove};
use crate::shadow::Again;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Why {
    reason: Option<String>,
}

/// `DELETE /api/v1/routes/NAME/comparisons`: the evidence begins anew.
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
        let made = forget(&parts, &route, (&who, &reason), None)?;
        Ok::<_, NotMoved>(serde_json::json!({ "reset": route, "seq": made.seq, "who": made.who, "reason": reason }))
    };
    match tokio::task::spawn_blocking(resetting).await {
        Ok(Ok(made)) => Reply::json(200, &made),
        Ok(Err(why)) => moves::refused(&why),
        Err(_) => Reply::problem(500, "the reset ended in a panic"),
    }
}

/// The evidence of a route begins anew. It is in the journal first: what cannot be written there is not forgotten. Waits for a
/// disk.
pub fn forget(
    parts: &Parts,
    route: &str,
    (who, reason): (&str, &str),
    expect_seq: Option<u64>,
) -> Result<MoveMade, NotMoved> {
    let author = Author { by: By::Person, who, reason, verdict: None };
    let request = MoveRequest { route, asked: RequestedMove::Reset, author, expect_seq, write: false, unasked: false };
    let made = parts.reloader.turn(&request)?;
    parts.app.shadow.reset(route, who, reason);
    parts.gates.look_now();
    Ok(made)
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
    let Replay { number, headers } = match Reply::read(body, "is not {\"number\": 17}") {
        Ok(replay) => replay,
        Err(reply) => return reply,
    };
    match ask_again(parts, &caller.name, (name, number), headers).await {
        Ok(report) => Reply::json(200, &report),
        Err(why) => Reply::problem(why.status(), &why.to_string()),
    }
}

/// Why a kept request is not asked again.
#[derive(Debug, thiserror::Error)]
pub enum NotReplayed {
    #[error("there is no such route")]
    NoRoute,
    #[error("{}", nothing_compared(.0))]
    ComparesNothing(String),
    #[error("the big red button is on: services are asked nothing")]
    Button,
    #[error("no request of this number is kept (any more); the comparisons have the numbers")]
    NotKept,
    #[error(transparent)]
    NotAgain(#[from] NotAgain),
}

impl NotReplayed {
    pub const fn status(&self) -> u16 {
        match self {
            Self::NoRoute | Self::ComparesNothing(_) | Self::NotKept => 404,
            Self::Button | Self::NotAgain(_) => 409,
        }
    }
}

/// Asks a kept request of a route again at both sides. `given`: headers beside those that were kept; they win.
pub async fn ask_again(
    parts: &Arc<Parts>,
    by: &str,
    (name, number): (&str, u64),
    given: Vec<(String, String)>,
) -> Result<AgainReport, NotReplayed> {
    let asked = prepared(parts, (name, number), given).await?;
    tracing::info!(route = name, number, by, "a kept request is asked again at both sides");
    parts.app.shadow.again(asked).await.ok_or_else(|| NotReplayed::ComparesNothing(name.to_owned()))
}

/// A kept request as it would be asked again.
pub async fn prepared(
    parts: &Arc<Parts>,
    (name, number): (&str, u64),
    given: Vec<(String, String)>,
) -> Result<Again, NotReplayed> {
    if !has_route(parts, name) {
        return Err(NotReplayed::NoRoute);
    }
    if !parts.app.shadow.knows(name) {
        return Err(NotReplayed::ComparesNothing(name.to_owned()));
    }
    let generation = parts.app.in_force.load();
    if parts.app.live.monolith_only(generation.snapshot.server.monolith_only) {
        return Err(NotReplayed::Button);
    }
    // The evidence may lie on disk, which is not this runtime's.
    let (shadow, route) = (Arc::clone(&parts.app.shadow), name.to_owned());
    let found = tokio::task::spawn_blocking(move || shadow.kept_request(&route, number)).await;
    let (kept, mut headers) = found.ok().flatten().ok_or(NotReplayed::NotKept)?;
    headers.extend(given);
    Ok(again(&generation, name, kept, &headers)?)
}
