//! How two files differ, route by route, in words.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::Serialize;

use super::files::Files;
use crate::compile::{Route, Snapshot, altered_keys};
use crate::migration::{Dial, Policy, Stage};
use crate::route::{PathPiece, RouteId};

/// Something that a person should look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanFlag {
    pub code: &'static str,
    pub danger: bool,
    pub message: String,
}

/// The codes that a danger may have.
pub const DANGERS: [&str; 6] =
    ["leaves-net", "no-longer-matched", "sticky-changes", "too-big-a-step", "writes-move", "writes-split"];

/// Where a route of the old file stands, and what that file says.
#[derive(Debug, Clone, Copy)]
pub struct DialNow {
    pub in_force: Dial,
    pub written: Dial,
}

/// Of a route of the old file; `None`: what it says is in force.
pub type DialsNow<'a> = &'a dyn Fn(RouteId) -> Option<DialNow>;

/// The dials that stay in force under the new file: where it says the same of a route as the old one, a move goes on.
pub(super) fn that_stay(old: &Snapshot, dials: DialsNow<'_>, new: &Snapshot) -> HashMap<RouteId, Dial> {
    let before: HashMap<&str, DialNow> =
        old.routes.iter().zip(0_u32..).filter_map(|(route, id)| Some((&*route.name, dials(RouteId(id))?))).collect();
    let stays = |(route, id): (&Arc<Route>, u32)| {
        let now = before.get(&*route.name).filter(|now| now.written == route.policy.dial)?;
        Some((RouteId(id), now.in_force))
    };
    new.routes.iter().zip(0_u32..).filter_map(stays).collect()
}

/// One route that is not as it was.
pub(super) struct Difference {
    pub name: String,
    pub change: &'static str,
    pub what: Vec<String>,
    /// Its clients are drawn anew.
    pub redraws: bool,
    /// The findings from the two files alone.
    pub flags: Vec<PlanFlag>,
}

impl Difference {
    /// Of a route of which both files say the same.
    pub(super) fn unwritten(name: &str, what: Vec<String>) -> Self {
        Self { name: name.to_owned(), change: "changed", what, redraws: false, flags: Vec::new() }
    }
}

/// The routes that differ, by name.
pub(super) fn differences(files: &Files<'_>) -> Vec<Difference> {
    let Files { old, dials, new, new_dials, .. } = *files;
    let before: BTreeMap<&str, (&Arc<Route>, Dial)> = old
        .routes
        .iter()
        .zip(0_u32..)
        .map(|(route, id)| (&*route.name, (route, dials(RouteId(id)).unwrap_or(route.policy.dial))))
        .collect();
    let after: BTreeMap<&str, (&Arc<Route>, Dial)> = new
        .routes
        .iter()
        .zip(0_u32..)
        .map(|(route, id)| (&*route.name, (route, new_dials(RouteId(id)).unwrap_or(route.policy.dial))))
        .collect();
    let mut all = Vec::new();
    for (name, (route, to)) in &after {
        match before.get(name) {
            None => all.push(added(new, name, route)),
            Some((was, dial)) => all.extend(changed((old, was, *dial), (new, route, *to))),
        }
    }
    for (name, (was, dial)) in before.iter().filter(|(name, _)| !after.contains_key(*name)) {
        let what = vec![format!("{} -> {}, {}", paths(was), answers(old, was), dial)];
        all.push(Difference { name: (*name).to_owned(), change: "removed", what, redraws: false, flags: Vec::new() });
    }
    all.sort_by(|one, other| one.name.cmp(&other.name));
    all
}

fn added(new: &Snapshot, name: &str, route: &Route) -> Difference {
    let what = vec![format!("{} -> {}, stage {}", paths(route), answers(new, route), route.policy.dial)];
    let mut flags = Vec::new();
    leaves_net(None, route, &mut flags);
    cookie_lost(route, &mut flags);
    Difference { name: name.to_owned(), change: "added", what, redraws: false, flags }
}

fn changed(
    (old, was, dial): (&Snapshot, &Route, Dial),
    (new, is, to): (&Snapshot, &Route, Dial),
) -> Option<Difference> {
    let mut what = Vec::new();
    let mut flags = Vec::new();
    if (dial.stage, dial.own_weight()) != (to.stage, to.own_weight()) {
        let both = dial.stage.has_weight() && to.stage.has_weight();
        let into = if both { to.weight.to_string() } else { to.to_string() };
        what.push(format!("{dial} -> {into}"));
        let (from, into) = (dial.weight.buckets(), to.weight.buckets());
        if both && u32::from(into) > 10 * u32::from(from.max(1)) {
            flags.push(PlanFlag {
                code: "too-big-a-step",
                danger: true,
                message: format!("{} -> {} is more than ten times as much at once", dial.weight, to.weight),
            });
        }
        leaves_net(Some((was, dial)), is, &mut flags);
    } else if was.policy.fallback.is_some() && is.policy.fallback.is_none() {
        leaves_net(Some((was, dial)), is, &mut flags);
    }
    let keys = altered_keys((old, was), (new, is));
    let differs = |key: &str| keys.contains(&key);
    let (from_side, into_side) = (answers(old, was), answers(new, is));
    if from_side != into_side {
        what.push(format!("{from_side} -> {into_side}"));
    }
    if differs("path") {
        what.push(format!("path {} -> {}", paths(was), paths(is)));
    }
    if differs("methods") {
        what.push("other methods".to_owned());
    }
    if ["host", "headers", "cookies", "query", "priority"].into_iter().any(differs) {
        what.push("other conditions".to_owned());
    }
    let (from, into) = (was.policy.sticky_sources(), is.policy.sticky_sources());
    let named = |text: &str| if text.is_empty() { "cookie:multilith_id".to_owned() } else { text.to_owned() };
    if from != into {
        what.push(format!("sticky {} -> {}", named(&from), named(&into)));
    }
    if differs("cohort") {
        what.push(format!("cohort {} -> {}", was.policy.cohort, is.policy.cohort));
    }
    let divided = |stage: Stage| stage.divides();
    let redraws = (from != into || differs("cohort")) && divided(dial.stage) && divided(to.stage);
    if differs("fallback") && was.policy.fallback.is_some() == is.policy.fallback.is_some() {
        what.push("another fallback".to_owned());
    }
    if was.policy.fallback.is_some() != is.policy.fallback.is_some() && dial.stage == to.stage {
        what.push(format!("fallback {}", if is.policy.fallback.is_some() { "on" } else { "off" }));
    }
    if differs("rewrite") || differs("answer") {
        what.push("another rewrite".to_owned());
        cookie_lost(is, &mut flags);
    }
    if differs("shadow") && dial.stage == to.stage {
        what.push("other copies".to_owned());
        flags.push(PlanFlag {
            code: "evidence-restarts",
            danger: false,
            message: "what is copied or compared changes: its evidence may begin anew".to_owned(),
        });
    }
    let more = without_words(&keys, was.policy.dial.stage != is.policy.dial.stage, from_side != into_side);
    if !more.is_empty() {
        what.push(format!("other {}", more.join(", ")));
    }
    if what.is_empty() {
        return None;
    }
    Some(Difference { name: is.name.to_string(), change: "changed", what, redraws, flags })
}

/// The keys for which `changed` has no words of its own.
fn without_words(keys: &[&'static str], other_stage: bool, other_answers: bool) -> Vec<&'static str> {
    let is_told = |key: &str| match key {
        "variants" => other_answers,
        // The default of these depends on the stage.
        "gate" | "breaker" => other_stage,
        "stage" | "weight" | "service" | "redirect" | "path" | "methods" | "host" | "headers" | "cookies" | "query"
        | "priority" | "sticky" | "cohort" | "rewrite" | "answer" | "fallback" | "shadow" => true,
        _ => false,
    };
    keys.iter().copied().filter(|key| !is_told(key)).collect()
}

/// A service that is asked under other names sets cookies for those. Set-Cookie is not recorded, so this is no danger but a question.
fn cookie_lost(is: &Route, flags: &mut Vec<PlanFlag>) {
    let lost = match (&is.rewrite.path, &is.rewrite.host) {
        (Some(_), _) if is.answer.cookie_path.is_empty() => {
            "another path: a cookie that its service sets for that path is never sent back; see `answer.cookie_path`"
        }
        (_, Some(_)) if is.answer.cookie_domain.is_empty() => {
            "another host: a cookie that its service sets for that host is thrown away; see `answer.cookie_domain`"
        }
        _ => return,
    };
    flags.push(PlanFlag { code: "cookie-lost", danger: false, message: lost.to_owned() });
}

/// The monolith is no longer there to answer in the service's place.
fn leaves_net(was: Option<(&Route, Dial)>, is: &Route, flags: &mut Vec<PlanFlag>) {
    let retired = is.policy.dial.stage == Stage::Retired && was.is_none_or(|(_, dial)| dial.stage != Stage::Retired);
    let had = was.is_some_and(|(route, _)| route.policy.fallback.is_some());
    let message = if retired {
        "stage retired: the monolith is never asked again, not even when the service fails"
    } else if had && is.policy.fallback.is_none() && is.policy.dial.stage.may_fall_back() {
        "the monolith no longer answers when the service fails"
    } else {
        return;
    };
    flags.push(PlanFlag { code: "leaves-net", danger: true, message: message.to_owned() });
}

fn paths(route: &Route) -> String {
    route.rule.paths.iter().map(crate::route::Template::as_str).collect::<Vec<_>>().join(", ")
}

/// `service basket`, `redirect to /new/{id} (308)`, or the variants with their shares.
fn answers(snapshot: &Snapshot, route: &Route) -> String {
    let policy = &route.policy;
    if let Some(redirect) = &route.redirect {
        let piece = |piece: &PathPiece| match piece {
            PathPiece::Literal(text) => text.to_string(),
            PathPiece::Parameter(name) => format!("{{{name}}}"),
        };
        let path: String = redirect.path().pieces.iter().map(piece).collect();
        return format!("redirect to {}{path} ({})", redirect.origin(), redirect.status);
    }
    if policy.variants.is_empty() {
        return service_name(snapshot, policy).map_or_else(|| "monolith".to_owned(), |name| format!("service {name}"));
    }
    let variants = policy.variants.iter().map(|variant| format!("{} {}", variant.name, variant.weight));
    variants.collect::<Vec<_>>().join(", ")
}

pub(super) fn service_name(snapshot: &Snapshot, policy: &Policy) -> Option<String> {
    let id = policy.service?;
    snapshot.upstreams.get(id.index()).map(|spec| spec.name.to_string())
}
