//! The streams of the pages: when to look again, and requests as they happen.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;

use super::requests::drawn;
use super::visitor::Visitor;
use crate::admin::{Manner, PageRequest, Parts, Reply, filter, has_room, left, stream, stream_head};
use crate::telemetry::Event;

/// How often it is looked whether something moved.
const LOOK: Duration = Duration::from_secs(1);
/// Figures change all the time: after this many looks a page is drawn anew although nothing moved.
const FIGURES: u32 = 5;

/// Says once a second at most that there is something new. It watches no request: a hundred open pages cost the request path
/// nothing.
pub async fn live(
    parts: &Arc<Parts>,
    session: &mut ServerSession,
    shutdown: &ShutdownWatch,
    goes_on: &(dyn Fn() -> bool + Sync),
) -> Option<Reply> {
    let mut shutdown = shutdown.clone();
    session.set_keepalive(None);
    let head = stream_head(!session.is_http2()).ok()?;
    session.write_response_header(Box::new(head)).await.ok()?;
    let mut clock = tokio::time::interval(LOOK);
    let (mut seen, mut looks) = (state(parts), 0);
    session.write_response_body(Bytes::from_static(b": watching\n\n"), false).await.ok()?;
    loop {
        tokio::select! {
            _ = clock.tick() => {}
            changed = shutdown.changed() => if changed.is_err() || *shutdown.borrow() { break },
            () = left(session) => break,
        }
        if !goes_on() {
            break;
        }
        looks += 1;
        let now = state(parts);
        if now != seen || looks >= FIGURES {
            (seen, looks) = (now, 0);
            session.write_response_body(Bytes::from_static(b"event: look\ndata: \n\n"), false).await.ok()?;
        }
    }
    session.write_response_body(Bytes::new(), true).await.ok()?;
    None
}

/// What a move, a file or the button changes.
pub fn state(parts: &Parts) -> (usize, u64, bool, bool) {
    let generation = parts.app.in_force.load();
    let pressed = parts.app.live.monolith_only(generation.snapshot.server.monolith_only);
    (Arc::as_ptr(&generation) as usize, generation.number, pressed, parts.app.live.is_file_refused())
}

/// Requests, drawn.
pub async fn requests(
    parts: &Arc<Parts>,
    request: &PageRequest,
    visitor: &Visitor,
    session: &mut ServerSession,
    shutdown: &ShutdownWatch,
    goes_on: &(dyn Fn() -> bool + Sync),
) -> Option<Reply> {
    let events = &parts.app.telemetry.events;
    if !has_room(events) {
        return Some(Reply::problem(503, "too many are watching already"));
    }
    let filter = match filter(request.uri.query()) {
        Ok(filter) => filter,
        Err(refused) => return Some(refused),
    };
    let values = visitor.operates();
    let written = move |event: &Event| match event.kind {
        "request" => {
            drawn(&event.data, values).map_or_else(String::new, |html| format!("event: request\ndata: {html}\n\n"))
        }
        _ => String::new(),
    };
    stream(events, filter, session, shutdown, &Manner { written: &written, goes_on }).await.ok()?;
    None
}
