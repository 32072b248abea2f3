//! Where the request's path meets its copy: what passes is cloned and handed over, and nothing is waited for.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::Steps;
use super::exchange::{Exchange, Mirror};
use super::generation::Generation;
use super::location::AnsweredRequest;
use super::outbound::{Outbound, remote};
use super::request::authority;
use super::{rewriting, sign_in};
use crate::client::{Brief, UpstreamFault};
use crate::endpoint::UpstreamId;
use crate::guard::headers::ForwardedHeaders;
use crate::guard::identity::Inquiry;
use crate::message::{Framing, Piece, RequestHead, ResponseHead};
use crate::migration::{CopyDecision, Side};
use crate::route::Found;
use crate::shadow::{Copies, Skipped, Target, Translate};
use crate::telemetry::{RequestId, TraceContext};

/// The route and the side are known. A request without a body is copied at once.
pub fn begin(steps: &Steps, exchange: &mut Exchange) {
    let Some(copies) = exchange.route().copies.clone() else { return };
    let upstream = match exchange.decision.copy {
        CopyDecision::None => return,
        CopyDecision::SampledOut => return skip(&copies, exchange, Skipped::SampledOut),
        CopyDecision::Method => return skip(&copies, exchange, Skipped::Method),
        CopyDecision::Upgrade => return skip(&copies, exchange, Skipped::Upgrade),
        // A sign-in belongs to one connection: on another one a copy would not be signed in; on the client's it would change the sign-in.
        CopyDecision::To(_) if sign_in::concerns(exchange) => return skip(&copies, exchange, Skipped::Credentials),
        CopyDecision::To(upstream) => upstream,
    };
    let length = if let Framing::Length(length) = exchange.framing { Some(length) } else { None };
    let ordered = steps.shadow.order(&copies, length, || {
        let service = exchange.route().policy.service.unwrap_or(upstream);
        let target = Target {
            upstream,
            pool: Arc::clone(exchange.generation.pool(upstream)),
            service: (service, Arc::clone(exchange.generation.pool(service))),
            monolith: Arc::clone(exchange.generation.pool(UpstreamId::MONOLITH)),
            unit: exchange.decision.unit_hash,
            client: exchange.proxied(),
            request_id: exchange.request_id,
            trace: exchange.trace.for_shadow(),
            safe: exchange.is_safe(),
            inquiry: inquiry(exchange, upstream),
        };
        (target, exchange.head.clone(), Box::new(Origin::of(exchange, upstream)))
    });
    match ordered {
        Err(why) => skip(&copies, exchange, why),
        Ok((job, capture)) => {
            exchange.mirror.capture = capture.map(Box::new);
            exchange.mirror.job = Some(Box::new(job));
            if exchange.framing == Framing::None {
                send(steps, exchange);
            }
        }
    }
}

/// The servers to ask about the client before a service gets the copy.
fn inquiry(exchange: &Exchange, upstream: UpstreamId) -> Option<Box<Inquiry>> {
    let asks = exchange.route().access.for_copies.as_ref().filter(|_| upstream != UpstreamId::MONOLITH)?;
    Some(Box::new(Inquiry { asks: Arc::clone(asks), forwarded: exchange.forwarded.clone() }))
}

/// A piece of the request's body came from the client.
pub fn request_piece(steps: &Steps, piece: &Piece, exchange: &mut Exchange) {
    let Some(job) = &mut exchange.mirror.job else { return };
    match piece {
        Piece::Data(data) => {
            if let Err(why) = job.tee.pass(data) {
                give_up(exchange, why);
            }
        }
        Piece::Trailers(_) | Piece::End => send(steps, exchange),
    }
}

/// The head of the response goes to the client, rewritten as far as the route says, and not yet made private.
pub fn response_head(head: &ResponseHead, exchange: &mut Exchange) {
    let took = exchange.attempt.first_byte.unwrap_or(Duration::ZERO);
    if exchange.fallback.is_some() {
        // Another side answers than the copy is to be compared with.
        exchange.mirror.capture = None;
    }
    if let Some(capture) = &mut exchange.mirror.capture {
        capture.head(head.status, &head.fields, took);
    }
}

/// A piece of the response's body.
pub fn response_piece(piece: &Piece, exchange: &mut Exchange) {
    let Some(capture) = &mut exchange.mirror.capture else { return };
    match piece {
        Piece::Data(data) => capture.chunk(data),
        Piece::Trailers(fields) if exchange.call.is_some() => capture.trailers(fields),
        Piece::Trailers(_) | Piece::End => {}
    }
}

/// The exchange is over: what is not whole by now never will be.
pub fn end(exchange: &mut Exchange, whole: bool) {
    if exchange.mirror.job.is_some() {
        give_up(exchange, Skipped::Incomplete);
    }
    if let Some(capture) = exchange.mirror.capture.take() {
        capture.finish(whole);
    }
}

fn send(steps: &Steps, exchange: &mut Exchange) {
    let Some(job) = exchange.mirror.job.take() else { return };
    match steps.shadow.send(job) {
        Ok(()) => exchange.mirror.became = Some("sent"),
        Err(why) => give_up(exchange, why),
    }
}

fn skip(copies: &Copies, exchange: &mut Exchange, why: Skipped) {
    copies.skip(why);
    exchange.mirror = Mirror { became: Some(why.as_str()), ..Mirror::default() };
}

fn give_up(exchange: &mut Exchange, why: Skipped) {
    if let Some(copies) = exchange.route().copies.clone() {
        skip(&copies, exchange, why);
    }
}

/// The exchange that a copy was made from: all that its heads are written by.
pub(super) struct Origin {
    generation: Arc<Generation>,
    found: Option<Found>,
    forwarded: Option<ForwardedHeaders>,
    request_id: RequestId,
    trace: TraceContext,
    client: Option<IpAddr>,
    /// The path and the host, where addresses in the response are read with them.
    asked: Option<(Box<[u8]>, Box<str>)>,
}

impl Origin {
    /// Of a request that no client waits for.
    pub(super) fn made(generation: &Arc<Generation>, found: Option<Found>, head: &RequestHead) -> Self {
        Self {
            asked: Some((head.path().into(), authority(head).into())),
            generation: Arc::clone(generation),
            found,
            // They are in the request already.
            forwarded: None,
            request_id: RequestId::made(fastrand::u128(..)),
            client: None,
            trace: TraceContext::continue_or_start(&head.fields, fastrand::u128(1..), fastrand::u64(1..)).for_shadow(),
        }
    }

    fn of(exchange: &Exchange, to: UpstreamId) -> Self {
        let rewrites = exchange.route().route.as_ref().is_some_and(|route| route.answer.location);
        let has_host = |id: UpstreamId| exchange.generation.pool(id).spec().host.is_some();
        let reads = rewrites || has_host(to) || has_host(UpstreamId::MONOLITH);
        let head = &exchange.head;
        Self {
            asked: reads.then(|| (head.path().into(), authority(head).into())),
            generation: Arc::clone(&exchange.generation),
            found: exchange.found,
            forwarded: exchange.forwarded.clone(),
            request_id: exchange.request_id,
            trace: exchange.trace.for_shadow(),
            client: exchange.client,
        }
    }
}

impl Translate for Origin {
    fn request(&self, head: &mut RequestHead, to: UpstreamId) -> Result<(), UpstreamFault> {
        let entry = self.generation.route(self.found.map(|found| found.route));
        let outbound = Outbound {
            snapshot: &self.generation.snapshot,
            route: entry.route.as_deref(),
            template: self.found.map(|found| self.generation.snapshot.table.template(found)),
            policy: &entry.policy,
            side: if to == UpstreamId::MONOLITH { Side::Monolith } else { Side::Service },
            upstream: to,
            forwarded: self.forwarded.as_ref(),
            // The copy's own is written when it is sent.
            identity: None,
            request_id: &self.request_id,
            trace: self.trace,
        };
        outbound.write(head).map_err(|_| UpstreamFault::Unwritable("The route's rewriting failed."))
    }

    fn brief(&self, head: &RequestHead) -> Brief {
        let entry = self.generation.route(self.found.map(|found| found.route));
        let template = self.found.map(|found| self.generation.snapshot.table.template(found));
        let limit = entry.copies.as_ref().map(|copies| copies.timeout());
        let remote = remote(entry.route.as_deref(), template, head, &self.request_id);
        Brief { client: self.client, version: head.version, limit, end: None, remote }
    }

    fn response(&self, head: &mut ResponseHead, from: UpstreamId, endpoint: &str) -> Result<(), UpstreamFault> {
        let route = self.generation.route(self.found.map(|found| found.route)).route.as_deref();
        let (path, host) = self.asked.as_ref().map_or((&b"/"[..], ""), |(path, host)| (path, host));
        let asked = AnsweredRequest {
            generation: &self.generation,
            found: self.found,
            from,
            path,
            host,
            endpoint: [endpoint, endpoint],
        };
        rewriting::turn_back(head, route, &asked);
        Ok(())
    }
}
