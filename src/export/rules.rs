//! The routes as a list for proxies that take the first rule that fits: the most specific first.

use super::pattern::{anchors_at_ends, is_portable};
use crate::compile::Snapshot;
use crate::endpoint::UpstreamId;
use crate::migration::{Percent, Stage};
use crate::route::{ConditionKind, HeaderEdits, Precedence, Route, Template};

/// A route under one of its templates.
#[derive(Debug, Clone, Copy)]
pub(super) struct ExportRule<'a> {
    pub(super) route: &'a Route,
    pub(super) template: &'a Template,
    number: usize,
}

/// One of those that answer a route's requests, and for how many of the 10 000 buckets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share<'a> {
    /// `monolith`, `service` or the variant's name.
    pub(super) side: &'a str,
    pub(super) upstream: UpstreamId,
    pub(super) buckets: u16,
    /// What the variant's requests carry.
    pub(super) headers: Option<&'a HeaderEdits>,
}

/// What is removed, set and added, in this order.
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

    /// Who answers, those of no bucket left out, in the order in which they take the buckets.
    pub(super) fn shares(&self) -> Vec<Share<'a>> {
        let policy = &self.route.policy;
        let all = Percent::EVERYBODY.buckets();
        let service = policy.service.unwrap_or(UpstreamId::MONOLITH);
        let of = |side, upstream, buckets| Share { side, upstream, buckets, headers: None };
        let shares = match policy.dial.stage {
            Stage::Monolith | Stage::Shadow => vec![of("monolith", UpstreamId::MONOLITH, all)],
            Stage::Migrated | Stage::Retired => vec![of("service", service, all)],
            Stage::Canary => {
                let weight = policy.dial.weight.buckets();
                vec![of("service", service, weight), of("monolith", UpstreamId::MONOLITH, all - weight)]
            }
            Stage::Split => {
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

    /// Whether a condition is a regex that the targets would read otherwise.
    pub(super) fn has_foreign_regex(&self) -> bool {
        let own = &self.route.rule;
        own.headers.iter().chain(&own.cookies).chain(&own.query).any(|condition| match &condition.kind {
            ConditionKind::Regex(regex) => !is_portable(regex.as_str()),
            _ => false,
        })
    }

    /// Whether a condition on a cookie is a regex that cannot be asked of the whole field.
    pub(super) fn has_anchor_within(&self) -> bool {
        self.route.rule.cookies.iter().any(|condition| match &condition.kind {
            ConditionKind::Regex(regex) => !anchors_at_ends(regex.as_str()),
            _ => false,
        })
    }

    /// Whether its requests are refused, since what guards or answers them cannot be written.
    pub(super) fn is_closed(&self) -> bool {
        let route = self.route;
        let identity = &route.identity;
        let guarded = route.jwt.is_some() || identity.forward.is_some() || identity.exchange.is_some();
        guarded || !route.allow.is_empty() || route.redirect.is_some()
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
pub(super) fn ordered(snapshot: &Snapshot) -> Vec<ExportRule<'_>> {
    let mut ranked: Vec<(Precedence, ExportRule<'_>)> = Vec::new();
    for route in &snapshot.routes {
        for (number, template) in route.rule.paths.iter().enumerate() {
            let rank = Precedence::of(&route.rule, template, snapshot.matching);
            ranked.push((rank, ExportRule { route, template, number }));
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
