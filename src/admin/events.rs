//! The live stream: what happens, as server-sent events, for as long as somebody watches.

use std::time::Duration;

use http::header;
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;

use super::Parts;

/// A silent stream says this often that it is alive, so that a watcher who left is noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Writes events until the client leaves or the process stops.
pub async fn stream(parts: &Parts, session: &mut ServerSession, mut shutdown: ShutdownWatch) {
    let Ok(mut head) = ResponseHeader::build(200, Some(4)) else { return };
    let fields = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        (header::TRANSFER_ENCODING, "chunked"),
    ];
    for (name, value) in fields {
        head.insert_header(name, value).expect("constants are valid headers");
    }
    let mut events = parts.telemetry.events.subscribe();
    session.set_keepalive(None);
    session.set_read_timeout(None);
    if session.write_response_header(Box::new(head)).await.is_err() {
        return;
    }
    let mut beat = tokio::time::interval(HEARTBEAT);
    loop {
        let text = tokio::select! {
            event = events.next() => match event {
                Some(event) => event,
                None => return,
            },
            _ = beat.tick() => ": alive\n\n".to_owned(),
            _ = shutdown.changed() => return,
        };
        if session.write_response_body(text.into(), false).await.is_err() {
            return;
        }
    }
}
