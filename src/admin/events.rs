//! The live stream as server-sent events, until the watcher leaves or the proxy stops.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header;
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;

use super::reply::Reply;
use crate::message::form_pairs;
use crate::telemetry::{Event, EventFilter, Events, Heard, NoStatus};

/// Keeps proxies in between from closing a quiet stream.
const STILL_HERE: Duration = Duration::from_secs(15);
/// How often a watcher is told how much it was not shown.
const TELL_LEFT_OUT: Duration = Duration::from_secs(1);
/// Streams of events and pages that wait for news, together: each holds one of the listener's connections, and half of these stay
/// free for probes and for the button.
const MOST_STREAMS: usize = 128;

/// A filter of the stream that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum WrongFilter {
    #[error(transparent)]
    Status(NoStatus),
    #[error("`client` is an address, such as 10.0.0.7")]
    Client,
    #[error("the stream takes `route`, `side`, `status`, `client` and `id`")]
    Key,
}

impl From<WrongFilter> for Reply {
    fn from(why: WrongFilter) -> Self {
        Self::problem(400, &why.to_string())
    }
}

/// `?route=…&side=…&status=5xx&client=10.0.0.7&id=…`, all of them optional.
pub fn filter(query: Option<&str>) -> Result<EventFilter, WrongFilter> {
    let mut filter = EventFilter::default();
    for (key, value) in form_pairs(query.unwrap_or_default().as_bytes()) {
        match &*key {
            "route" => filter.route = Some(value.into_owned()),
            "side" => filter.side = Some(value.into_owned()),
            "status" => match value.parse() {
                Ok(status) => filter.status = Some(status),
                Err(why) => return Err(WrongFilter::Status(why)),
            },
            "client" => match value.parse() {
                Ok(client) => filter.client = Some(client),
                Err(_) => return Err(WrongFilter::Client),
            },
            "id" => filter.id = Some(value.into_owned()),
            _ => return Err(WrongFilter::Key),
        }
    }
    Ok(filter)
}

/// There is room for one more watcher.
pub fn has_room(events: &Events) -> bool {
    events.streams() < MOST_STREAMS
}

/// How a watcher wants events written, and whether it still may watch.
pub struct Manner<'a> {
    /// The text of one event, as it stands in the stream; empty: it is left out.
    pub written: &'a (dyn Fn(&Event) -> String + Sync),
    /// Asked once a second: what else is to be written, and whether that is the last.
    pub each_second: &'a (dyn Fn() -> ControlFlow<String, String> + Sync),
}

/// Events as the API has them.
pub fn as_json(event: &Event) -> String {
    sse(event.kind, &event.data)
}

/// The same for readers, without personal data: a query and a user agent may be about a person.
pub fn as_json_for_readers(event: &Event) -> String {
    const PERSONAL: [&str; 2] = ["url.query", "user_agent.original"];
    let Ok(mut data) = serde_json::from_str::<serde_json::Map<_, _>>(&event.data) else { return String::new() };
    data.retain(|key, _| !PERSONAL.contains(&&**key));
    sse(event.kind, &serde_json::Value::Object(data).to_string())
}

fn sse(kind: &str, data: &str) -> String {
    format!("event: {kind}\ndata: {data}\n\n")
}

/// Writes events as they come.
pub async fn stream(
    events: &Arc<Events>,
    filter: EventFilter,
    session: &mut ServerSession,
    shutdown: &ShutdownWatch,
    manner: &Manner<'_>,
) -> Result<()> {
    let mut watcher = events.watch(filter);
    let mut shutdown = shutdown.clone();
    let mut silence = tokio::time::interval(STILL_HERE);
    silence.reset();
    let mut look = tokio::time::interval(TELL_LEFT_OUT);
    let mut left_out = LeftOut { told: events.left_out(), missed: 0 };
    session.set_keepalive(None);
    let chunked = !session.is_http2();
    session.write_response_header(Box::new(head(chunked)?)).await?;
    session.write_response_body(Bytes::from_static(b": watching\n\n"), false).await?;
    loop {
        let text = tokio::select! {
            heard = watcher.next() => match heard {
                Some(Heard::Event(event)) => match (manner.written)(&event) {
                    text if text.is_empty() => continue,
                    text => text,
                },
                Some(Heard::Missed(count)) => {
                    left_out.missed += count;
                    continue;
                }
                None => break,
            },
            _ = look.tick() => {
                let mut text = match (manner.each_second)() {
                    ControlFlow::Continue(text) => text,
                    ControlFlow::Break(last) => {
                        session.write_response_body(last.into(), true).await?;
                        return Ok(());
                    }
                };
                match left_out.since(events.left_out()) {
                    0 => {}
                    count => text.push_str(&sse("left_out", &format!("{{\"left_out\":{count}}}"))),
                }
                if text.is_empty() {
                    continue;
                }
                text
            }
            _ = silence.tick() => ": still here\n\n".to_owned(),
            () = left(session) => break,
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

/// Waits until the client of a stream closes the connection: what it held is free again at once, and not at the second write from then.
pub async fn left(session: &mut ServerSession) {
    // Every end of this is one: a client of a stream has nothing more to send.
    drop(session.read_body_or_idle(true).await);
}

/// Counts the events that a watcher was not shown and not told of: events beyond the budget, whatever their route, and those that came
/// faster than it read.
struct LeftOut {
    told: u64,
    missed: u64,
}

impl LeftOut {
    fn since(&mut self, left_out: u64) -> u64 {
        let new = left_out.saturating_sub(std::mem::replace(&mut self.told, left_out));
        new + std::mem::take(&mut self.missed)
    }
}

/// The head of a stream.
pub fn head(chunked: bool) -> Result<ResponseHeader> {
    let mut head = ResponseHeader::build(200, Some(4))?;
    head.insert_header(header::CONTENT_TYPE, "text/event-stream")?;
    head.insert_header(header::CACHE_CONTROL, "no-store")?;
    head.insert_header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")?;
    if chunked {
        head.insert_header(header::TRANSFER_ENCODING, "chunked")?;
    }
    Ok(head)
}
