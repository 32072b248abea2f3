//! The state of one request from its head to its log line.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, Version};

use super::call::Call;
use super::deadline::Deadline;
use super::failure::{Blame, Failure};
use super::generation::{Generation, RouteInForce, meter_index};
use super::rate_limit_status::RateLimitStatus;
use crate::client::Socket;
use crate::downstream::SignedIn;
use crate::endpoint::{Timeouts, UpstreamId};
use crate::guard::headers::{ClientSubject, ForwardedHeaders};
use crate::guard::identity::{ClientIdentity, Denial};
use crate::message::{Framing, GrpcStatus, ProxiedAddresses, RequestHead, ResultCode};
use crate::migration::{CopyDecision, Decision, Pinning, Reason, Side, Stage};
use crate::route::Found;
use crate::shadow::{Capture, CopyJob};
use crate::telemetry::{InFlight, RequestId, TraceContext};
use crate::upstream::{EndpointKey, Lease, Permit};

/// At most this many endpoints of one upstream are tried for one request.
pub const MOST_ATTEMPTS: usize = 4;

/// How a request came in.
#[derive(Debug, Clone, Default)]
pub struct Arrival {
    /// The other end of the connection; `None`: a Unix socket.
    pub peer: Option<IpAddr>,
    pub tls: bool,
    /// Both ends of the connection, where an upstream is told of them.
    pub addresses: Option<Box<ProxiedAddresses>>,
    /// Of the client's certificate.
    pub subject: Option<ClientSubject>,
}

/// One request and what became of it.
pub struct Exchange {
    /// The one snapshot that this request sees.
    pub generation: Arc<Generation>,
    pub began: Instant,
    /// The clock as this turn of the task has read it; `None`: not yet, or the turn has done much since.
    pub moment: Option<Instant>,
    pub arrival: Arrival,
    /// The request's head: as it came, and after `admit` cleaned.
    pub head: RequestHead,
    /// Set where the request is a call of gRPC.
    pub call: Option<Call>,
    /// Bytes of the head as it came; `None` over HTTP/2.
    pub head_length: Option<usize>,
    /// How the request's body is framed.
    pub framing: Framing,
    pub client: Option<IpAddr>,
    /// The description of the client for an upstream; `None`: the head has it already.
    pub forwarded: Option<ForwardedHeaders>,
    /// The headers in which the servers of `auth` describe the client to the service.
    pub identity: Option<Box<ClientIdentity>>,
    /// The client's answer, where it is not let pass.
    pub denial: Option<Arc<Denial>>,
    pub request_id: RequestId,
    pub trace: TraceContext,
    /// `None`: no route takes it.
    pub found: Option<Found>,
    pub decision: Decision,
    /// The side that is being asked, and in the end the one that answered; `None` until it is decided.
    pub side: Option<Side>,
    /// The upstream of that side.
    pub target: UpstreamId,
    pub in_flight: Option<InFlight>,
    /// The permit for the current upstream, where it has `max_in_flight`.
    pub permit: Option<Permit>,
    /// How long the request has waited for such rights; `None`: it needed none.
    pub queued: Option<Duration>,
    pub attempt: Attempt,
    /// Whether it fails on purpose was drawn.
    pub fault_drawn: bool,
    /// Attempts so far, over all endpoints.
    pub attempts: u8,
    /// When the current upstream was first asked: its `total` runs from here.
    pub asked: Option<Instant>,
    /// Endpoints of the current upstream that failed.
    pub tried: Vec<EndpointKey>,
    /// The client has waited for an endpoint that did not answer in time: of those that may answer instead, one was asked.
    pub after_timeout: bool,
    /// The upstream asked for HTTP/1.1.
    pub http1_alone: bool,
    /// Why the monolith answers instead of the service.
    pub fallback: Option<Failure>,
    /// The answer to the client if there is no response from an upstream.
    pub failure: Option<Failure>,
    pub body: BodyState,
    pub upgrade: bool,
    /// The peer may carry requests of several clients on its connection: it is trusted and names the client.
    pub for_others: bool,
    /// The client came with TLS, here or to a trusted proxy before us.
    pub secure: bool,
    /// The connections on which the client has signed in, while its request is served.
    pub signed_in: Vec<SignedIn>,
    /// The client's connection ends behind the response.
    pub close: bool,
    pub mirror: Mirror,
    /// The head of the upstream's response has been passed on.
    pub answered: bool,
    /// The status that the client was sent; 0: none.
    pub status: u16,
    /// Where a redirect leads: [`crate::inventory::redirect_target`].
    pub leads_to: u32,
    /// Bytes of the response's body, and of a tunnel, that went to the client.
    pub bytes_out: u64,
    /// The request's own limit.
    pub body_limit: Option<u64>,
    /// The response to an ACME authority's challenge, with `Failure::Proof`.
    pub proof: Option<Arc<str>>,
    /// The client's bucket, where its route limits rates.
    pub rate_limit: Option<RateLimitStatus>,
    /// The longest pause inside the response that is passing.
    pub pause: Option<Duration>,
    pub deadline: Deadline,
    /// When the client had all of the response; `None`: it never had, or that is not known.
    pub ended: Option<Instant>,
}

/// The current attempt.
#[derive(Default)]
pub struct Attempt {
    pub lease: Option<Lease>,
    pub began: Option<Instant>,
    /// No attempt at this upstream lasts longer.
    pub end: Option<Instant>,
    pub connected: Option<Duration>,
    pub first_byte: Option<Duration>,
    pub reused: bool,
    /// A kept connection was closed: the same endpoint is asked over a new one.
    pub anew: bool,
    /// The connection on which the client has signed in.
    pub own: Option<Socket>,
    /// A sign-in belongs to the connection: no other client may have it.
    pub signed_in: bool,
    /// Its end has been told to the trace.
    pub told: bool,
    /// The head of a response came, and its status is not a failure.
    pub well: bool,
}

/// The copy of one exchange.
#[derive(Default)]
pub struct Mirror {
    /// Waits for the end of the request's body.
    pub(super) job: Option<Box<CopyJob>>,
    /// The response that the copy's is compared with.
    pub(super) capture: Option<Box<Capture>>,
    pub(super) became: Option<&'static str>,
}

impl Mirror {
    /// The word in the access log; `None` where the stage sends no copies.
    pub const fn what_became(&self) -> Option<&'static str> {
        self.became
    }
}

/// The progress of the request body.
#[derive(Debug, Default, Clone, Copy)]
pub struct BodyState {
    pub received: u64,
    pub complete: bool,
}

impl Exchange {
    pub fn new(
        generation: Arc<Generation>,
        head: RequestHead,
        arrival: Arrival,
        framing: Framing,
        now: Instant,
    ) -> Self {
        Self {
            generation,
            began: now,
            moment: Some(now),
            secure: arrival.tls,
            arrival,
            call: Call::of(&head),
            head,
            head_length: None,
            framing,
            client: None,
            forwarded: None,
            identity: None,
            denial: None,
            request_id: RequestId::none(),
            trace: TraceContext::none(),
            found: None,
            decision: UNDECIDED,
            side: None,
            target: UpstreamId::MONOLITH,
            in_flight: None,
            permit: None,
            queued: None,
            attempt: Attempt::default(),
            fault_drawn: false,
            attempts: 0,
            asked: None,
            // Allocates nothing until an attempt fails.
            tried: Vec::new(),
            after_timeout: false,
            http1_alone: false,
            fallback: None,
            failure: None,
            body: BodyState { received: 0, complete: framing == Framing::None },
            upgrade: false,
            for_others: false,
            signed_in: Vec::new(),
            close: false,
            mirror: Mirror::default(),
            answered: false,
            status: 0,
            leads_to: 0,
            bytes_out: 0,
            body_limit: None,
            proof: None,
            rate_limit: None,
            pause: None,
            deadline: Deadline::default(),
            ended: None,
        }
    }

    /// The time, to some microseconds: a turn of the task reads the clock once.
    pub fn now(&mut self) -> Instant {
        *self.moment.get_or_insert_with(Instant::now)
    }

    pub fn route(&self) -> &RouteInForce {
        self.generation.route(self.found.map(|found| found.route))
    }

    /// The stage in force for this request.
    pub fn dial_stage(&self) -> Stage {
        self.route().dial.stage
    }

    /// The client's connection as an upstream is told of it; `None`: no upstream is, or there is nothing to tell.
    pub fn proxied(&self) -> Option<ProxiedAddresses> {
        let own = if self.generation.tells_clients { self.arrival.addresses.as_deref() } else { None }?;
        let client = self.client?.to_canonical();
        if client == own.source.ip().to_canonical() {
            return Some(*own);
        }
        // The client of a trusted peer: of its port nothing is known.
        Some(ProxiedAddresses::new(SocketAddr::new(client, 0), own.destination))
    }

    /// The name of the side that answers, `none` before it is decided.
    pub fn side_name(&self) -> &str {
        self.side.map_or("none", |side| side.name(&self.route().policy))
    }

    pub fn meter_side(&self) -> Option<usize> {
        self.side.map(|side| meter_index(&self.route().policy, side))
    }

    /// The side whose time the exchange is: the one that was asked first, also where the monolith answered in its place.
    pub fn assigned_side(&self) -> Option<usize> {
        let side = if self.fallback.is_some() { Some(self.decision.side) } else { self.side };
        side.map(|side| meter_index(&self.route().policy, side))
    }

    /// The trace context for the endpoint of the current attempt.
    pub fn attempt_trace(&self) -> TraceContext {
        self.trace.for_attempt(self.attempts.saturating_sub(1))
    }

    /// The service, or a variant that is not the monolith, is being asked.
    pub fn asks_service(&self) -> bool {
        self.target != UpstreamId::MONOLITH
    }

    /// Why the monolith answers instead of the service, in one word.
    pub fn fallback_reason(&self) -> Option<&'static str> {
        let held = self.decision.reason == Reason::BreakerOpen;
        self.fallback.map(Failure::kind).or_else(|| held.then(|| self.decision.reason.as_str()))
    }

    /// The endpoint that answers, `-` before one is chosen.
    pub fn attempt_address(&self) -> &str {
        self.attempt.lease.as_ref().map_or("-", Lease::address)
    }

    /// The endpoint under the name that the file or a registry gives it.
    pub fn attempt_authority(&self) -> &str {
        self.attempt.lease.as_ref().map_or("-", Lease::authority)
    }

    pub fn upstream_name(&self) -> &str {
        &self.generation.pool(self.target).spec().name
    }

    /// How long the upstream that is asked may take on this route.
    pub fn timeouts(&self) -> Timeouts {
        let base = self.generation.pool(self.target).spec().timeouts;
        let own = self.route().route.as_ref().and_then(|route| route.timeouts);
        own.map_or(base, |own| own.over(base))
    }

    /// Whether the method promises to change nothing, or the route says so of the call.
    pub fn is_safe(&self) -> bool {
        is_safe(&self.head.method) || self.call.is_some_and(|call| call.safe)
    }

    /// How the exchange ended, as counters name it.
    pub fn result(&self) -> ResultCode {
        let Some(call) = &self.call else { return ResultCode::http(self.status) };
        match (call.status, self.failure) {
            (Some(status), _) => ResultCode::grpc(status),
            (None, Some(failure)) if failure.fault() == Blame::Client => ResultCode::grpc(GrpcStatus::CANCELLED),
            // The reset that ends such a stream says so.
            (None, Some(_)) if self.status == 200 => ResultCode::grpc(GrpcStatus::INTERNAL),
            (None, _) => ResultCode::http(self.status),
        }
    }

    pub fn is_http2(&self) -> bool {
        self.head.version == Version::HTTP_2
    }
}

/// The methods that promise to change nothing (RFC 9110, section 9.2.1), less TRACE, which is never passed on.
pub fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

const UNDECIDED: Decision = Decision {
    side: Side::Monolith,
    upstream: UpstreamId::MONOLITH,
    reason: Reason::Stage,
    fallback: false,
    issue: None,
    unit_hash: None,
    pin: Pinning::None,
    both_live: false,
    copy: CopyDecision::None,
    safe_call: false,
};
