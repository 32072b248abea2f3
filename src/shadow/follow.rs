//! Follows a request that is only accepted: asked on at the side that accepted it, off every client's path.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;

use super::ask::{Client, Response};
use super::budget::ByteBudget;
use super::capture::Seen;
use super::copies::Copies;
use super::deliver::Asked;
use crate::compare::{ComparedResponse, without_port};
use crate::endpoint::UpstreamId;
use crate::message::Name;
use crate::migration::Follow;
use crate::route::resolve;
use crate::upstream::Pool;

/// Questions about one outcome.
const MOST_QUESTIONS: u32 = 10;

/// Before the first question; doubled from one to the next.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// The result of following one side.
pub(super) struct Followed {
    /// The outcome; where none came, the last answer.
    pub(super) seen: Seen,
    /// It was asked on.
    pub(super) asked_on: bool,
    /// It was to be asked on, and no outcome came.
    pub(super) unfinished: bool,
}

/// One side of a comparison: where to ask on.
pub(super) struct Side<'a> {
    pub(super) pool: &'a Arc<Pool>,
    pub(super) upstream: UpstreamId,
    pub(super) copies: &'a Copies,
    pub(super) client: &'a Client,
    pub(super) budget: &'a Arc<ByteBudget>,
}

/// Asks on as long as a side has only accepted what was asked: a GET with the client's credentials.
pub(super) async fn follow(
    mut seen: Seen,
    asked: &Asked,
    rules: &Follow,
    body_limit: u64,
    side: &Side<'_>,
) -> Followed {
    // The Location that the client got may have been turned back into its own terms, in which no side can be asked.
    let turned = seen.endpoint.is_none() && side.upstream != UpstreamId::MONOLITH && side.copies.turns_back;
    if turned && seen.response.status == rules.status {
        return Followed { seen, asked_on: false, unfinished: true };
    }
    let Some(mut place) = place(&seen, rules, asked, side) else {
        return Followed { seen, asked_on: false, unfinished: false };
    };
    let (end, took, waited) = (Instant::now() + rules.within, seen.took, seen.waited);
    let mut pause = FIRST_PAUSE;
    for _ in 0..MOST_QUESTIONS {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        tokio::time::sleep(pause.min(left)).await;
        pause = pause.saturating_mul(2);
        // Clients come first where an upstream has `max_in_flight`.
        let Ok(permit) = side.pool.permit_for_copy() else { continue };
        let keep = Some((body_limit, side.budget.hold()));
        let answered = asked.ask_at(&place, side, keep).await;
        drop(permit);
        // No response, or no memory for it: there is no outcome.
        let Ok(Response { seen: Some(next), .. }) = answered else { continue };
        // How long the side took is how long it took to accept.
        seen = Seen { took, waited, ..next };
        if seen.response.status != StatusCode::NOT_FOUND && seen.response.status != rules.status {
            return Followed { seen, asked_on: true, unfinished: false };
        }
        if let Some(next) = self::place(&seen, rules, asked, side) {
            place = next;
        }
    }
    Followed { seen, asked_on: true, unfinished: true }
}

/// The path and query to ask on at: of a Location on the same host, and of nothing else.
fn place(seen: &Seen, rules: &Follow, asked: &Asked, side: &Side<'_>) -> Option<Vec<u8>> {
    let ComparedResponse { status, headers, .. } = &seen.response;
    if *status != rules.status {
        return None;
    }
    let location = seen.location.as_deref().or_else(|| headers.get(http::header::LOCATION)?.to_str().ok())?;
    let own = asked.written(side.copies, side.upstream).ok()?;
    let names = [asked.head.fields.text(Name::Host), own.fields.text(Name::Host), seen.endpoint.as_deref()];
    target(location, own.target(), &names)
}

/// Resolves a Location against the target that was asked; `None` where it leads to another host, or is none.
fn target(location: &str, base: &[u8], own: &[Option<&str>]) -> Option<Vec<u8>> {
    let location = location.split('#').next().unwrap_or_default().trim();
    if location.is_empty() || location.bytes().any(|byte| byte <= b' ' || byte == 0x7f || byte == b'\\') {
        return None;
    }
    let absolute = ["http://", "https://"].iter().find_map(|scheme| {
        let head = location.get(..scheme.len())?;
        head.eq_ignore_ascii_case(scheme).then(|| location.get(scheme.len()..)).flatten()
    });
    if let Some(rest) = absolute.or_else(|| location.strip_prefix("//")) {
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let is_own = own.iter().flatten().any(|name| without_port(name).eq_ignore_ascii_case(without_port(authority)));
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        return is_own.then(|| path.into_bytes());
    }
    if location.starts_with('/') {
        return Some(location.as_bytes().to_vec());
    }
    let base = base.split(|byte| *byte == b'?').next().unwrap_or_default();
    if location.starts_with('?') {
        return Some([base, location.as_bytes()].concat());
    }
    // Another scheme, or a name below the folder of what was asked.
    if location.split(['/', '?']).next().is_some_and(|first| first.contains(':')) {
        return None;
    }
    let folder = base.iter().rposition(|byte| *byte == b'/').map_or(&b"/"[..], |slash| &base[..=slash]);
    let (path, query) = location.split_at(location.find('?').unwrap_or(location.len()));
    let folder = std::str::from_utf8(folder).ok()?;
    Some([resolve(&format!("{folder}{path}")).as_str(), query].concat().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_path_and_query_on_the_same_host_and_never_an_address() {
        let own = [Some("shop.example:8080"), None, Some("10.0.0.5:7001")];
        for (location, expected) in [
            ("/jobs/7", Some("/jobs/7")),
            ("/jobs/7?a=1#part", Some("/jobs/7?a=1")),
            ("jobs/7", Some("/v2/jobs/7")),
            ("../jobs/7", Some("/jobs/7")),
            ("../../../jobs/./7", Some("/jobs/7")),
            ("..", Some("/")),
            (".", Some("/v2/")),
            ("?job=7", Some("/v2/orders?job=7")),
            ("https://SHOP.example/jobs/7", Some("/jobs/7")),
            ("http://10.0.0.5:7001/jobs/7", Some("/jobs/7")),
            ("//shop.example/jobs/7", Some("/jobs/7")),
            ("http://shop.example", Some("/")),
            ("http://shop.example?job=7", Some("/?job=7")),
            ("http://evil.example/jobs/7", None),
            ("//evil.example/jobs/7", None),
            ("http://shop.example@evil.example/", None),
            ("http://shop.example\\@evil.example/", None),
            ("file:///etc/passwd", None),
            ("urn:job:7", None),
            ("/jobs/7\r\nX: y", None),
            ("", None),
        ] {
            let found = target(location, b"/v2/orders?a=b", &own);
            assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{location:?}");
        }
    }
}
