//! The state of one request from its head to its log line. Pingora calls it the context.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pingora::http::RequestHeader;

use super::access::Standing;
use super::copying::Copying;
use super::edition::{Edition, RouteEdition, meter_index};
use super::failure::Failure;
use super::lent::Lent;
use super::watch::Watch;
use crate::endpoint::UpstreamId;
use crate::guard::headers::Introduction;
use crate::migration::{Copy, Decision, Pinning, Reason, Side, Stage};
use crate::route::Found;
use crate::telemetry::{InFlight, RequestId, TraceContext};
use crate::upstream::{EndpointKey, Lease};

/// At most this many endpoints of one upstream are tried for one request.
pub const MOST_ATTEMPTS: usize = 4;

/// One request and what became of it.
pub struct Exchange {
    /// The one snapshot that this request sees.
    pub edition: Arc<Edition>,
    pub watch: Option<Arc<Watch>>,
    pub began: Instant,
    pub client: Option<IpAddr>,
    /// What is said of the client to whoever gets the request; `None`: the request says it itself.
    pub introduction: Option<Introduction>,
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
    pub attempt: Attempt,
    /// Attempts so far, over all endpoints.
    pub attempts: u8,
    /// When the current upstream was first asked: its `total` runs from here.
    pub asked: Option<Instant>,
    /// Endpoints of the current upstream that failed.
    pub tried: Vec<EndpointKey>,
    /// Why the monolith answers instead of the service.
    pub fallback: Option<Failure>,
    /// What the client will be told if nothing else answers.
    pub failure: Option<Failure>,
    pub body: BodyState,
    /// Everything that comes before an upstream is asked was done on the express way; the request as it was cleaned there.
    pub admitted: Option<Box<RequestHeader>>,
    pub upgrade: bool,
    /// The client's connection, where it may become a tunnel.
    pub lent: Option<Lent>,
    /// Bytes of a tunnel that went to the client.
    pub tunnelled: u64,
    pub copying: Copying,
    /// The head of the upstream's answer has been passed on.
    pub answered: bool,
    /// The request's own limit.
    pub body_limit: Option<u64>,
    /// The client's bucket, where its route limits rates.
    pub standing: Option<Standing>,
    /// The longest pause inside the answer that is passing.
    pub pause: Option<Duration>,
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
    /// Its end has been told to the trace.
    pub told: bool,
    /// The head of an answer came, and its status is not a failure.
    pub well: bool,
}

/// What passed of the request body.
#[derive(Debug, Default, Clone, Copy)]
pub struct BodyState {
    pub received: u64,
    pub complete: bool,
}

impl Exchange {
    pub fn new(edition: Arc<Edition>, now: Instant) -> Self {
        Self {
            edition,
            watch: Watch::current(),
            began: now,
            client: None,
            introduction: None,
            request_id: RequestId::none(),
            trace: TraceContext::none(),
            found: None,
            decision: UNDECIDED,
            side: None,
            target: UpstreamId::MONOLITH,
            in_flight: None,
            attempt: Attempt::default(),
            attempts: 0,
            asked: None,
            // Allocates nothing until an attempt fails.
            tried: Vec::new(),
            fallback: None,
            failure: None,
            body: BodyState::default(),
            admitted: None,
            upgrade: false,
            lent: None,
            tunnelled: 0,
            copying: Copying::default(),
            answered: false,
            body_limit: None,
            standing: None,
            pause: None,
        }
    }

    pub fn route(&self) -> &RouteEdition {
        self.edition.route(self.found.map(|found| found.route))
    }

    /// The stage in force for this request.
    pub fn dial_stage(&self) -> Stage {
        self.route().dial.stage
    }

    /// The name of the side that answers, `none` before it is decided.
    pub fn side_name(&self) -> &str {
        self.side.map_or("none", |side| side.name(&self.route().policy))
    }

    pub fn meter_side(&self) -> Option<usize> {
        self.side.map(|side| meter_index(&self.route().policy, side))
    }

    /// What the endpoint of the current attempt is told of the trace.
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
        &self.edition.pool(self.target).spec().name
    }
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
    copy: Copy::None,
};
