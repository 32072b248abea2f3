//! One generation: a snapshot with all that its requests need at hand, so that nothing is looked up by name on their path.

use std::sync::Arc;

use super::access::{Access, RouteAccess};
use crate::compile::{Route, Snapshot};
use crate::endpoint::{Balance, UpstreamId};
use crate::guard::headers::ForwardedHeaders;
use crate::live::{GateCounters, Live, RouteState};
use crate::migration::{Answers, Dial, Percent, Policy, SafeCalls, Side, Stage, UnitSource};
use crate::route::{ConditionOn, PathRewrite, RateKey, RouteId};
use crate::shadow::{Copies, ShadowTraffic};
use crate::telemetry::{Meters, QueueMeters, RouteLabels, RouteMeters, WantedShare};
use crate::upstream::{Pool, Upstreams};

/// Everything in force for one generation of the file.
pub struct Generation {
    pub number: u64,
    pub snapshot: Arc<Snapshot>,
    /// By `UpstreamId`.
    pub pools: Vec<Arc<Pool>>,
    /// By `UpstreamId`: the meters of upstreams with `max_in_flight`.
    queues: Vec<Option<Arc<QueueMeters>>>,
    /// By `RouteId`.
    pub routes: Vec<RouteInForce>,
    /// For requests that no route takes.
    pub unmatched: RouteInForce,
    /// By `UpstreamId`: the routes that rewrite their paths for it, the longest literal part first.
    pub rewriting: Vec<Vec<Arc<Route>>>,
    /// Some upstream is told of clients' connections.
    pub tells_clients: bool,
    /// Some route decides by a header that the edge writes about the client, or lets a token write one.
    pub reads_forwarded: bool,
}

/// One route with its meters and what moves.
pub struct RouteInForce {
    /// `None` for requests that no route takes.
    pub route: Option<Arc<Route>>,
    pub policy: Policy,
    /// In force, as `live` held it when the generation was assembled.
    pub dial: Dial,
    pub state: Arc<RouteState>,
    /// `None` where the route has no gate.
    pub gate: Option<Arc<GateCounters>>,
    pub access: RouteAccess,
    pub meters: Arc<RouteMeters>,
    /// `None` where the stage sends no copies.
    pub copies: Option<Arc<Copies>>,
}

impl RouteInForce {
    pub fn name(&self) -> &str {
        self.route.as_ref().map_or(UNMATCHED, |route| &route.name)
    }

    /// The breaker acts: the stage has a service side that the monolith may stand in for.
    pub fn has_breaker(&self) -> bool {
        self.policy.fallback.is_some() && self.dial.stage.may_fall_back()
    }
}

/// The route label of requests that no route takes.
pub const UNMATCHED: &str = "unmatched";

impl Generation {
    /// The route of this name.
    pub fn named(&self, name: &str) -> Option<&RouteInForce> {
        self.routes.iter().find(|entry| entry.name() == name)
    }

    /// Brings a snapshot together with its pools, meters and keys. Routes that stay keep their state and their series. Must be
    /// called within the control runtime, which keeps pools and keys true to the world.
    pub fn assemble(
        number: u64,
        snapshot: Arc<Snapshot>,
        upstreams: &Arc<Upstreams>,
        live: &Live,
        metrics: &Meters,
        shadow: &ShadowTraffic,
        access: &Access,
    ) -> Self {
        let pools = upstreams.reconcile(&snapshot.upstreams);
        let routes: Vec<RouteInForce> = snapshot
            .routes
            .iter()
            .map(|route| {
                let state = live.route(&route.name);
                let dial = state.dial(route.policy.dial);
                // A policy is compiled for one stage: under another one it would not be what the file means.
                let dial = if dial.stage == route.policy.dial.stage { dial } else { route.policy.dial };
                let redirects = route.redirect.is_some();
                let meters = metrics.route(&labels(&route.name, (&route.policy, redirects), dial, &snapshot));
                let gate = route.policy.gate.as_ref().map(|_| state.gate());
                RouteInForce {
                    copies: shadow.route(route, &snapshot.upstreams, &meters, gate.clone()),
                    meters,
                    dial,
                    state,
                    gate,
                    access: access.of(route),
                    policy: route.policy.clone(),
                    route: Some(Arc::clone(route)),
                }
            })
            .collect();
        for entry in &routes {
            entry.meters.has_breaker(entry.has_breaker());
            // Nothing else would tell that a breaker has nothing to do any more.
            entry.meters.breaker_open(entry.has_breaker() && entry.state.breaker.is_open());
        }
        let policy = passing(&snapshot);
        let unmatched = RouteInForce {
            meters: metrics.route(&labels(UNMATCHED, (&policy, false), policy.dial, &snapshot)),
            dial: policy.dial,
            state: Arc::new(RouteState::default()),
            gate: None,
            copies: None,
            access: RouteAccess::default(),
            policy,
            route: None,
        };
        let limited = snapshot.upstreams.iter().map(|spec| (&*spec.name, spec.limit.is_some()));
        let queues = limited.map(|(name, limited)| metrics.queue(name, limited)).collect();
        let tells_clients = snapshot.upstreams.iter().any(|spec| spec.proxy_protocol.is_some());
        let rewriting = rewriting(&snapshot);
        let reads_forwarded = snapshot.routes.iter().any(|route| reads_forwarded(route));
        Self { number, snapshot, pools, queues, routes, unmatched, rewriting, tells_clients, reads_forwarded }
    }

    pub fn route(&self, id: Option<RouteId>) -> &RouteInForce {
        id.and_then(|id| self.routes.get(id.index())).unwrap_or(&self.unmatched)
    }

    pub fn queue_meters(&self, id: UpstreamId) -> Option<&QueueMeters> {
        self.queues.get(id.index())?.as_deref()
    }

    pub fn pool(&self, id: UpstreamId) -> &Arc<Pool> {
        self.pools.get(id.index()).expect("every upstream of a snapshot has its pool")
    }
}

pub fn reads_forwarded(route: &Route) -> bool {
    let conditions = route.rule.conditions_on(ConditionOn::Header).map(|condition| &*condition.name);
    let units = route.policy.sticky.iter().filter_map(|source| match source {
        UnitSource::Header(name) => Some(name.as_str()),
        _ => None,
    });
    let rate = route.rate_limit.iter().filter_map(|rate| match &rate.key {
        RateKey::Header(name) => Some(name.as_str()),
        _ => None,
    });
    let claims = route.jwt.iter().flat_map(|rule| rule.forward.iter().map(|(_, name)| name.as_str()));
    conditions.chain(units).chain(rate).chain(claims).any(ForwardedHeaders::may_write)
}

fn rewriting(snapshot: &Snapshot) -> Vec<Vec<Arc<Route>>> {
    let mut lists = vec![Vec::new(); snapshot.upstreams.len()];
    for route in snapshot.routes.iter().filter(|route| route.rewrite.path.is_some()) {
        let mut services: Vec<_> = route.policy.upstreams().collect();
        services.sort_unstable();
        services.dedup();
        for service in services {
            if let Some(list) = lists.get_mut(service.index()) {
                list.push(Arc::clone(route));
            }
        }
    }
    let literal = |route: &Arc<Route>| route.rewrite.path.as_ref().map_or(0, PathRewrite::literal_bytes);
    for list in &mut lists {
        list.sort_by_key(|route| std::cmp::Reverse(literal(route)));
    }
    lists
}

/// The meters' index of a side: the order in which `labels` names them.
pub fn meter_index(policy: &Policy, side: Side) -> usize {
    match side {
        Side::Monolith if policy.variants.is_empty() => 0,
        // The big red button: a variant of that name has the monolith's meters, else they come last.
        Side::Monolith => {
            let variant = policy.variants.iter().position(|variant| &*variant.name == "monolith");
            variant.unwrap_or(policy.variants.len())
        }
        Side::Service => 1,
        Side::Variant(index) => usize::from(index),
    }
}

/// A route that redirects answers in the place of a service, which has no upstream.
fn labels<'a>(
    name: &'a str,
    (policy, redirects): (&'a Policy, bool),
    dial: Dial,
    snapshot: &'a Snapshot,
) -> RouteLabels<'a> {
    let upstream = |id: UpstreamId| snapshot.upstreams.get(id.index()).map_or("", |spec| &*spec.name);
    let mut sides = Vec::new();
    if policy.variants.is_empty() {
        let service = wanted_service_share(dial);
        sides.push(WantedShare { side: "monolith", upstream: upstream(UpstreamId::MONOLITH), ratio: 1.0 - service });
        if policy.service.is_some() || redirects {
            let upstream = policy.service.map_or("", upstream);
            sides.push(WantedShare { side: "service", upstream, ratio: service });
        }
    } else {
        for variant in &policy.variants {
            sides.push(WantedShare {
                side: &variant.name,
                upstream: upstream(variant.upstream),
                ratio: variant.weight.ratio(),
            });
        }
        if !policy.variants.iter().any(|variant| &*variant.name == "monolith") {
            // The big red button can send a split to the monolith.
            sides.push(WantedShare { side: "monolith", upstream: upstream(UpstreamId::MONOLITH), ratio: 0.0 });
        }
    }
    RouteLabels { route: name, stage: dial.stage, sides }
}

/// The share that the dial gives to the service, 0.0 to 1.0.
pub fn wanted_service_share(dial: Dial) -> f64 {
    match dial.stage.answers() {
        Answers::Monolith => 0.0,
        Answers::ByWeight | Answers::ByVariant => dial.weight.ratio(),
        Answers::Service => 1.0,
    }
}

/// The policy of requests that no route takes.
pub fn passing(snapshot: &Snapshot) -> Policy {
    let by_unit = snapshot.upstreams.first().is_some_and(|monolith| monolith.balance == Balance::Sticky);
    Policy {
        dial: Dial { stage: Stage::Monolith, weight: Percent::NOBODY },
        service: None,
        variants: Vec::new(),
        sticky: Vec::new(),
        issue_cookie: by_unit,
        cohort: UNMATCHED.into(),
        pin: None,
        fallback: None,
        shadow: None,
        safe_calls: SafeCalls::default(),
        balanced_by_unit: by_unit,
        shared_cache: false,
        gate: None,
    }
}
