//! The live stream as server-sent events, until the watcher leaves or the proxy stops.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header;
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;

use super::reply::Reply;
use crate::telemetry::{EventFilter, Events, Heard};

/// Keeps proxies in between from closing a quiet stream, and notices a watcher that has left.
const STILL_HERE: Duration = Duration::from_secs(15);
/// Each holds a connection and a backlog.
const MOST_WATCHERS: usize = 64;

/// `?route=…&side=…&status=5xx`, all of them optional.
pub(super) fn filter(query: Option<&str>) -> Result<EventFilter, Reply> {
    let mut filter = EventFilter::default();
    for pair in query.unwrap_or("").split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        match key {
            "route" => filter.route = Some(value.to_owned()),
            "side" => filter.side = Some(value.to_owned()),
            "status" => match value.parse() {
                Ok(status) => filter.status = Some(status),
                Err(()) => return Err(Reply::problem(400, "`status` is a status as `404` or a class as `5xx`")),
            },
            _ => return Err(Reply::problem(400, "the stream takes `route`, `side` and `status`")),
        }
    }
    Ok(filter)
}

/// There is room for one more watcher.
pub(super) fn has_room(events: &Events) -> bool {
    events.watchers() < MOST_WATCHERS
}

/// Writes events as they come.
pub(super) async fn stream(
    events: &Arc<Events>,
    filter: &EventFilter,
    session: &mut ServerSession,
    shutdown: &ShutdownWatch,
) -> Result<()> {
    let mut watcher = events.watch();
    let mut shutdown = shutdown.clone();
    let mut silence = tokio::time::interval(STILL_HERE);
    silence.reset();
    session.set_keepalive(None);
    let chunked = !session.is_http2();
    session.write_response_header(Box::new(head(chunked)?)).await?;
    session.write_response_body(Bytes::from_static(b": watching\n\n"), false).await?;
    loop {
        let text = tokio::select! {
            heard = watcher.next() => match heard {
                Some(Heard::Event(event)) if filter.wants(&event) => {
                    format!("event: {}\ndata: {}\n\n", event.kind, event.data)
                }
                Some(Heard::Event(_)) => continue,
                Some(Heard::Missed(count)) => format!(": {count} events were missed\n\n"),
                None => break,
            },
            _ = silence.tick() => ": still here\n\n".to_owned(),
            changed = shutdown.changed() => {
                if changed.is_err() || *shutdown.borrow() {
                    break;
                }
                continue;
            }
        };
        session.write_response_body(text.into(), false).await?;
    }
    session.write_response_body(Bytes::new(), true).await
}

fn head(chunked: bool) -> Result<ResponseHeader> {
    let mut head = ResponseHeader::build(200, Some(4))?;
    head.insert_header(header::CONTENT_TYPE, "text/event-stream")?;
    head.insert_header(header::CACHE_CONTROL, "no-store")?;
    head.insert_header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")?;
    if chunked {
        head.insert_header(header::TRANSFER_ENCODING, "chunked")?;
    }
    Ok(head)
}
