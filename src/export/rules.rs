//! The routes as a list for proxies that take the first rule that fits: the most specific first.

use super::ExportTarget;
use super::pattern::{anchors_at_ends, has_too_many, is_portable, looks_escaped};
use crate::compile::{Network, ProxyProtocol, Route, Snapshot};
use crate::endpoint::UpstreamId;
use crate::message::{FORGEABLE_NAMES, is_of_forgeable_family};
use crate::migration::{Answers, Fallback, Percent};
use crate::route::{Condition, ConditionKind, ConditionOn, HeaderEdits, PathRewrite, Precedence, Redirect, Template};

/// The methods that an `HTTPRoute` may name.
pub(super) const STANDARD_METHODS: &[&str] =
    &["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// A route under one of its templates.
#[derive(Debug, Clone, Copy)]
pub(super) struct ExportRule<'a> {
    pub(super) route: &'a Route,
    pub(super) template: &'a Template,
    pub(super) guard: Guard<'a>,
    number: usize,
    target: ExportTarget,
}

/// The clients that may use a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guard<'a> {
    Open,
    /// Clients of these networks.
    Networks(&'a [Network]),
    /// No client: what guards it cannot be written.
    Closed,
}

/// One of those that answer a route's requests, and for how many of the 10 000 buckets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share<'a> {
    /// `monolith`, `service` or the variant's name.
    pub(super) side: &'a str,
    pub(super) upstream: UpstreamId,
    pub(super) buckets: u16,
    /// The headers of the variant's requests.
    pub(super) headers: Option<&'a HeaderEdits>,
}

/// Headers to remove, set and add, in this order.
#[derive(Debug, Clone, Default)]
pub(super) struct Edits<'a> {
    pub(super) remove: Vec<&'a str>,
    pub(super) set: Vec<(&'a str, &'a str)>,
    pub(super) add: Vec<(&'a str, &'a str)>,
}

impl<'a> ExportRule<'a> {
    /// The name by which the written file refers to it: the route's, with a number where it has several paths.
    pub(super) fn key(&self) -> String {
        match self.number {
            0 => self.route.name.to_string(),
            number => format!("{}.{number}", self.route.name),
        }
    }

    /// Methods that are taken; empty: all. `GET` stands for HEAD, too.
    pub(super) fn methods(&self) -> Vec<&'a str> {
        let Some(methods) = &self.route.rule.methods else { return Vec::new() };
        let mut names = methods.names();
        if names.contains(&"GET") && !names.contains(&"HEAD") {
            names.push("HEAD");
        }
        names
    }

    /// The sides that answer, in the order in which they take the buckets; sides without a bucket are left out.
    pub(super) fn shares(&self) -> Vec<Share<'a>> {
        let policy = &self.route.policy;
        let all = Percent::EVERYBODY.buckets();
        let service = policy.service.unwrap_or(UpstreamId::MONOLITH);
        let of = |side, upstream, buckets| Share { side, upstream, buckets, headers: None };
        let shares = match policy.dial.stage.answers() {
            Answers::Monolith => vec![of("monolith", UpstreamId::MONOLITH, all)],
            Answers::Service => vec![of("service", service, all)],
            Answers::ByWeight => {
                let weight = policy.dial.weight.buckets();
                vec![of("service", service, weight), of("monolith", UpstreamId::MONOLITH, all - weight)]
            }
            Answers::ByVariant => {
                let variant = |variant: &'a crate::migration::Variant| Share {
                    headers: Some(&variant.headers),
                    ..of(&variant.name, variant.upstream, variant.weight.buckets())
                };
                policy.variants.iter().map(variant).collect()
            }
        };
        shares.into_iter().filter(|share| share.buckets > 0).collect()
    }

    /// The header edits of requests to a share: those of the route for a service, then those of the variant.
    pub(super) fn edits(&self, share: &Share<'a>) -> Edits<'a> {
        let mut edits = Edits::default();
        if share.upstream != UpstreamId::MONOLITH {
            edits.remove.extend(self.route.identity.reserved.iter().map(http::HeaderName::as_str));
            edits.take(&self.route.rewrite.headers);
        }
        if let Some(headers) = share.headers {
            edits.take(headers);
        }
        edits
    }

    /// The conditions that the target can ask about.
    pub(super) fn conditions(&self) -> impl Iterator<Item = &'a Condition> {
        let target = self.target;
        self.route.rule.conditions.iter().filter(move |condition| can_ask(target, condition))
    }

    /// Whether the target has a rule for it. Without its conditions it would take requests of other routes; a guarded route does,
    /// so that its own are refused.
    pub(super) fn is_written(&self) -> bool {
        can_match(self.route, self.target) || self.guard == Guard::Closed
    }

    /// Whether all its requests are refused, since what guards or answers them cannot be written.
    pub(super) fn is_closed(&self) -> bool {
        let redirect = self.route.redirect.as_ref();
        self.guard == Guard::Closed
            || redirect
                .is_some_and(|redirect| self.target == ExportTarget::HttpRoute || self.is_beyond(redirect.path()))
    }

    /// The path that a service is sent in place of the client's.
    pub(super) fn rewrite(&self) -> Option<&'a PathRewrite> {
        self.route.rewrite.path.as_ref().filter(|rewrite| !self.is_beyond(rewrite))
    }

    /// Whether a path has more parameters than the target can number.
    pub(super) fn is_beyond(&self, path: &PathRewrite) -> bool {
        matches!(self.target, ExportTarget::Haproxy | ExportTarget::Envoy) && has_too_many(path)
    }

    pub(super) fn redirect(&self) -> Option<&'a Redirect> {
        self.route.redirect.as_ref().filter(|_| !self.is_closed())
    }

    /// The failures for which the monolith answers in the place of the service.
    pub(super) fn fallback(&self) -> Option<&'a Fallback> {
        let policy = &self.route.policy;
        policy.fallback.as_ref().filter(|_| policy.dial.stage.may_fall_back())
    }
}

/// Whether a condition means the same to the target as it does here.
pub(super) fn can_ask(target: ExportTarget, condition: &Condition) -> bool {
    if condition.on == ConditionOn::Header && is_unseen(target, &condition.name) {
        return false;
    }
    if target == ExportTarget::HttpRoute {
        let equal = matches!(&condition.kind, ConditionKind::Equal(value) if !value.is_empty());
        return condition.on != ConditionOn::Cookie && equal;
    }
    let envoy = target == ExportTarget::Envoy;
    match &condition.kind {
        // nginx drops such headers, and its variables do not tell `_` from `-`.
        _ if target == ExportTarget::Nginx && condition.on == ConditionOn::Header && condition.name.contains('_') => {
            false
        }
        // nginx cannot tell an empty header from none.
        ConditionKind::Equal(value) if target == ExportTarget::Nginx && condition.on == ConditionOn::Header => {
            !value.is_empty()
        }
        ConditionKind::Regex(regex) if !is_portable(regex.as_str()) => false,
        // Its maps ask an empty value nothing.
        ConditionKind::Regex(regex) if target == ExportTarget::Nginx => !regex.is_match(""),
        // It is asked of the whole field.
        ConditionKind::Regex(regex) if envoy && condition.on == ConditionOn::Cookie => anchors_at_ends(regex.as_str()),
        // It would look ahead.
        ConditionKind::Equal(value) if envoy && condition.on == ConditionOn::Query && looks_escaped(value) => false,
        // Envoy does not decode keys.
        _ if envoy && condition.on == ConditionOn::Query => !is_encoded(&condition.name),
        _ => true,
    }
}

/// Whether the target's match sees what a client says in this header, where multilith has replaced or removed it.
pub(super) fn is_unseen(target: ExportTarget, name: &str) -> bool {
    // Headers of one connection are the target's own.
    const OF_A_CONNECTION: [&str; 6] =
        ["connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"];
    match target {
        ExportTarget::Nginx => false,
        _ if OF_A_CONNECTION.contains(&name) => true,
        ExportTarget::Haproxy => false,
        ExportTarget::Envoy => ["x-forwarded-host", "x-forwarded-port", "x-real-ip", "x-request-id"].contains(&name),
        ExportTarget::HttpRoute => {
            name == "x-real-ip" || is_of_forgeable_family(name.as_bytes()) || FORGEABLE_NAMES.contains(&name)
        }
    }
}

/// Whether a query key stands percent-encoded in a URL.
pub(super) fn is_encoded(name: &str) -> bool {
    name.bytes().any(|byte| !byte.is_ascii_alphanumeric() && !b"-._~".contains(&byte))
}

/// Whether one of the route's methods is in the standard of `HTTPRoute`.
fn knows_methods(route: &Route) -> bool {
    let is_standard = |method: &&str| STANDARD_METHODS.contains(method);
    route.rule.methods.as_ref().is_none_or(|methods| methods.names().iter().any(is_standard))
}

fn can_match(route: &Route, target: ExportTarget) -> bool {
    let methods = target != ExportTarget::HttpRoute || knows_methods(route);
    methods && route.rule.conditions.iter().all(|condition| can_ask(target, condition))
}

/// Clients are known by their addresses alone: no proxy in front of the target is trusted.
pub(super) fn knows_clients(snapshot: &Snapshot) -> bool {
    snapshot.server.trusted.is_empty() && snapshot.server.proxy_protocol == ProxyProtocol::Off
}

/// Whether another service is asked, or a token is looked at, before a request of the route passes.
fn asks(route: &Route) -> bool {
    route.jwt.is_some() || route.identity.forward.is_some() || route.identity.exchange.is_some()
}

/// Whether the route is closed to some clients.
pub(super) fn is_guarded(route: &Route) -> bool {
    asks(route) || !route.allow.is_empty()
}

fn guard<'a>(snapshot: &Snapshot, route: &'a Route, target: ExportTarget) -> Guard<'a> {
    match &route.allow[..] {
        _ if asks(route) => Guard::Closed,
        [] => Guard::Open,
        networks if target != ExportTarget::HttpRoute && knows_clients(snapshot) && can_match(route, target) => {
            Guard::Networks(networks)
        }
        _ => Guard::Closed,
    }
}

impl<'a> Edits<'a> {
    fn take(&mut self, edits: &'a HeaderEdits) {
        let text =
            |(name, value): &'a (http::HeaderName, http::HeaderValue)| Some((name.as_str(), value.to_str().ok()?));
        self.remove.extend(edits.remove.iter().map(http::HeaderName::as_str));
        self.set.extend(edits.set.iter().filter_map(text));
        self.add.extend(edits.add.iter().filter_map(text));
    }
}

/// All rules, the most specific first; the first that fits a request is the one that multilith takes.
pub(super) fn ordered(snapshot: &Snapshot, target: ExportTarget) -> Vec<ExportRule<'_>> {
    let mut ranked: Vec<(Precedence, ExportRule<'_>)> = Vec::new();
    for route in &snapshot.routes {
        let guard = guard(snapshot, route, target);
        for (number, template) in route.rule.paths.iter().enumerate() {
            let rank = Precedence::of(&route.rule, template, snapshot.matching);
            ranked.push((rank, ExportRule { route, template, guard, number, target }));
        }
    }
    // Stable: of equals, which no request meets both but a preflight, the first by name.
    ranked.sort_by(|(one, _), (other, _)| other.cmp(one));
    ranked.into_iter().map(|(_, rule)| rule).collect()
}

/// The Host that an upstream is asked under, if not the client's.
pub(super) fn host_for(snapshot: &Snapshot, route: Option<&Route>, upstream: UpstreamId) -> Option<String> {
    let own = route.filter(|_| upstream != UpstreamId::MONOLITH).and_then(|route| route.rewrite.host.as_ref());
    let of_route = own.and_then(|host| host.to_str().ok()).map(str::to_owned);
    of_route.or_else(|| snapshot.upstreams[upstream.index()].host.as_deref().map(str::to_owned))
}
