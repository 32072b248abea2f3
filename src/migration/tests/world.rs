//! Policies and requests to decide about.

use std::time::Duration;

use http::{HeaderName, Method};

use crate::endpoint::UpstreamId;
use crate::message::Fields;
use crate::migration::{
    BreakerState, Decision, DecisionInput, Dial, Fallback, Percent, Pin, Policy, SafeCalls, Stage, StatusSet,
    UnitSource, Variant, decide,
};
use crate::route::{Facts, HeaderEdits, MethodSet};

pub(super) const SERVICE: UpstreamId = UpstreamId(1);

pub(super) fn percent(hundredths: u16) -> Percent {
    Percent::from_hundredths(hundredths).expect("at most 100 %")
}

/// A route `checkout` in this stage, with a fallback where the stage has one.
pub(super) fn policy(stage: Stage, weight: u16) -> Policy {
    Policy {
        dial: Dial { stage, weight: percent(weight) },
        service: (stage != Stage::Split).then_some(SERVICE),
        variants: Vec::new(),
        sticky: vec![UnitSource::Header(HeaderName::from_static("x-user-id"))],
        issue_cookie: true,
        cohort: "checkout".into(),
        pin: None,
        fallback: matches!(stage, Stage::Canary | Stage::Migrated).then(|| Fallback {
            methods: MethodSet::all(),
            statuses: StatusSet::default(),
            breaker_failures: 5,
            breaker_open: Duration::from_secs(30),
        }),
        shadow: None,
        safe_calls: SafeCalls::default(),
        balanced_by_unit: false,
        shared_cache: false,
        gate: None,
    }
}

pub(super) fn split(weights: &[(&str, u16)]) -> Policy {
    let variants = weights.iter().map(|(name, weight)| Variant {
        name: (*name).into(),
        upstream: SERVICE,
        weight: percent(*weight),
        headers: HeaderEdits::default(),
    });
    Policy { variants: variants.collect(), ..policy(Stage::Split, 10_000) }
}

pub(super) fn pinned(policy: Policy) -> Policy {
    Policy { pin: Some(Pin { silence: Duration::from_secs(600), cookie: "multilith_pin_checkout".into() }), ..policy }
}

/// One request's facts beside its headers.
#[derive(Clone, Copy)]
pub(super) struct Case<'a> {
    pub(super) method: &'a Method,
    pub(super) monolith_only: bool,
    pub(super) breaker: BreakerState,
    pub(super) forced: Option<&'a str>,
    pub(super) fresh: u128,
}

pub(super) const CASE: Case<'static> =
    Case { method: &Method::GET, monolith_only: false, breaker: BreakerState::Closed, forced: None, fresh: 7 };

pub(super) fn decided(policy: &Policy, fields: &[(&'static str, &str)], case: Case<'_>) -> Decision {
    let headers: Fields = fields.iter().copied().collect();
    let facts = Facts {
        method: case.method,
        preflight: None,
        host: "shop.example",
        path: "/checkout",
        query: Some(b"account=a+1"),
        headers: &headers,
        client: Some(std::net::IpAddr::from([203, 0, 113, 7])),
        upgrade: false,
    };
    decide(
        policy,
        &DecisionInput {
            facts: &facts,
            dial: policy.dial,
            monolith_only: case.monolith_only,
            breaker: case.breaker,
            forced: case.forced,
            fresh: case.fresh,
            sample: 0,
        },
    )
}
