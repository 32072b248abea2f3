//! The streams of the pages: when to look again, and requests as they happen.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;
use tokio::time::Instant;

use super::requests::drawn;
use super::sides::tone_of;
use super::visitor::Visitor;
use super::windows::{BrowserStreams, HeldStream, REST};
use crate::admin::{Manner, PageRequest, Parts, Reply, filter, has_room, left, stream, stream_head};
use crate::telemetry::Event;

/// How often it is looked whether something moved.
const LOOK: Duration = Duration::from_secs(1);
/// Figures change all the time: after this many looks a page is drawn anew although nothing moved.
const FIGURES: u32 = 5;
/// No more pages than this are drawn anew each second for their figures: of more pages each waits for longer.
const MOST_A_SECOND: u32 = 10;

/// The streams of the pages: when each looks, and how many of one browser are held.
#[derive(Default)]
pub struct PageStreams {
    schedule: LookSchedule,
    browsers: BrowserStreams,
}

impl PageStreams {
    /// One more stream, if there is room for it.
    fn begin(
        &self,
        parts: &Parts,
        request: &PageRequest,
        visitor: &Visitor,
    ) -> Result<(StreamLooks<'_>, HeldStream<'_>), Reply> {
        if !has_room(&parts.app.telemetry.events) {
            return Err(Reply::problem(503, "too many are watching already"));
        }
        Ok((self.schedule.begin(parts), self.browsers.hold(visitor.browser(parts, request))))
    }
}

/// When the streams look: each at a time of its own, so that pages that were opened at once are not drawn at once. A hundred
/// pages in one burst keep a processor from its requests for longer than one request in a hundred may wait.
#[derive(Default)]
struct LookSchedule {
    begun: AtomicU32,
    open: AtomicU32,
}

/// The event that makes a page draw itself anew.
const NEWS: &str = "event: look\ndata: \n\n";

/// When one of them looks.
struct StreamLooks<'a> {
    schedule: &'a LookSchedule,
    /// At the last look.
    seen: ConsoleState,
    /// After how long it looks first.
    first: Duration,
    /// Looks since the figures were drawn.
    done: u32,
}

impl LookSchedule {
    /// The times of all streams lie evenly in those after which a page is drawn anew: multiples of the golden ratio leave no
    /// large gap (Knuth, volume 3, 6.4).
    fn begin(&self, parts: &Parts) -> StreamLooks<'_> {
        self.begin_with(state(parts))
    }

    fn begin_with(&self, seen: ConsoleState) -> StreamLooks<'_> {
        const GOLDEN: u32 = 0x9E37_79B9;
        self.open.fetch_add(1, Ordering::Relaxed);
        let part = self.begun.fetch_add(1, Ordering::Relaxed).wrapping_mul(GOLDEN) >> 16;
        let at = LOOK * self.figures() * part / 65_536;
        let done = u32::try_from(at.as_secs()).unwrap_or(0);
        StreamLooks { schedule: self, seen, first: Duration::from_nanos(at.subsec_nanos().into()), done }
    }

    /// After how many looks a page is drawn anew.
    fn figures(&self) -> u32 {
        self.open.load(Ordering::Relaxed).div_ceil(MOST_A_SECOND).max(FIGURES)
    }
}

impl StreamLooks<'_> {
    /// Counts a look. `true`: something moved, or the figures are due.
    fn is_news(&mut self, parts: &Parts) -> bool {
        let before = std::mem::replace(&mut self.seen, state(parts));
        self.is_due() || before != self.seen
    }

    /// Counts a look. `true`: the figures are due.
    fn is_due(&mut self) -> bool {
        self.done += 1;
        let due = self.done >= self.schedule.figures();
        if due {
            self.done = 0;
        }
        due
    }
}

impl Drop for StreamLooks<'_> {
    fn drop(&mut self) {
        self.schedule.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Says once a second at most that there is something new. It watches no request: a hundred open pages cost the request path
/// nothing.
pub async fn live(
    parts: &Arc<Parts>,
    streams: &PageStreams,
    request: &PageRequest,
    visitor: &Visitor,
    session: &mut ServerSession,
    shutdown: &ShutdownWatch,
    goes_on: &(dyn Fn() -> bool + Sync),
) -> Option<Reply> {
    let (mut looks, held) = match streams.begin(parts, request, visitor) {
        Ok(begun) => begun,
        Err(refused) => return Some(refused),
    };
    let _open = parts.app.telemetry.events.page();
    let mut shutdown = shutdown.clone();
    session.set_keepalive(None);
    let head = stream_head(!session.is_http2()).ok()?;
    session.write_response_header(Box::new(head)).await.ok()?;
    let mut clock = tokio::time::interval_at(Instant::now() + looks.first, LOOK);
    session.write_response_body(Bytes::from_static(b": watching\n\n"), false).await.ok()?;
    let mut last = "";
    loop {
        tokio::select! {
            _ = clock.tick() => {}
            changed = shutdown.changed() => if changed.is_err() || *shutdown.borrow() { break },
            () = left(session) => break,
        }
        if !goes_on() {
            break;
        }
        if held.is_ended() {
            last = REST;
            break;
        }
        if looks.is_news(parts) {
            session.write_response_body(Bytes::from_static(NEWS.as_bytes()), false).await.ok()?;
        }
    }
    // A client that sees the end may open the next stream.
    drop((held, looks));
    session.write_response_body(Bytes::from_static(last.as_bytes()), true).await.ok()?;
    None
}

/// The state that a move, a file or the button changes.
pub type ConsoleState = (usize, u64, bool, bool);

pub fn state(parts: &Parts) -> ConsoleState {
    let generation = parts.app.in_force.load();
    let pressed = parts.app.live.monolith_only(generation.snapshot.server.monolith_only);
    (Arc::as_ptr(&generation) as usize, generation.number, pressed, parts.app.live.is_file_refused())
}

/// Requests, drawn; and once a second at most that there is something new: a browser has few connections for a host, and this
/// page needs no second one.
pub async fn requests(
    parts: &Arc<Parts>,
    streams: &PageStreams,
    request: &PageRequest,
    visitor: &Visitor,
    session: &mut ServerSession,
    shutdown: &ShutdownWatch,
    goes_on: &(dyn Fn() -> bool + Sync),
) -> Option<Reply> {
    let filter = match filter(request.uri.query()) {
        Ok(filter) => filter,
        Err(why) => return Some(why.into()),
    };
    let (looks, held) = match streams.begin(parts, request, visitor) {
        Ok(begun) => begun,
        Err(refused) => return Some(refused),
    };
    let values = visitor.operates();
    let app = Arc::clone(&parts.app);
    let variant = move |route: &str, side: &str| tone_of(&app.in_force.load(), route, side);
    let written = move |event: &Event| match event.kind {
        "request" => drawn(&event.data, values, &variant)
            .map_or_else(String::new, |html| format!("event: request\ndata: {html}\n\n")),
        _ => String::new(),
    };
    let looks = Mutex::new(looks);
    let each_second = || match (goes_on(), held.is_ended()) {
        (false, _) => ControlFlow::Break(String::new()),
        (true, true) => ControlFlow::Break(REST.to_owned()),
        (true, false) if looks.lock().is_news(parts) => ControlFlow::Continue(NEWS.to_owned()),
        (true, false) => ControlFlow::Continue(String::new()),
    };
    let manner = Manner { written: &written, each_second: &each_second };
    stream(&parts.app.telemetry.events, filter, session, shutdown, &manner).await.ok()?;
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_that_were_opened_at_once_are_drawn_one_after_another() {
        let schedule = LookSchedule::default();
        let mut open: Vec<StreamLooks<'_>> = (0..100).map(|_| schedule.begin_with((0, 0, false, false))).collect();
        assert!(open.iter().all(|looks| looks.first < LOOK), "a move is seen within a second");
        let mut draws = Vec::new();
        for second in 0..60 {
            let due = open.iter_mut().filter_map(|looks| looks.is_due().then_some(looks.first));
            draws.extend(due.map(|first| LOOK * second + first));
        }
        draws.sort();
        assert_eq!(draws.len(), 600, "ten a second, whoever is open");
        let most = |within: Duration| {
            draws.iter().map(|from| draws.iter().filter(|at| **at >= *from && **at < *from + within).count()).max()
        };
        assert!(most(LOOK / 10) <= Some(6) && most(LOOK) <= Some(24), "{draws:?}");

        drop(open.split_off(1));
        assert_eq!(
            (1..=10).filter(|_| open[0].is_due()).count(),
            2,
            "a page that is alone is drawn every five seconds"
        );
    }
}
