//! The part of a fallback that a target can do: the monolith in the place of a service that failed.

use std::time::Duration;

use super::rules::ExportRule;
use crate::compile::Snapshot;
use crate::migration::Fallback;
use crate::route::MethodSet;

/// Methods that are sent twice without harm.
pub(super) const SAFE: [&str; 4] = ["GET", "HEAD", "OPTIONS", "TRACE"];

/// Lists of statuses that nginx can tell apart: each takes one of the statuses from 560 on.
pub(super) const MOST_GROUPS: usize = 40;

/// Statuses that a proxy says of itself: a service that did not answer, or not in time.
pub(super) const OWN: [u16; 2] = [502, 504];

/// The safe methods that a rule takes and that fall back.
pub(super) fn safe_methods(rule: &ExportRule<'_>, fallback: &Fallback) -> Vec<&'static str> {
    let taken = rule.methods();
    let falls = methods(if taken.is_empty() { &SAFE } else { &taken }, fallback);
    SAFE.into_iter().filter(|method| falls.contains(method)).collect()
}

/// The methods of a rule that fall back; of a rule that takes all, the known ones.
pub(super) fn methods<'a>(taken: &[&'a str], fallback: &Fallback) -> Vec<&'a str> {
    const KNOWN: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"];
    let taken = if taken.is_empty() { &KNOWN[..] } else { taken };
    taken.iter().copied().filter(|method| has(&fallback.methods, method)).collect()
}

/// Whether methods of the rule fall back that must not be sent twice.
pub(super) fn has_writes(rule: &ExportRule<'_>, fallback: &Fallback) -> bool {
    methods(&rule.methods(), fallback).iter().any(|method| !SAFE.contains(method))
}

/// Whether safe methods of the rule are not among those that fall back: where the service has answered, they do so all the same.
pub(super) fn lacks_safe(rule: &ExportRule<'_>, fallback: &Fallback) -> bool {
    let taken = rule.methods();
    let is_taken = |method: &str| taken.is_empty() || taken.contains(&method);
    let asked = SAFE.into_iter().filter(|method| *method != "TRACE" && is_taken(method));
    asked.count() > safe_methods(rule, fallback).into_iter().filter(|method| *method != "TRACE").count()
}

fn has(methods: &MethodSet, name: &str) -> bool {
    name.parse().is_ok_and(|method| methods.contains(&method))
}

/// The different lists of statuses that move a request to the monolith.
pub(super) fn groups(rules: &[ExportRule<'_>]) -> Vec<Vec<u16>> {
    let mut all: Vec<Vec<u16>> =
        rules.iter().filter_map(ExportRule::fallback).map(|fallback| fallback.statuses.iter().collect()).collect();
    all.sort();
    all.dedup();
    all
}

/// The times of an upstream; without a limit a day.
pub(super) fn seconds(time: Option<Duration>) -> u64 {
    time.map_or(86_400, |time| time.as_secs().max(1))
}

/// Whether the rule's service is watched, so that a proxy knows before it asks that no server is up.
pub(super) fn is_watched(snapshot: &Snapshot, rule: &ExportRule<'_>) -> bool {
    let service = rule.route.policy.service.and_then(|service| snapshot.upstreams.get(service.index()));
    service.is_some_and(|spec| spec.health.is_some())
}
