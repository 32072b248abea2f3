//! A new file tried on recorded requests: who would be moved, and what would be dangerous.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use http::Method;
use serde::Serialize;

use super::difference::{DialsNow, Difference, PlanFlag, differences, that_stay};
use super::files::Files;
use super::replay::{NamedValues, Place, Replay, is_safe};
use super::split::writes_split;
use super::unrecorded::{Unrecorded, unrecorded};
use super::words::ratio;
use crate::compile::Snapshot;
use crate::inventory::unmasked;
use crate::learn::{Recorded, RecordedRequest};
use crate::migration::{CopiesTo, Policy, WriteCopies};
use crate::route::Route;

/// What would change; `plan --json` and `POST /api/v1/plan` give it.
#[derive(Debug, Clone, Serialize)]
pub struct PlanReport {
    pub traffic: PlanTraffic,
    /// Routes that are added, changed or removed, by name.
    pub routes: Vec<PlannedRoute>,
    pub unchanged: UnchangedRoutes,
    pub summary: PlanSummary,
    /// Keys that differ and are read only when the program starts.
    pub needs_restart: Vec<&'static str>,
    /// What the new file asks about and no request was recorded with: these could be decided differently.
    pub unrecorded: Vec<Unrecorded>,
}

/// What the plan is judged by.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct PlanTraffic {
    /// Recorded requests; 0: there is no traffic to judge by.
    pub shapes: usize,
    /// The requests that they stand for.
    pub requests: u64,
    /// Minutes since 1970.
    pub since: u32,
}

impl PlanTraffic {
    /// Some recorded request stands for more than itself: counts of requests are estimates.
    #[must_use]
    pub const fn is_sample(&self) -> bool {
        self.requests > self.shapes as u64
    }
}

#[derive(Debug, Clone, Serialize)]
pub struct PlannedRoute {
    pub name: String,
    /// `added`, `changed` or `removed`.
    pub change: &'static str,
    /// In words: `canary 5% -> 25%`.
    pub what: Vec<String>,
    pub clients: MovedClients,
    pub endpoints: Vec<PlannedEndpoint>,
    pub flags: Vec<PlanFlag>,
}

/// Clients by their units; those without one are not counted.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct MovedClients {
    pub all: usize,
    pub to_service: usize,
    pub back: usize,
    /// Every request was recorded and every bucket is known; else it is an estimate: of a sample, or of clients drawn anew.
    pub exact: bool,
}

impl MovedClients {
    /// Two standard deviations of the share that `part` of them is, in points.
    #[must_use]
    pub fn margin(&self, part: usize) -> f64 {
        let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        let (all, part) = (number(self.all.max(1)), number(part));
        200.0 * (part / all * (1.0 - part / all) / all).sqrt()
    }
}

#[derive(Debug, Clone, Serialize)]
pub struct PlannedEndpoint {
    pub method: String,
    /// A template, as the inventory has it.
    pub path: String,
    pub requests: u64,
    /// Of these, at an upstream other than the monolith.
    pub before: u64,
    pub after: u64,
    /// By the new file: `copied`, or why requests of this method are not; `None`: the route copies nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copies: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct UnchangedRoutes {
    pub routes: usize,
    /// Of all requests, 0.0 to 1.0.
    pub share: f64,
}

#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct PlanSummary {
    pub added: usize,
    pub changed: usize,
    pub removed: usize,
    /// Of all requests, 0.0 to 1.0.
    pub to_service: f64,
    pub back: f64,
    pub clients_to_service: usize,
    pub clients_back: usize,
    /// Each moved request has a client that is known. Where a route had no `sticky` until now, none was recorded.
    pub clients_known: bool,
    pub dangers: usize,
}

/// Tries `new` on what was recorded under `old`.
#[must_use]
pub fn plan(old: &Snapshot, now: DialsNow<'_>, new: &Snapshot, recorded: &Recorded) -> PlanReport {
    let stay = that_stay(old, now, new);
    let (dials, new_dials) = (|id| now(id).map(|now| now.in_force), |id| stay.get(&id).copied());
    let files = Files { old, dials: &dials, new, new_dials: &new_dials, named: &NamedValues::of(new) };
    let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
    let mut clients = (HashSet::new(), HashSet::new());
    let mut totals = (0_u64, 0_u64, 0_u64);
    let mut unknown_clients = false;
    for (number, request) in (0_u64..).zip(&recorded.requests) {
        let Some(replay) = Replay::of(request, files.named) else { continue };
        let (before, after) = (replay.place(old, &dials, number), replay.place(new, &new_dials, number));
        let weight = u64::from(request.weight);
        totals.0 += weight;
        // A request counts where it is, or will be.
        let name = after.route.or(before.route).unwrap_or("").to_owned();
        let sum = sums.entry(name).or_default();
        sum.count(request, &before, &after);
        if let (Some(was), Some(is)) = (before.route, after.route)
            && was != is
        {
            *sum.taken_from.entry(was.to_owned()).or_default() += weight;
            sum.redrawn += if before.divides && !before.estimated && after.estimated { weight } else { 0 };
        }
        if after.route.is_none() && before.route.is_some() {
            sums.entry(before.route.unwrap_or("").to_owned()).or_default().lost += weight;
        }
        let hash = request.unit.as_ref().map(|unit| unit.hash);
        unknown_clients |= before.moved != after.moved && hash.is_none();
        match (before.moved, after.moved) {
            (false, true) => {
                totals.1 += weight;
                clients.0.extend(hash);
            }
            (true, false) => {
                totals.2 += weight;
                clients.1.extend(hash);
            }
            _ => {}
        }
    }
    let clients = (clients.0.len(), clients.1.len(), !unknown_clients);
    report(&files, recorded, &sums, totals, clients)
}

fn report(
    files: &Files<'_>,
    recorded: &Recorded,
    sums: &BTreeMap<String, Sum>,
    (requests, to_service, back): (u64, u64, u64),
    (clients_to_service, clients_back, clients_known): (usize, usize, bool),
) -> PlanReport {
    let new = files.new;
    let empty = Sum::default();
    let mut routes = Vec::new();
    let mut summary = PlanSummary {
        to_service: ratio(to_service, requests),
        back: ratio(back, requests),
        clients_to_service,
        clients_back,
        clients_known,
        ..PlanSummary::default()
    };
    let splits = writes_split(files, recorded);
    let mut named = HashSet::new();
    for difference in differences(files) {
        let sum = sums.get(&difference.name).unwrap_or(&empty);
        match difference.change {
            "added" => summary.added += 1,
            "removed" => summary.removed += 1,
            _ => summary.changed += 1,
        }
        named.insert(difference.name.clone());
        let mut flags = flags(&difference, sum, requests > 0);
        flags.extend(splits.iter().filter(|(name, _)| *name == difference.name).map(|(_, flag)| flag.clone()));
        summary.dangers += flags.iter().filter(|flag| flag.danger).count();
        routes.push(PlannedRoute {
            change: difference.change,
            clients: sum.clients(),
            endpoints: sum.endpoints(new.routes.iter().find(|route| *route.name == *difference.name)),
            what: difference.what,
            flags,
            name: difference.name,
        });
    }
    let moves = routes.iter().map(|route| &route.name).collect::<HashSet<_>>();
    let stay = sums.iter().filter(|(name, _)| !moves.contains(name));
    let unchanged = UnchangedRoutes {
        routes: new.routes.iter().filter(|route| !named.contains(&*route.name)).count(),
        share: ratio(stay.map(|(_, sum)| sum.requests()).sum(), requests),
    };
    let since = recorded.requests.iter().map(|request| request.minute).min().unwrap_or(0);
    PlanReport {
        traffic: PlanTraffic { shapes: recorded.requests.len(), requests, since },
        routes,
        unchanged,
        summary,
        needs_restart: files.old.needs_restart(new),
        unrecorded: unrecorded(files, recorded, requests),
    }
}

fn flags(difference: &Difference, sum: &Sum, any_traffic: bool) -> Vec<PlanFlag> {
    let mut flags = difference.flags.clone();
    let mut flag = |code, danger, message| flags.push(PlanFlag { code, danger, message });
    let writes: u64 =
        sum.cells.iter().filter(|((method, _), _)| !is_safe(method)).map(|(_, cell)| cell.to + cell.back).sum();
    if writes > 0 {
        flag("writes-move", true, format!("{writes} requests that change something change their side"));
    }
    let lost = sum.lost;
    if lost > 0 {
        flag("no-longer-matched", true, format!("{lost} requests that it takes now would be taken by no route"));
    }
    for (other, requests) in &sum.taken_from {
        flag("shadowed-by", false, format!("it takes {requests} requests that `{other}` takes now"));
    }
    if difference.redraws || sum.redrawn > 0 {
        let clients = sum.clients();
        let share = ratio((clients.to_service + clients.back) as u64, clients.all.max(1) as u64) * 100.0;
        let text = format!("every client gets a new bucket: about {share:.0} % of them change their side");
        flag("sticky-changes", true, text);
    }
    if any_traffic && difference.change != "removed" && sum.requests() == 0 {
        flag("unseen", false, "it takes no recorded request: what it does is not verified".to_owned());
    }
    flags
}

/// Whether requests of this method, which the monolith answers, are copied to the service; `None`: the route copies nothing to it.
fn copies(policy: &Policy, method: &str) -> Option<&'static str> {
    let shadow = policy.shadow.as_ref().filter(|_| policy.dial.stage.copies() == CopiesTo::Service)?;
    let method = Method::from_bytes(method.as_bytes()).ok()?;
    Some(match shadow.may_copy(&method) {
        true if shadow.sample.buckets() < 10_000 => "a sample of them is copied",
        true => "copied",
        false if is_safe(method.as_str()) || shadow.writes == WriteCopies::Sandbox => {
            "not copied: not among `shadow.methods`"
        }
        false => "not copied: a write, and the service is no sandbox",
    })
}

/// What one route has to do with the recorded requests.
#[derive(Debug, Default)]
struct Sum {
    /// By method and path, as it is shown.
    cells: BTreeMap<(String, String), Cell>,
    all: HashSet<u64>,
    to: HashSet<u64>,
    back: HashSet<u64>,
    estimated: bool,
    taken_from: BTreeMap<String, u64>,
    /// Requests whose clients had a bucket with another route, and get a new one.
    redrawn: u64,
    lost: u64,
}

#[derive(Debug, Default)]
struct Cell {
    requests: u64,
    before: u64,
    after: u64,
    to: u64,
    back: u64,
}

impl Sum {
    fn count(&mut self, request: &RecordedRequest, before: &Place<'_>, after: &Place<'_>) {
        let weight = u64::from(request.weight);
        let shown = request.shown.as_ref().unwrap_or(&request.path);
        let cell = self.cells.entry((request.method.clone(), shown.clone())).or_default();
        cell.requests += weight;
        cell.before += if before.moved { weight } else { 0 };
        cell.after += if after.moved { weight } else { 0 };
        // Where one stands for several, some clients may not be among the recorded at all.
        self.estimated |= before.estimated || after.estimated || request.weight > 1;
        let hash = request.unit.as_ref().map(|unit| unit.hash);
        self.all.extend(hash);
        match (before.moved, after.moved) {
            (false, true) => {
                cell.to += weight;
                self.to.extend(hash);
            }
            (true, false) => {
                cell.back += weight;
                self.back.extend(hash);
            }
            _ => {}
        }
    }

    fn requests(&self) -> u64 {
        self.cells.values().map(|cell| cell.requests).sum()
    }

    fn clients(&self) -> MovedClients {
        MovedClients { all: self.all.len(), to_service: self.to.len(), back: self.back.len(), exact: !self.estimated }
    }

    fn endpoints(&self, route: Option<&Arc<Route>>) -> Vec<PlannedEndpoint> {
        let mut endpoints: Vec<PlannedEndpoint> = self
            .cells
            .iter()
            .map(|((method, path), cell)| PlannedEndpoint {
                method: method.clone(),
                path: unmasked(path),
                requests: cell.requests,
                before: cell.before,
                after: cell.after,
                copies: route.and_then(|route| copies(&route.policy, method)),
            })
            .collect();
        endpoints.sort_by(|one, other| other.requests.cmp(&one.requests).then_with(|| one.path.cmp(&other.path)));
        endpoints
    }
}
