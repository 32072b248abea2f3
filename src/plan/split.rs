//! A resource that a client would read on one side and write on the other.

use std::collections::BTreeMap;

use super::difference::PlanFlag;
use super::files::Files;
use super::replay::{DialOf, NamedValues, Replay, is_safe, service_share};
use super::words::number;
use crate::compile::Snapshot;
use crate::endpoint::UpstreamId;
use crate::inventory::unmasked;
use crate::learn::Recorded;
use crate::migration::{Answers, Dial, Percent};
use crate::route::{Route, RouteId};

/// Requests of one resource, by the route that takes them; `None`: the monolith answers them, by a route or without one.
#[derive(Default)]
struct Takers {
    reads: BTreeMap<Option<u32>, u64>,
    writes: BTreeMap<Option<u32>, u64>,
}

/// A part of a resource is read or written by this route, the other by another, on another side for some clients.
pub(super) struct WritesSplit {
    pub route: String,
    /// `None`: the monolith has the other part, by a route or without one.
    pub other: Option<String>,
    pub flag: PlanFlag,
}

/// Each way. What is so already under the old file is no news.
pub(super) fn writes_split(files: &Files<'_>, recorded: &Recorded) -> Vec<WritesSplit> {
    let before = split(files.old, files.dials, files.named, recorded);
    let mut found = Vec::new();
    for (key, writes) in split(files.new, files.new_dials, files.named, recorded) {
        if before.contains_key(&key) {
            continue;
        }
        let (route, resource, other) = key;
        let remedy = match &other {
            Some(name) => {
                let by_name = |name: &str| {
                    let id = files.new.routes.iter().zip(0_u32..).find(|(route, _)| *route.name == *name)?.1;
                    standing(files.new, files.new_dials, Some(id))
                };
                match (by_name(&route), by_name(name)) {
                    (Some(own), Some(other)) => format!("give it and `{name}` one {}", apart(own, other)),
                    _ => format!("move it and `{name}` together"),
                }
            }
            None => "the monolith answers the rest of it, so move both together".to_owned(),
        };
        let sampled = recorded.requests.iter().any(|request| request.weight > 1);
        let writes = number(writes, sampled);
        let message =
            format!("some clients read {resource} on one side and write it on the other ({writes} writes): {remedy}");
        found.push(WritesSplit { route, other, flag: PlanFlag { code: "writes-split", danger: true, message } });
    }
    found
}

/// What two routes that do not agree must have in common, and have not: `cohort, sticky and weight`.
fn apart((one, one_dial): (&Route, Dial), (other, other_dial): (&Route, Dial)) -> String {
    let divides = one_dial.stage.divides() || other_dial.stage.divides();
    let (stage, weight) = (one_dial.stage != other_dial.stage, one_dial.weight != other_dial.weight);
    let by_variants = [one_dial, other_dial].iter().any(|dial| dial.stage.answers() == Answers::ByVariant);
    let words = [
        (divides && one.policy.cohort != other.policy.cohort, "cohort"),
        (divides && one.policy.sticky != other.policy.sticky, "sticky"),
        (stage, "stage"),
        (weight && divides && !by_variants, "weight"),
        (by_variants && shares(one) != shares(other), "share of each variant"),
    ];
    let words: Vec<&str> = words.into_iter().filter(|(differs, _)| *differs).map(|(_, word)| word).collect();
    match words.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
        None => "share of the clients".to_owned(),
    }
}

/// The upstreams of the variants, and what they get.
fn shares(route: &Route) -> Vec<(UpstreamId, Percent)> {
    route.policy.variants.iter().map(|variant| (variant.upstream, variant.weight)).collect()
}

/// Route, resource and the other route, each way; how many writes.
type Split = BTreeMap<(String, String, Option<String>), u64>;

fn split(file: &Snapshot, dials: DialOf<'_>, named: &NamedValues, recorded: &Recorded) -> Split {
    let mut resources: BTreeMap<String, Takers> = BTreeMap::new();
    for request in &recorded.requests {
        let Some(replay) = Replay::of(request, named) else { continue };
        let taker = replay.route(file);
        // A redirect has neither side: where its client asks then is another request.
        if standing(file, dials, taker).is_some_and(|(route, dial)| redirects(route, dial)) {
            continue;
        }
        let takers = resources.entry(resource(&unmasked(&request.path)).to_owned()).or_default();
        let side = if is_safe(&request.method) { &mut takers.reads } else { &mut takers.writes };
        let moves = |id: &u32| {
            let (_, dial) = standing(file, dials, Some(*id))?;
            (dial.stage.answers() != Answers::Monolith).then_some(())
        };
        *side.entry(taker.filter(|id| moves(id).is_some())).or_default() += u64::from(request.weight);
    }
    let mut splits = Split::new();
    for (resource, takers) in resources {
        for read in takers.reads.keys() {
            for (write, writes) in &takers.writes {
                if read == write || agree(standing(file, dials, *read), standing(file, dials, *write)) {
                    continue;
                }
                let name = |id: &Option<u32>| {
                    id.and_then(|id| file.routes.get(id as usize)).map(|route| route.name.to_string())
                };
                for (own, other) in [(name(read), name(write)), (name(write), name(read))] {
                    if let Some(own) = own {
                        *splits.entry((own, resource.clone(), other)).or_default() += *writes;
                    }
                }
            }
        }
    }
    splits
}

fn standing<'a>(file: &'a Snapshot, dials: DialOf<'_>, id: Option<u32>) -> Option<(&'a Route, Dial)> {
    let route = file.routes.get(id? as usize)?;
    Some((&**route, dials(RouteId(id?)).unwrap_or(route.policy.dial)))
}

fn redirects(route: &Route, dial: Dial) -> bool {
    route.redirect.is_some() && dial.stage.answers() != Answers::Monolith
}

/// Whether every client finds both on one side.
fn agree(one: Option<(&Route, Dial)>, other: Option<(&Route, Dial)>) -> bool {
    let share = |standing: Option<(&Route, Dial)>| standing.map_or(Some(0), |(_, dial)| service_share(dial));
    match (share(one), share(other)) {
        (Some(one @ (0 | 10_000)), Some(other)) => one == other,
        (left, right) => {
            let (Some((one, _)), Some((other, _))) = (one, other) else { return false };
            let same = one.policy.cohort == other.policy.cohort && one.policy.sticky == other.policy.sticky;
            same && left == right && shares(one) == shares(other)
        }
    }
}

/// The literal beginning: what `GET /orders/5` and `POST /orders` have in common.
fn resource(path: &str) -> &str {
    let segment = |part: &&str| !part.is_empty() && !part.bytes().any(|byte| byte.is_ascii_digit() || byte == b'{');
    let mut end = 0;
    for part in path.split('/').skip(1) {
        let version = part.len() <= 3 && part.starts_with('v');
        if !segment(&part) && !version {
            break;
        }
        end += part.len() + 1;
    }
    path.get(..end).filter(|text| !text.is_empty()).unwrap_or("/")
}
