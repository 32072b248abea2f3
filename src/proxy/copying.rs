//! Where the request's path meets its copy: what passes is cloned and handed over, and nothing is waited for.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, Version, header};
use pingora::Error;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::Session;

use super::Edge;
use super::edition::Edition;
use super::exchange::Exchange;
use super::location::Asked;
use super::outbound::Outbound;
use super::{intake, rewriting};
use crate::client::Fault;
use crate::endpoint::UpstreamId;
use crate::message::{Fields, RequestHead, ResponseHead};
use crate::migration::{Copy, Side};
use crate::route::Found;
use crate::shadow::{Capture, Copies, Order, Skipped, Target, Translate};
use crate::telemetry::{RequestId, TraceContext};

/// The copy of one exchange.
#[derive(Default)]
pub struct Copying {
    /// Waits for the end of the request's body.
    order: Option<Box<Order>>,
    /// The answer that the copy's is compared with.
    capture: Option<Box<Capture>>,
    became: Option<&'static str>,
}

impl Copying {
    /// The word in the access log; `None` where the stage sends no copies.
    pub const fn what_became(&self) -> Option<&'static str> {
        self.became
    }

    /// The answer is kept to be compared.
    pub const fn captures(&self) -> bool {
        self.capture.is_some()
    }
}

/// The route and the side are known. A request without a body is copied at once.
pub fn begin(edge: &Edge, session: &mut Session, exchange: &mut Exchange) {
    let Some(copies) = exchange.route().copies.clone() else { return };
    let upstream = match exchange.decision.copy {
        Copy::None => return,
        Copy::SampledOut => return skip(&copies, exchange, Skipped::SampledOut),
        Copy::Method => return skip(&copies, exchange, Skipped::Method),
        Copy::Upgrade => return skip(&copies, exchange, Skipped::Upgrade),
        Copy::To(upstream) => upstream,
    };
    let request = session.req_header();
    let length = request.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let ordered = edge.shadow.order(&copies, length, || {
        let target = Target {
            upstream,
            pool: Arc::clone(exchange.edition.pool(upstream)),
            monolith: Arc::clone(exchange.edition.pool(UpstreamId::MONOLITH)),
            unit: exchange.decision.unit_hash,
            trace: exchange.trace.for_shadow(),
        };
        let mut copy = request.clone();
        if let Some(introduction) = &exchange.introduction {
            introduction.write(&mut copy);
        }
        (target, to_head(&copy), Box::new(Origin::of(exchange, request)))
    });
    match ordered {
        Err(why) => skip(&copies, exchange, why),
        Ok((order, capture)) => {
            exchange.copying.capture = capture.map(Box::new);
            exchange.copying.order = Some(Box::new(order));
            if session.is_body_empty() {
                send(edge, exchange);
            }
        }
    }
}

/// A chunk of the request's body goes to the primary's upstream.
pub fn request_passes(edge: &Edge, session: &Session, chunk: Option<&Bytes>, end: bool, exchange: &mut Exchange) {
    let Some(order) = &mut exchange.copying.order else { return };
    if session.was_upgraded() {
        return;
    }
    if let Some(Err(why)) = chunk.map(|chunk| order.tee.pass(chunk)) {
        return give_up(exchange, why);
    }
    if end {
        send(edge, exchange);
    }
}

/// The primary may be sent again, from its first byte.
pub fn attempt_failed(exchange: &mut Exchange) {
    if let Some(order) = &mut exchange.copying.order {
        order.tee.again();
    }
}

/// The head of the answer goes to the client, rewritten as far as the route says, and not yet made private.
pub fn head_passes(status: StatusCode, fields: &HeaderMap, exchange: &mut Exchange) {
    let took = exchange.attempt.first_byte.unwrap_or(Duration::ZERO);
    if exchange.fallback.is_some() {
        // Somebody else answers than the copy is to be compared with.
        exchange.copying.capture = None;
    }
    if let Some(capture) = &mut exchange.copying.capture {
        capture.head(status, &Fields::from(fields), took);
    }
}

/// A chunk of the answer's body.
pub fn answer_passes(chunk: Option<&Bytes>, exchange: &mut Exchange) {
    if let (Some(capture), Some(chunk)) = (&mut exchange.copying.capture, chunk) {
        capture.chunk(chunk);
    }
}

/// The exchange is over: what is not whole by now never will be.
pub fn end(edge: &Edge, session: &mut Session, error: Option<&Error>, exchange: &mut Exchange) {
    let whole = error.is_none() && exchange.failure.is_none();
    if let Some(order) = &exchange.copying.order {
        // HTTP/2 may end a body with a frame that no filter sees.
        let read = u64::try_from(session.body_bytes_read()).unwrap_or(u64::MAX);
        if whole && session.as_mut().is_body_done() && order.tee.length() == read {
            send(edge, exchange);
        } else {
            give_up(exchange, Skipped::Incomplete);
        }
    }
    if let Some(capture) = exchange.copying.capture.take() {
        capture.finish(whole);
    }
}

fn send(edge: &Edge, exchange: &mut Exchange) {
    let Some(order) = exchange.copying.order.take() else { return };
    match edge.shadow.send(order) {
        Ok(()) => exchange.copying.became = Some("sent"),
        Err(why) => give_up(exchange, why),
    }
}

fn skip(copies: &Copies, exchange: &mut Exchange, why: Skipped) {
    copies.skip(why);
    exchange.copying = Copying { became: Some(why.as_str()), ..Copying::default() };
}

fn give_up(exchange: &mut Exchange, why: Skipped) {
    if let Some(copies) = exchange.route().copies.clone() {
        skip(&copies, exchange, why);
    }
}

/// The exchange that a copy was made from: all that its heads are written by.
struct Origin {
    edition: Arc<Edition>,
    found: Option<Found>,
    request_id: RequestId,
    trace: TraceContext,
    /// The path and the host, where addresses in the answer are read with them.
    asked: Option<(Box<[u8]>, Box<str>)>,
}

impl Origin {
    fn of(exchange: &Exchange, request: &RequestHeader) -> Self {
        let reads = exchange.route().route.as_ref().is_some_and(|route| route.answer.location);
        Self {
            asked: reads.then(|| (intake::path_bytes(request).into(), intake::authority(request).into())),
            edition: Arc::clone(&exchange.edition),
            found: exchange.found,
            request_id: exchange.request_id,
            trace: exchange.trace.for_shadow(),
        }
    }
}

const UNWRITABLE: Fault = Fault::Unwritable("the request cannot be rewritten");
const UNREADABLE: Fault = Fault::Malformed("head");

impl Translate for Origin {
    fn request(&self, head: &mut RequestHead, to: UpstreamId) -> Result<(), Fault> {
        let entry = self.edition.route(self.found.map(|found| found.route));
        let outbound = Outbound {
            snapshot: &self.edition.snapshot,
            route: entry.route.as_deref(),
            template: self.found.map(|found| self.edition.snapshot.table.template(found)),
            policy: &entry.policy,
            side: if to == UpstreamId::MONOLITH { Side::Monolith } else { Side::Service },
            upstream: to,
            request_id: &self.request_id,
            trace: self.trace,
        };
        let mut header = to_header(head).ok_or(UNWRITABLE)?;
        outbound.write(&mut header).map_err(|_| UNWRITABLE)?;
        *head = to_head(&header);
        Ok(())
    }

    fn response(&self, head: &mut ResponseHead, from: UpstreamId, endpoint: &str) -> Result<(), Fault> {
        match &self.edition.route(self.found.map(|found| found.route)).route {
            Some(route) if from != UpstreamId::MONOLITH => {
                let (path, host) = self.asked.as_ref().map_or((&b"/"[..], ""), |(path, host)| (path, host));
                let asked = Asked {
                    edition: &self.edition,
                    found: self.found,
                    from,
                    path,
                    host,
                    endpoint: [endpoint, endpoint],
                };
                let mut header = ResponseHeader::build(head.status, None).map_err(|_| UNREADABLE)?;
                for (name, value) in &head.fields.to_map() {
                    header.append_header(name.clone(), value.clone()).map_err(|_| UNREADABLE)?;
                }
                rewriting::answer(&mut header, route, &asked).map_err(|_| UNREADABLE)?;
                head.fields = Fields::from(&header.headers);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn to_head(request: &RequestHeader) -> RequestHead {
    let origin = request.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let target = if request.version == Version::HTTP_2 { origin.as_bytes() } else { request.raw_path() };
    let mut head = RequestHead::new(request.method.clone(), request.version, target);
    for (name, value) in request.case_header_iter() {
        head.fields.push_raw(name.as_slice(), value.as_bytes());
    }
    if head.fields.is_empty() {
        // HTTP/2 has no case to keep.
        for (name, value) in &request.headers {
            head.fields.push_raw(name.as_str().as_bytes(), value.as_bytes());
        }
    }
    head.set_authority(request.uri.authority().map(|authority| authority.as_str().as_bytes()));
    head
}

fn to_header(head: &RequestHead) -> Option<RequestHeader> {
    let mut header = RequestHeader::build(head.method.clone(), head.target(), None).ok()?;
    for (name, value) in head.fields.iter() {
        header.append_header(String::from_utf8_lossy(name).into_owned(), value).ok()?;
    }
    Some(header)
}
