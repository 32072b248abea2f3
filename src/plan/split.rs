//! A resource that a client would read on one side and write on the other.

use std::collections::{BTreeMap, BTreeSet};

use super::difference::PlanFlag;
use super::files::Files;
use super::replay::{DialOf, NamedValues, Replay, is_safe, service_share};
use super::words::number;
use crate::compile::{Route, Snapshot};
use crate::endpoint::UpstreamId;
use crate::inventory::unmasked;
use crate::learn::Recorded;
use crate::migration::dial::{Wish, promoted, rolled_back};
use crate::migration::{Answers, Dial, Percent, Stage};
use crate::route::RouteId;

/// Requests of one resource, by the route that takes them; `None`: the monolith answers them, by a route or without one.
#[derive(Default)]
struct Takers {
    reads: BTreeMap<Option<u32>, u64>,
    writes: BTreeMap<Option<u32>, u64>,
    /// The routes that leave their part to the monolith.
    stay: BTreeSet<u32>,
}

/// A part of a resource is read or written by this route, the other by another, on another side for some clients.
pub(super) struct WritesSplit {
    pub route: String,
    /// `None`: the monolith has the other part, by a route or without one.
    pub other: Option<String>,
    pub flag: PlanFlag,
}

/// Each way. Splits that the old file has already are no news.
pub(super) fn writes_split(files: &Files<'_>, recorded: &Recorded) -> Vec<WritesSplit> {
    let before = split(files.old, files.dials, files.named, recorded);
    let mut found = Vec::new();
    for (key, Part { writes, stay }) in split(files.new, files.new_dials, files.named, recorded) {
        if before.contains_key(&key) {
            continue;
        }
        let (route, resource, other) = key;
        let by_name = |name: &str| {
            let id = files.new.routes.iter().zip(0_u32..).find(|(route, _)| *route.name == *name)?.1;
            standing(files.new, files.new_dials, Some(id))
        };
        let own = by_name(&route);
        let (remedy, others) = if let Some(name) = &other {
            let other = by_name(name);
            let remedy = match (own, other) {
                (Some(own), Some(other)) => format!("give it and `{name}` one {}", apart(own, other)),
                _ => format!("move it and `{name}` together"),
            };
            (remedy, other.into_iter().collect())
        } else {
            let stay = stay.iter().filter_map(|id| standing(files.new, files.new_dials, Some(*id)));
            ("the monolith answers the rest of it, so move both together".to_owned(), stay.collect::<Vec<_>>())
        };
        let moved = own.and_then(|own| {
            let mut pairs = others.iter().flat_map(|other| [(own, *other), (*other, own)]);
            pairs.find_map(|(moved, to)| by_a_move(files.new, moved, to.1))
        });
        let remedy = moved.map_or_else(|| remedy.clone(), |moved| format!("{remedy}; {moved}"));
        let sampled = recorded.requests.iter().any(|request| request.weight > 1);
        let writes = number(writes, sampled);
        let message =
            format!("some clients read {resource} on one side and write it on the other ({writes} writes): {remedy}");
        found.push(WritesSplit { route, other, flag: PlanFlag { code: "writes-split", danger: true, message } });
    }
    found
}

/// The command for a person where a line of the file would not do it: the dial in force is that of a move, and the file's is the
/// same as before.
fn by_a_move(file: &Snapshot, (route, dial): (&Route, Dial), to: Dial) -> Option<String> {
    if dial == route.policy.dial || dial == to {
        return None;
    }
    let gate = route.policy.gate.as_deref();
    let (steps, gated) = (gate.unwrap_or(&file.gate_defaults), gate.is_some());
    let (wish, goal) = match to.stage {
        Stage::Canary => (Wish { stage: None, weight: Some(to.weight) }, format!("--weight {}", to.weight)),
        stage => (Wish { stage: Some(stage), weight: None }, format!("--to {stage}")),
    };
    let verb = match (promoted(dial, wish, steps, gated), rolled_back(dial, wish, steps, gated)) {
        (Ok(_), _) => "promote",
        (_, Ok(_)) => "rollback",
        _ => return None,
    };
    let name = &route.name;
    Some(format!("a move took `{name}` to {dial}, not the file: `multilith {verb} {name} {goal}`"))
}

/// The keys in which two routes differ and must not: `cohort, sticky and weight`.
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

/// Route, resource and the other route, each way.
type Split = BTreeMap<(String, String, Option<String>), Part>;

#[derive(Default)]
struct Part {
    writes: u64,
    /// Routes that leave some of the resource to the monolith.
    stay: BTreeSet<u32>,
}

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
        takers.stay.extend(taker.filter(|id| moves(id).is_none()));
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
                        let part = splits.entry((own, resource.clone(), other)).or_default();
                        part.writes += *writes;
                        part.stay.extend(&takers.stay);
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
