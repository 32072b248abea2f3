//! Moves by a person: promote, rollback, pause, resume, approve; and the journal.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use pingora::http::RequestHeader;
use serde::Deserialize;

use super::Parts;
use super::access::Caller;
use super::arrival::{came_from, is_by_command_line};
use super::reply::Reply;
use super::seen::seen;
use super::status::{Window, route_status};
use crate::gate::{GateReport, WrittenDial};
use crate::message::form_value;
use crate::migration::dial::By;
use crate::reload::{self, Author, MoveRequest, NotAnAct, NotMoved, VERBS, WrittenAct};

/// The parts of a request's head that the API reads.
pub struct ApiRequest {
    /// `seq` of the journal that the client saw last.
    if_match: Option<String>,
    /// The name that the client gives itself.
    claimed: Option<String>,
    /// By what, from where and with which program it came, as the journal says it.
    way: String,
    query: String,
}

/// Longer names and reasons are cut: they stand in the journal for ever.
const LONGEST: usize = 500;
const MOST_ENTRIES: usize = 1000;
const ENTRIES: usize = 100;

impl ApiRequest {
    pub fn of(parts: &Parts, head: &RequestHeader, peer: Option<IpAddr>) -> Self {
        let field = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Self {
            if_match: field("if-match"),
            claimed: field("x-multilith-user"),
            way: format!(
                "via {}{}",
                if is_by_command_line(&head.headers) { "cli" } else { "api" },
                came_from(parts, peer, &head.headers)
            ),
            query: head.uri.query().unwrap_or_default().to_owned(),
        }
    }

    /// The name that the client gives itself.
    pub fn name(&self) -> Option<&str> {
        self.claimed.as_deref().map(cut)
    }

    /// The caller's name, with the name that it gives itself behind it, and which way it came.
    pub fn who(&self, caller: &Caller) -> String {
        let claimed = self.claimed.as_deref().map(|name| format!(" (claimed {})", cut(name))).unwrap_or_default();
        format!("{}{claimed} {}", caller.name, self.way)
    }

    fn query(&self, key: &str) -> Option<Cow<'_, str>> {
        form_value(self.query.as_bytes(), key)
    }
}

/// The body of every move.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    to: Option<String>,
    weight: Option<String>,
    reason: Option<String>,
    expect_seq: Option<u64>,
    /// Also into the file.
    #[serde(default)]
    write: bool,
    #[serde(default)]
    from_start: bool,
    /// Of a pause: the roll-backs, too.
    #[serde(default)]
    all: bool,
    /// Not where a person has to agree.
    #[serde(default)]
    unasked: bool,
}

/// Whether `NAME/VERB` is one that is posted.
pub fn is_act(below: &str) -> bool {
    below.rsplit_once('/').is_some_and(|(_, verb)| VERBS.contains(&verb))
}

/// `POST /api/v1/routes/NAME/VERB`.
pub async fn answer(parts: &Arc<Parts>, caller: &Caller, below: &str, asked: &ApiRequest, body: Vec<u8>) -> Reply {
    let Some((route, verb)) = below.rsplit_once('/') else { return Reply::not_allowed("GET, HEAD") };
    if matches!(verb, "gate" | "comparisons" | "comparisons.hurl") {
        return Reply::not_allowed("GET, HEAD");
    }
    if !VERBS.contains(&verb) {
        return Reply::problem(404, &NotAnAct::Verb.to_string());
    }
    let body: Body = if body.is_empty() {
        Body::default()
    } else {
        match Reply::read(&body, "is not what this act takes") {
            Ok(body) => body,
            Err(reply) => return reply,
        }
    };
    let (to, weight) = (body.to.as_deref(), body.weight.as_deref());
    let written = WrittenAct { verb, to, weight, from_start: body.from_start, all: body.all };
    let act = match written.read() {
        Ok(act) => act,
        Err(why) => return Reply::problem(400, &why.to_string()),
    };
    let expect_seq = match expected(asked, &body) {
        Ok(expected) => expected,
        Err(why) => return Reply::problem(400, &why.to_string()),
    };
    let (parts, route) = (Arc::clone(parts), route.to_owned());
    let who = asked.who(caller);
    let reason = cut(body.reason.as_deref().unwrap_or_default()).to_owned();
    let moving = move || {
        let window = Window::default();
        let row = route_status(&parts, &route, window);
        let verdict = row.as_ref().and_then(|row| seen(row, window));
        let evidence = row.and_then(|row| row.gate).map(|gate| gate.why);
        let author = Author { by: By::Person, who: &who, reason: &reason, verdict };
        let request =
            MoveRequest { route: &route, asked: act, author, expect_seq, write: body.write, unasked: body.unasked };
        let moved = parts.reloader.turn(&request)?;
        parts.gates.look_now();
        Ok::<_, NotMoved>(reload::MoveMade { evidence, ..moved })
    };
    match tokio::task::spawn_blocking(moving).await {
        Ok(Ok(moved)) => Reply::json(200, &moved),
        Ok(Err(why)) => refused(&why),
        Err(_) => Reply::problem(500, "the move ended in a panic"),
    }
}

/// The report of a route's gate; `None`: it has none.
pub(super) fn gate_of(parts: &Parts, route: &str) -> Option<GateReport> {
    let generation = parts.app.in_force.load();
    let entry = generation.named(route)?;
    parts.gates.report(entry)
}

#[derive(Debug, thiserror::Error)]
#[error("If-Match must be the `seq` of the route, as in \"42\"")]
struct NotASeq;

/// `If-Match: "42"` and `expect_seq` mean the same.
fn expected(asked: &ApiRequest, body: &Body) -> Result<Option<u64>, NotASeq> {
    match asked.if_match.as_deref() {
        None | Some("*") => Ok(body.expect_seq),
        Some(tag) => {
            let number = tag.trim().trim_matches('"').parse().map_err(|_| NotASeq)?;
            Ok(Some(number))
        }
    }
}

pub(super) fn refused(why: &NotMoved) -> Reply {
    let text = why.to_string();
    match why {
        NotMoved::NoRoute => Reply::problem(404, &text),
        NotMoved::Overtaken { seq, dial } => Reply::problem_with(
            412,
            &text,
            &serde_json::json!({ "seq": seq, "stage": dial.stage.as_str(), "in_force": dial.to_string() }),
        ),
        NotMoved::Unasked { seq, to } => Reply::problem_with(
            409,
            &text,
            &serde_json::json!({ "code": "unasked", "seq": seq, "to": WrittenDial::from(*to) }),
        ),
        NotMoved::Invalid(diagnostics) => {
            Reply::problem_with(409, &text, &serde_json::json!({ "diagnostics": diagnostics }))
        }
        NotMoved::NoMove(_) | NotMoved::Nothing(_) | NotMoved::Variable(_) => Reply::problem(409, &text),
        NotMoved::Journal(why) if why.is_in_use() => {
            Reply::problem_with(503, &text, &serde_json::json!({ "code": "state-in-use" }))
        }
        NotMoved::Journal(_) => Reply::problem(503, &text),
        NotMoved::Fleet(_) => Reply::problem_with(503, &text, &serde_json::json!({ "code": "fleet-unreachable" })),
    }
}

/// As much of a name or a reason as the journal keeps.
pub(super) fn cut(text: &str) -> &str {
    let end = (0..=LONGEST.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}

/// `GET /api/v1/journal?route=&after=&limit=`.
pub async fn journal(parts: &Arc<Parts>, asked: &ApiRequest) -> Reply {
    let number = |key: &str, default: u64| match asked.query(key).filter(|text| !text.is_empty()) {
        None => Ok(default),
        Some(text) => text.parse::<u64>().map_err(|_| Reply::problem(400, &format!("`{key}` must be a whole number"))),
    };
    let (after, limit) = match (number("after", 0), number("limit", ENTRIES as u64)) {
        (Ok(after), Ok(limit)) => (after, limit),
        (Err(refused), _) | (_, Err(refused)) => return refused,
    };
    let limit = usize::try_from(limit).unwrap_or(MOST_ENTRIES).clamp(1, MOST_ENTRIES);
    let route = asked.query("route").filter(|route| !route.is_empty());
    let (parts, route) = (Arc::clone(parts), route.map(Cow::into_owned));
    // A disk may take its time, which is not this runtime's.
    let read = move || match parts.reloader.journal().page(route.as_deref(), after, limit) {
        Ok(page) => Reply::json(200, &page),
        Err(error) => Reply::problem(503, &error.to_string()),
    };
    Reply::of_work(read, "the journal could not be read").await
}
