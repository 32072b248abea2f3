//! A new file tried on recorded requests: the clients that would move, and the dangers.

use std::collections::{BTreeMap, HashSet};

use super::difference::{DialsNow, Difference, PlanFlag, differences, that_stay};
use super::files::Files;
use super::replay::{Answerer, NamedValues, Replay};
use super::report::{PlanReport, PlanSummary, PlanTraffic, PlannedRoute, UnchangedRoutes};
use super::settings::{table_keys, tables, upstreams};
use super::split::writes_split;
use super::sum::Sum;
use super::unrecorded::unrecorded;
use super::words::ratio;
use crate::compile::Snapshot;
use crate::learn::Recorded;

/// Tries `new` on what was recorded under `old`.
#[must_use]
pub fn plan(old: &Snapshot, now: DialsNow<'_>, new: &Snapshot, recorded: &Recorded) -> PlanReport {
    let stay = that_stay(old, now, new);
    let (dials, new_dials) = (|id| now(id).map(|now| now.in_force), |id| stay.get(&id).copied());
    let files = Files { old, dials: &dials, new, new_dials: &new_dials, named: &NamedValues::of(new) };
    let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
    let mut totals = Totals::default();
    for (number, request) in (0_u64..).zip(&recorded.requests) {
        let Some(replay) = Replay::of(request, files.named) else { continue };
        let (before, after) = (replay.place(old, &dials, number), replay.place(new, &new_dials, number));
        let weight = u64::from(request.weight);
        // A request counts where it is, or will be.
        let sum = sums.entry(after.route.or(before.route).unwrap_or("").to_owned()).or_default();
        sum.count(request, &before, &after);
        match (before.route, after.route) {
            (Some(was), Some(is)) if was != is => {
                *sum.taken_from.entry(was.to_owned()).or_default() += weight;
                sum.redrawn += if before.divides && !before.estimated && after.estimated { weight } else { 0 };
                *sums.entry(was.to_owned()).or_default().given_to.entry(is.to_owned()).or_default() += weight;
            }
            (None, Some(_)) => sum.gained += weight,
            (Some(_), None) => sum.lost += weight,
            _ => {}
        }
        totals.count(weight, request.unit.as_ref().map(|unit| unit.hash), before.change(&after));
    }
    report(&files, recorded, &sums, &totals)
}

/// Of all routes.
#[derive(Default)]
struct Totals {
    requests: u64,
    to_service: u64,
    back: u64,
    redirected: u64,
    clients_to_service: HashSet<u64>,
    clients_back: HashSet<u64>,
    unknown_clients: bool,
}

impl Totals {
    fn count(&mut self, weight: u64, client: Option<u64>, change: Option<Answerer>) {
        self.requests += weight;
        let clients = match change {
            None => return,
            Some(Answerer::Redirect) => {
                self.redirected += weight;
                return;
            }
            Some(Answerer::Service) => {
                self.to_service += weight;
                &mut self.clients_to_service
            }
            Some(Answerer::Monolith) => {
                self.back += weight;
                &mut self.clients_back
            }
        };
        clients.extend(client);
        self.unknown_clients |= client.is_none();
    }
}

fn report(files: &Files<'_>, recorded: &Recorded, sums: &BTreeMap<String, Sum>, totals: &Totals) -> PlanReport {
    let new = files.new;
    let empty = Sum::default();
    let requests = totals.requests;
    let mut routes = Vec::new();
    let mut summary = PlanSummary {
        to_service: ratio(totals.to_service, requests),
        back: ratio(totals.back, requests),
        redirected: ratio(totals.redirected, requests),
        clients_to_service: totals.clients_to_service.len(),
        clients_back: totals.clients_back.len(),
        clients_known: !totals.unknown_clients,
        ..PlanSummary::default()
    };
    let listed = listed(files, recorded, sums);
    let named: HashSet<String> = listed.iter().map(|difference| difference.name.clone()).collect();
    for mut difference in listed {
        let sum = sums.get(&difference.name).unwrap_or(&empty);
        match difference.change {
            "added" => summary.added += 1,
            "removed" => {
                summary.removed += 1;
                difference.what.extend(sum.heirs());
            }
            _ => summary.changed += 1,
        }
        let flags = flags(&difference, sum, requests > 0);
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
    let stay = sums.iter().filter(|(name, _)| !named.contains(*name));
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
        tables: tables(files),
        table_keys: table_keys(files),
        upstreams: upstreams(files),
        needs_restart: files.old.needs_restart(new),
        unrecorded: unrecorded(files, recorded, requests),
    }
}

/// The routes that differ, and those of which the file says nothing new, but that take other requests or are split from others.
fn listed(files: &Files<'_>, recorded: &Recorded, sums: &BTreeMap<String, Sum>) -> Vec<Difference> {
    let mut listed: BTreeMap<String, Difference> =
        differences(files).into_iter().map(|difference| (difference.name.clone(), difference)).collect();
    for (name, sum) in sums {
        let what = sum.passed_on();
        if !name.is_empty() && !what.is_empty() {
            listed.entry(name.clone()).or_insert_with(|| Difference::unwritten(name, what));
        }
    }
    // A split is said of the routes that differ; of one that does not, where nothing else says it.
    for split in writes_split(files, recorded) {
        let is_told = split.other.as_ref().is_some_and(|other| listed.contains_key(other));
        if !is_told {
            let what = || vec!["takes only a part of what belongs together".to_owned()];
            listed.entry(split.route.clone()).or_insert_with(|| Difference::unwritten(&split.route, what()));
        }
        if let Some(difference) = listed.get_mut(&split.route) {
            difference.flags.push(split.flag);
        }
    }
    listed.into_values().collect()
}

fn flags(difference: &Difference, sum: &Sum, any_traffic: bool) -> Vec<PlanFlag> {
    let mut flags = difference.flags.clone();
    let mut flag = |code, danger, message| flags.push(PlanFlag { code, danger, message });
    let (writes, redirected) = sum.moved_writes();
    if writes > 0 {
        let whither = match redirected {
            0 => "change their side".to_owned(),
            all if all == writes => "are answered by a redirect".to_owned(),
            some => format!("change their side; a redirect answers {} of them", sum.number(some)),
        };
        flag("writes-move", true, format!("{} requests that change something {whither}", sum.number(writes)));
    }
    let lost = sum.lost;
    if lost > 0 {
        flag(
            "no-longer-matched",
            true,
            format!("{} requests that it takes now would be taken by no route", sum.number(lost)),
        );
    }
    for (other, requests) in &sum.taken_from {
        flag("shadowed-by", false, format!("it takes {} requests that `{other}` takes now", sum.number(*requests)));
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

#[cfg(test)]
#[path = "try_out_tests.rs"]
mod tests;
