//! The decision: the side that answers, the reason, the fallback, and where a copy goes.

use std::fmt;

use super::bucket::{Bucket, bucket};
use super::policy::{Dial, Percent, Policy, Shadow, is_safe};
use super::stage::{Answers, CopiesTo, Stage};
use super::sticky::Unit;
use crate::endpoint::UpstreamId;
use crate::route::Facts;

/// The side that answers the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    Monolith,
    Service,
    /// Index in `Policy::variants`.
    Variant(u8),
}

impl Side {
    /// `monolith`, `service`, or the variant's name.
    #[must_use]
    pub fn name(self, policy: &Policy) -> &str {
        match self {
            Self::Monolith => "monolith",
            Self::Service => "service",
            Self::Variant(index) => policy.variants.get(usize::from(index)).map_or("none", |variant| &variant.name),
        }
    }

    /// The upstream of this side.
    #[must_use]
    pub fn upstream(self, policy: &Policy) -> UpstreamId {
        let known = match self {
            Self::Monolith => None,
            Self::Service => policy.service,
            Self::Variant(index) => policy.variants.get(usize::from(index)).map(|variant| variant.upstream),
        };
        known.unwrap_or(UpstreamId::MONOLITH)
    }
}

/// Why a side was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The stage leaves no choice.
    Stage,
    /// The client's bucket lies within the side's share, or outside it.
    Bucket(Bucket),
    /// No unit was present and none is issued: only this request was assigned.
    NoUnit(Bucket),
    /// The conversation began on this side.
    Pinned,
    /// A trusted client named the side.
    Forced,
    /// The big red button is on.
    MonolithOnly,
    /// The service failed too often; it is not asked for a while.
    BreakerOpen,
}

impl Reason {
    /// One word for logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stage => "stage",
            Self::Bucket(_) => "bucket",
            Self::NoUnit(_) => "no_unit",
            Self::Pinned => "pinned",
            Self::Forced => "forced",
            Self::MonolithOnly => "monolith_only",
            Self::BreakerOpen => "breaker_open",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

const GET: http::Method = http::Method::GET;

/// The state of a route's breaker as seen by one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    Closed,
    Open,
    /// Open, but this request was chosen to try the service.
    Probing,
}

/// The decision for the copy of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyDecision {
    /// The stage sends none.
    None,
    SampledOut,
    /// The method is not one that may be copied.
    Method,
    Upgrade,
    To(UpstreamId),
}

/// The change of a conversation's pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pinning {
    None,
    /// A conversation begins: it stays on the side that answers, which a fallback may change.
    Begin,
    /// A conversation goes on: its pin is renewed, whichever side answers this one request.
    Renew(Side),
}

/// The input of a decision besides the route's policy.
#[derive(Debug, Clone, Copy)]
pub struct DecisionInput<'a> {
    pub facts: &'a Facts<'a>,
    pub dial: Dial,
    pub monolith_only: bool,
    pub breaker: BreakerState,
    /// The side that a trusted client asked for.
    pub forced: Option<&'a str>,
    /// A random number: the unit of a client that has none, and the cookie it is given.
    pub fresh: u128,
    /// The hash of the request id; decides whether a copy is in the sample.
    pub sample: u64,
}

/// The whole decision for one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    pub side: Side,
    pub upstream: UpstreamId,
    pub reason: Reason,
    /// The monolith may answer if the service fails.
    pub fallback: bool,
    /// Give the client this unit as its cookie.
    pub issue: Option<u128>,
    /// The hash of the client's unit, for upstreams that are balanced by it; `None` where no unit was looked for.
    pub unit_hash: Option<u64>,
    /// The pin that the client is given with the answer.
    pub pin: Pinning,
    /// Both sides answer this route, so a shared cache must not mix them up.
    pub both_live: bool,
    pub copy: CopyDecision,
    /// The request is a call of gRPC that the route declares safe.
    pub safe_call: bool,
}

/// Decides one request. Pure: the same arguments give the same decision on every replica.
#[must_use]
pub fn decide(policy: &Policy, given: &DecisionInput<'_>) -> Decision {
    let stage = given.dial.stage;
    let both_live = match stage.answers() {
        Answers::ByWeight => given.dial.weight > Percent::NOBODY && given.dial.weight < Percent::EVERYBODY,
        Answers::ByVariant => true,
        Answers::Monolith | Answers::Service => false,
    };
    let chosen = choose(policy, given);
    let (side, reason) = (chosen.side, chosen.reason);
    Decision {
        side,
        upstream: side.upstream(policy),
        reason,
        fallback: side == Side::Service && policy.fallback.is_some() && stage.may_fall_back(),
        issue: chosen.issue,
        unit_hash: chosen.unit_hash,
        pin: chosen.pin,
        // A client that was forced may be the only one on its side: others must not get its answer from a cache.
        both_live: both_live || reason == Reason::Forced,
        copy: copy(policy, given, side, reason),
        safe_call: policy.safe_calls.declare(given.facts),
    }
}

struct Chosen {
    side: Side,
    reason: Reason,
    issue: Option<u128>,
    unit_hash: Option<u64>,
    pin: Pinning,
}

fn choose(policy: &Policy, given: &DecisionInput<'_>) -> Chosen {
    let stage = given.dial.stage;
    let divided = stage.divides() && !given.monolith_only;
    let fresh = issued_unit(given.fresh);
    let unit = if divided || policy.balanced_by_unit { Unit::of(&policy.sticky, given.facts) } else { None };
    let value = unit.as_ref().map_or(&fresh[..], |unit| &*unit.value);
    let (assigned, why) = if stage == Stage::Retired {
        (Side::Service, Reason::Stage)
    } else if given.monolith_only {
        (Side::Monolith, Reason::MonolithOnly)
    } else {
        match stage.answers() {
            Answers::Monolith => (Side::Monolith, Reason::Stage),
            Answers::Service => (Side::Service, Reason::Stage),
            Answers::ByWeight | Answers::ByVariant => assign(policy, given, value, unit.is_some()),
        }
    };
    let (side, reason) = if given.breaker == BreakerState::Open && breaker_holds(policy, given, assigned) {
        (Side::Monolith, Reason::BreakerOpen)
    } else {
        (assigned, why)
    };
    let by_bucket = matches!(reason, Reason::Bucket(_)) || divided && reason == Reason::BreakerOpen;
    let wanted = by_bucket || policy.balanced_by_unit;
    Chosen {
        side,
        reason,
        issue: (unit.is_none() && wanted && policy.issue_cookie).then_some(given.fresh),
        unit_hash: policy.balanced_by_unit.then(|| xxhash_rust::xxh3::xxh3_64(value)),
        pin: match why {
            Reason::Pinned => Pinning::Renew(assigned),
            Reason::Bucket(_) | Reason::NoUnit(_) if policy.pin.is_some() => Pinning::Begin,
            _ => Pinning::None,
        },
    }
}

/// While the breaker is open the service is not asked for what the monolith may answer in its place.
fn breaker_holds(policy: &Policy, given: &DecisionInput<'_>, side: Side) -> bool {
    let method = given.facts.sent_method();
    let allowed = policy.fallback.as_ref().is_some_and(|fallback| {
        // Asked for last: most routes declare no call.
        fallback.methods.contains(method) || fallback.methods.contains(&GET) && policy.safe_calls.declare(given.facts)
    });
    side == Side::Service && given.dial.stage != Stage::Retired && allowed
}

/// The stages in which clients are divided: a trusted wish, then the pin, then the bucket.
fn assign(policy: &Policy, given: &DecisionInput<'_>, unit: &[u8], present: bool) -> (Side, Reason) {
    if let Some(side) = given.forced.and_then(|name| side_named(policy, given.dial.stage, name)) {
        return (side, Reason::Forced);
    }
    let pinned = policy
        .pin
        .as_ref()
        .and_then(|pin| given.facts.cookie(&pin.cookie))
        .and_then(|name| side_named(policy, given.dial.stage, name))
        .filter(|side| weight_of(policy, given.dial, *side) > Percent::NOBODY);
    if let Some(side) = pinned {
        return (side, Reason::Pinned);
    }
    let bucket = bucket(&policy.cohort, unit);
    let side = side_of(policy, given.dial, bucket);
    if present || policy.issue_cookie { (side, Reason::Bucket(bucket)) } else { (side, Reason::NoUnit(bucket)) }
}

/// The value of the issued cookie: 32 lower-case hexadecimal digits.
#[must_use]
pub fn issued_unit(fresh: u128) -> [u8; 32] {
    let mut text = [b'0'; 32];
    for (index, digit) in text.iter_mut().rev().enumerate() {
        let nibble = (fresh >> (4 * index)) & 0xf;
        *digit = b"0123456789abcdef"[usize::try_from(nibble).expect("a nibble is below 16")];
    }
    text
}

fn side_of(policy: &Policy, dial: Dial, bucket: Bucket) -> Side {
    if dial.stage != Stage::Split {
        return if bucket.0 < dial.weight.buckets() { Side::Service } else { Side::Monolith };
    }
    let mut upper = 0;
    for (index, variant) in (0_u8..).zip(&policy.variants) {
        upper += variant.weight.buckets();
        if bucket.0 < upper {
            return Side::Variant(index);
        }
    }
    Side::Monolith
}

fn side_named(policy: &Policy, stage: Stage, name: &str) -> Option<Side> {
    if stage == Stage::Split {
        return (0_u8..)
            .zip(&policy.variants)
            .find(|(_, variant)| *variant.name == *name)
            .map(|(index, _)| Side::Variant(index));
    }
    match name {
        "monolith" => Some(Side::Monolith),
        "service" => Some(Side::Service),
        _ => None,
    }
}

fn weight_of(policy: &Policy, dial: Dial, side: Side) -> Percent {
    match side {
        Side::Service => dial.weight,
        Side::Monolith => {
            Percent::from_hundredths(Percent::EVERYBODY.buckets() - dial.weight.buckets()).unwrap_or_default()
        }
        Side::Variant(index) => {
            policy.variants.get(usize::from(index)).map_or(Percent::NOBODY, |variant| variant.weight)
        }
    }
}

fn copy(policy: &Policy, given: &DecisionInput<'_>, side: Side, reason: Reason) -> CopyDecision {
    let Some(shadow) = &policy.shadow else { return CopyDecision::None };
    if given.monolith_only || reason == Reason::BreakerOpen {
        return CopyDecision::None;
    }
    let target = match (given.dial.stage.copies(), side) {
        (CopiesTo::Service, Side::Monolith) => policy.service,
        (CopiesTo::Monolith, Side::Service) if shadow.reverse => Some(UpstreamId::MONOLITH),
        _ => None,
    };
    let Some(target) = target else { return CopyDecision::None };
    if given.facts.upgrade {
        return CopyDecision::Upgrade;
    }
    if !may_copy(policy, shadow, given.facts, target) {
        return CopyDecision::Method;
    }
    if given.sample % u64::from(super::BUCKETS) >= u64::from(shadow.sample.buckets()) {
        return CopyDecision::SampledOut;
    }
    CopyDecision::To(target)
}

/// Write safety as a rule of the system: an unsafe method is copied only to a sandbox, and never to the monolith. A call of gRPC
/// that the route declares safe is copied as a GET is.
fn may_copy(policy: &Policy, shadow: &Shadow, facts: &Facts<'_>, target: UpstreamId) -> bool {
    let method = facts.sent_method();
    if shadow.methods.contains(&GET) && policy.safe_calls.declare(facts) {
        return true;
    }
    shadow.may_copy(method) && (is_safe(method) || target != UpstreamId::MONOLITH)
}
