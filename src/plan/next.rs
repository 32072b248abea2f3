//! What to take next, what may retire, and what still reaches the monolith although it should not, each with its reasons.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde::Serialize;

use super::endpoints::near;
use super::paste::{Neighbour, routes_to_paste, stage_to_paste};
use super::words::{first_literal, methods, ratio, resource};
use crate::compile::{Route, Snapshot};
use crate::diagnostic::span;
use crate::inventory::{InventoryReport, LearnedEndpoint};
use crate::learn::LONG;
use crate::migration::{Answers, Dial, Stage};
use crate::route::Template;

/// Proposals of one kind.
const MOST: usize = 10;
/// Minutes over which the monolith's remaining requests are listed.
const RECENT: u32 = 24 * 60;
/// Requests below which a route's retirement is not proposed.
const ENOUGH: u64 = 1_000;
/// From this share of its requests on, the time of an endpoint's answers is the monolith's.
const MOSTLY: f64 = 0.95;
/// No more than this share of the requests may be unmatched before the proxy may go.
const UNMATCHED: f64 = 0.0001;

/// One proposal; `GET /api/v1/next` gives a list of them, the best of each kind first.
#[derive(Debug, Clone, Serialize)]
pub struct NextStep {
    /// `take`, `retire`, `zombie` or `leave`.
    pub kind: &'static str,
    /// Several are separated by commas; empty where the proposal is about no endpoint.
    pub method: String,
    pub path: String,
    pub route: Option<String>,
    /// Of all requests, 0.0 to 1.0.
    pub share: f64,
    pub reasons: Vec<String>,
    /// To paste into routes.toml; empty where nothing is to be written.
    pub toml: String,
}

/// A route as it stands now.
#[derive(Debug, Clone)]
pub struct StandingRoute {
    pub name: String,
    pub dial: Dial,
    pub service: Option<String>,
    /// The minute of its last move, as far as is known.
    pub since: Option<u32>,
    /// Answers of the monolith in the service's place, since the program began.
    pub fallbacks: u64,
    /// Copies that go back to the monolith are answered otherwise there.
    pub differs: bool,
}

impl StandingRoute {
    const fn is_moved(&self) -> bool {
        self.dial.stage.is_moved()
    }
}

/// The requests of thirty days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnsweredLately {
    pub requests: u64,
    /// By the monolith.
    pub monolith: u64,
}

/// The endpoints by their routes: thousands of each would be looked for among each other.
struct Traffic<'a> {
    report: &'a InventoryReport,
    by_route: HashMap<&'a str, Vec<&'a LearnedEndpoint>>,
    /// Of all endpoints, the shortest first.
    p99: Vec<f64>,
}

impl<'a> Traffic<'a> {
    fn of(report: &'a InventoryReport) -> Self {
        let mut by_route = HashMap::<&str, Vec<&LearnedEndpoint>>::new();
        for endpoint in &report.endpoints {
            if let Some(route) = &endpoint.route {
                by_route.entry(route).or_default().push(endpoint);
            }
        }
        let mut p99: Vec<f64> = report.endpoints.iter().filter_map(|endpoint| endpoint.p99_seconds).collect();
        p99.sort_by(f64::total_cmp);
        Self { report, by_route, p99 }
    }

    fn of_route(&self, name: &str) -> &[&'a LearnedEndpoint] {
        self.by_route.get(name).map_or(&[], Vec::as_slice)
    }
}

/// `report` knows its routes already; `answered`: where the last thirty days are known; `now` is in minutes since 1970.
#[must_use]
pub fn what_next(
    report: &InventoryReport,
    snapshot: &Snapshot,
    routes: &[StandingRoute],
    button: bool,
    answered: Option<AnsweredLately>,
    now: u32,
) -> Vec<NextStep> {
    let traffic = &Traffic::of(report);
    let zombies = |within: u32| zombies(traffic, snapshot, routes, button, now, within);
    let mut steps = Vec::new();
    let of_long = zombies(LONG);
    if let Some(step) = leave(report, routes, of_long.is_empty(), answered, now) {
        steps.push(step);
    }
    let taken = take(traffic, snapshot, routes, &of_long, now);
    let of_day = zombies(RECENT);
    let mut retiring = retire(traffic, snapshot, routes, now);
    // A route that still reaches the monolith, by another spelling for example, needs its code.
    let alive = if retiring.is_empty() { Vec::new() } else { zombies(retire_after(snapshot)) };
    retiring.retain(|step| alive.iter().all(|zombie| zombie.route != step.route));
    steps.extend(of_day.into_iter().take(MOST));
    steps.extend(retiring.into_iter().take(MOST));
    steps.extend(taken);
    steps
}

/// Endpoints that no service has yet: by the route of this very path that is at the monolith, else by path, or by resource where
/// something of it writes. Not those that are another spelling of a moved route's: they need no route of their own.
fn take(
    traffic: &Traffic<'_>,
    snapshot: &Snapshot,
    routes: &[StandingRoute],
    zombies: &[NextStep],
    now: u32,
) -> Vec<NextStep> {
    let report = traffic.report;
    let by_name: HashMap<&str, &StandingRoute> = routes.iter().map(|route| (&*route.name, route)).collect();
    let zombies: HashSet<&str> = zombies.iter().map(|zombie| &*zombie.path).collect();
    let is_open = |endpoint: &&LearnedEndpoint| {
        if zombies.contains(&*endpoint.path) || endpoint.begins_with_one_value() {
            return false;
        }
        let stage = endpoint.route.as_ref().and_then(|name| by_name.get(&**name));
        stage.is_none_or(|route| route.dial.stage == Stage::Monolith) && endpoint.last_minute + LONG >= now
    };
    let mut resources: BTreeMap<&str, Vec<&LearnedEndpoint>> = BTreeMap::new();
    let mut own: BTreeMap<&str, Vec<&LearnedEndpoint>> = BTreeMap::new();
    let written: HashMap<&str, &Route> = snapshot.routes.iter().map(|route| (&*route.name, &**route)).collect();
    for endpoint in report.endpoints.iter().filter(is_open) {
        match own_route(endpoint, &written) {
            Some(route) => own.entry(route).or_default().push(endpoint),
            None => resources.entry(resource(&endpoint.path)).or_default().push(endpoint),
        }
    }
    let mut groups: Vec<(Option<&StandingRoute>, Vec<&LearnedEndpoint>)> = Vec::new();
    groups.extend(own.into_iter().map(|(name, group)| (by_name.get(name).copied(), group)));
    for (_, endpoints) in resources {
        if endpoints.iter().any(|endpoint| endpoint.writes) {
            groups.push((None, endpoints));
            continue;
        }
        let mut by_path: BTreeMap<&str, Vec<&LearnedEndpoint>> = BTreeMap::new();
        for endpoint in endpoints {
            by_path.entry(&endpoint.path).or_default().push(endpoint);
        }
        groups.extend(by_path.into_values().map(|group| (None, group)));
    }
    let days = f64::from(now.saturating_sub(report.since_minute()).max(1)) / (24.0 * 60.0);
    let beside = beside(traffic, snapshot, routes);
    let mut scored: Vec<Proposal<'_>> =
        groups.into_iter().map(|(own, group)| candidate(own, group, traffic, &beside, days)).collect();
    scored.sort_by(|one, other| other.score.total_cmp(&one.score).then_with(|| one.step.path.cmp(&other.step.path)));
    scored.truncate(MOST);
    // All proposals pasted together give a file without two routes of one name.
    let mut names: BTreeSet<String> = routes.iter().map(|route| route.name.clone()).collect();
    let mut lines = |one: &Proposal<'_>| match one.own {
        Some(route) if route.service.is_none() => String::new(),
        Some(route) => stage_to_paste(&route.name, written.get(&*route.name).copied(), one.neighbour.as_ref()),
        None => routes_to_paste(&one.group, one.service, one.neighbour.as_ref(), &mut names),
    };
    scored.into_iter().map(|one| NextStep { toml: lines(&one), ..one.step }).collect()
}

/// The route that takes an endpoint and has its very path: another one beside it would be a second one of the same path. One that
/// takes more than that leaves room for a route of the endpoint's own.
fn own_route<'a>(endpoint: &'a LearnedEndpoint, written: &HashMap<&str, &Route>) -> Option<&'a str> {
    let name = endpoint.route.as_deref()?;
    let paths = &written.get(name)?.rule.paths;
    paths.iter().any(|path| without_names(path.normal()) == without_names(&endpoint.path)).then_some(name)
}

/// `/orders/{}` of `/orders/{id}`.
fn without_names(path: &str) -> String {
    let mut parts = path.split('{');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let (name, rest) = part.split_once('}').unwrap_or(("", part));
        text + if name.starts_with('*') { "{*}" } else { "{}" } + rest
    })
}

/// Endpoints to take together, and how good a choice they are.
struct Proposal<'a> {
    score: f64,
    step: NextStep,
    group: Vec<&'a LearnedEndpoint>,
    /// The route that takes them already.
    own: Option<&'a StandingRoute>,
    /// That of the route beside them.
    service: Option<&'a str>,
    /// The route beside them, where it has the same resource.
    neighbour: Option<Neighbour<'a>>,
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn candidate<'a>(
    own: Option<&'a StandingRoute>,
    group: Vec<&'a LearnedEndpoint>,
    traffic: &Traffic<'_>,
    beside: &HashMap<&str, Vec<Beside<'a>>>,
    days: f64,
) -> Proposal<'a> {
    let report = traffic.report;
    let requests: u64 = group.iter().map(|endpoint| endpoint.requests).sum();
    let reading: u64 = group.iter().filter(|endpoint| !endpoint.writes).map(|endpoint| endpoint.requests).sum();
    let errors: u64 = group.iter().map(|endpoint| endpoint.monolith_errors).sum();
    let answers: u64 = group.iter().map(|endpoint| endpoint.monolith).sum();
    let share = ratio(requests, report.requests);
    let (beside, neighbour) = best_beside(&group, beside);
    let reads = ratio(reading, requests);
    // A service's failures before the route came back are no reason to take it.
    let failing = ratio(errors, answers);
    let own_time = group.iter().filter(|endpoint| ratio(endpoint.monolith, endpoint.requests) >= MOSTLY);
    let slowest = own_time.filter_map(|endpoint| endpoint.p99_seconds).fold(0.0, f64::max);
    let slower = traffic.p99.len() - traffic.p99.partition_point(|p99| *p99 <= slowest);
    let pain = if slowest > 0.0 { 1.0 - slower as f64 / report.endpoints.len().max(1) as f64 } else { 0.0 };
    // Noise and cookies are not known before copies are compared: they count as good until then.
    let score = 0.30 * (1.0 + requests as f64 / days).log10() / 7.0
        + 0.25 * reads
        + 0.15
        + if beside.is_some() { 0.15 } else { 0.0 }
        + 0.10
        + 0.05 * failing.max(pain);
    let mut reasons = vec![format!("{:.1} % of requests ({requests})", share * 100.0)];
    let writes = group.iter().filter(|endpoint| endpoint.writes).count();
    reasons.push(match (writes, &neighbour) {
        (0, _) => "it only reads: copies can be compared before anybody is moved".to_owned(),
        (_, Some(neighbour)) => format!(
            "{}: one cohort with `{}` keeps each client on one side for reading and writing",
            if writes == 1 { "one endpoint writes".to_owned() } else { format!("{writes} endpoints write") },
            neighbour.name
        ),
        (1, None) => "one endpoint writes: one cohort keeps each client on one side for reading and writing".to_owned(),
        (several, None) => {
            format!("{several} endpoints write: one cohort keeps each client on one side for all of them")
        }
    });
    if let Some(route) = own {
        let then = if route.service.is_some() { "promote it" } else { "give it a `service`, then promote it" };
        reasons.push(format!("`{}` takes it already, in stage {}: {then}", route.name, route.dial.stage));
    }
    if let Some(route) = beside {
        reasons.push(format!("`{}` beside it is in stage {} already", route.name, route.dial.stage));
    }
    if failing >= 0.001 {
        reasons.push(format!("{:.1} % of the monolith's answers are errors", failing * 100.0));
    }
    if pain > 0.5 && report.endpoints.len() >= 10 {
        let all = report.endpoints.len();
        let slower = if slower == 0 { "none".to_owned() } else { slower.to_string() };
        reasons.push(format!("p99 is about {:.0} ms; {slower} of {all} endpoints have a higher one", slowest * 1e3));
    }
    let step = NextStep {
        kind: "take",
        method: methods(&group).join(", "),
        path: group.iter().map(|endpoint| &*endpoint.path).min_by_key(|path| path.len()).unwrap_or("/").to_owned(),
        route: own.map(|route| route.name.clone()),
        share,
        reasons,
        toml: String::new(),
    };
    Proposal { score, step, own, service: beside.and_then(|route| route.service.as_deref()), neighbour, group }
}

/// A route whose service is reached, and one of its resources.
struct Beside<'a> {
    resource: &'a str,
    standing: &'a StandingRoute,
    written: Option<&'a Route>,
}

/// By the first word of a path the routes there whose service is reached.
fn beside<'a>(
    traffic: &Traffic<'a>,
    snapshot: &'a Snapshot,
    routes: &'a [StandingRoute],
) -> HashMap<&'a str, Vec<Beside<'a>>> {
    let written: HashMap<&str, &Route> = snapshot.routes.iter().map(|route| (&*route.name, &**route)).collect();
    let mut beside = HashMap::<_, Vec<Beside<'_>>>::new();
    for standing in routes.iter().filter(|route| route.dial.stage.answers() != Answers::Monolith) {
        let written = written.get(&*standing.name).copied();
        // A route that few ask for may have no endpoint that is listed.
        let templates = written.into_iter().flat_map(|route| &route.rule.paths).map(Template::normal);
        let learned = traffic.of_route(&standing.name).iter().map(|endpoint| &*endpoint.path);
        for path in learned.chain(templates) {
            let resource = resource(path);
            let there = beside.entry(first_literal(path)).or_default();
            if there.last().is_none_or(|last| last.standing.name != standing.name || last.resource != resource) {
                there.push(Beside { resource, standing, written });
            }
        }
    }
    beside
}

/// The route beside these endpoints, and what it has in common with them if it is about the same resource: one that divides its
/// clients before any other.
fn best_beside<'a>(
    group: &[&LearnedEndpoint],
    beside: &HashMap<&str, Vec<Beside<'a>>>,
) -> (Option<&'a StandingRoute>, Option<Neighbour<'a>>) {
    let Some(there) = beside.get(first_literal(&group[0].path)) else { return (None, None) };
    let resources: HashSet<&str> = group.iter().map(|endpoint| resource(&endpoint.path)).collect();
    let same = there.iter().filter(|one| !one.resource.is_empty() && resources.contains(one.resource));
    let best = same.min_by_key(|one| !one.standing.dial.stage.divides());
    let neighbour = best.and_then(|one| Some(Neighbour::of(&one.standing.name, one.standing.dial, one.written?)));
    (best.or(there.first()).map(|one| one.standing), neighbour)
}

/// In minutes.
fn retire_after(snapshot: &Snapshot) -> u32 {
    u32::try_from(snapshot.inventory.retire_after.as_secs() / 60).unwrap_or(u32::MAX)
}

/// Migrated routes that the monolith has had nothing to do with for long.
fn retire(traffic: &Traffic<'_>, snapshot: &Snapshot, routes: &[StandingRoute], now: u32) -> Vec<NextStep> {
    let after = retire_after(snapshot);
    let report = traffic.report;
    let mut steps = Vec::new();
    for route in routes.iter().filter(|route| route.dial.stage == Stage::Migrated && !route.differs) {
        let own = traffic.of_route(&route.name);
        let requests: u64 = own.iter().map(|endpoint| endpoint.requests - endpoint.monolith).sum();
        let since = route.since.unwrap_or_else(|| report.since_minute());
        let quiet = own.iter().all(|endpoint| endpoint.monolith_last_minute + after <= now);
        if own.is_empty() || since == 0 || since + after > now || !quiet || requests < ENOUGH || route.fallbacks > 0 {
            continue;
        }
        steps.push(NextStep {
            kind: "retire",
            method: methods(own).join(", "),
            path: own[0].path.clone(),
            route: Some(route.name.clone()),
            share: ratio(own.iter().map(|endpoint| endpoint.requests).sum(), report.requests),
            reasons: vec![
                format!(
                    "the monolith answered none of the requests that are listed for {}",
                    span(f64::from(after) * 60.0)
                ),
                format!("the service answered {requests}"),
                "the fallback was not used since the program began".to_owned(),
            ],
            toml: format!("# in [routes.{}]:\nstage = \"retired\"\n", route.name),
        });
    }
    steps
}

/// Routes that are moved, and the monolith still gets their requests.
fn zombies(
    traffic: &Traffic<'_>,
    snapshot: &Snapshot,
    routes: &[StandingRoute],
    button: bool,
    now: u32,
    within: u32,
) -> Vec<NextStep> {
    let report = traffic.report;
    let mut steps = Vec::new();
    let recent = |endpoint: &LearnedEndpoint, since: u32| {
        endpoint.monolith_last_minute > since && endpoint.monolith_last_minute + within >= now
    };
    for route in routes.iter().filter(|route| route.is_moved()) {
        let since = route.since.unwrap_or_else(|| now.saturating_sub(within));
        let own: Vec<&LearnedEndpoint> =
            traffic.of_route(&route.name).iter().copied().filter(|endpoint| recent(endpoint, since)).collect();
        if own.is_empty() {
            continue;
        }
        let mut why = Vec::new();
        if route.fallbacks > 0 {
            why.push(format!("its fallback: {} requests since the program began", route.fallbacks));
        }
        if button && route.dial.stage != Stage::Retired {
            why.push("the big red button is on".to_owned());
        }
        if why.is_empty() {
            why.push(
                "not by its fallback since the program began, nor by the big red button now: by one of them before, or \
                 its conditions do not take these requests"
                    .to_owned(),
            );
        }
        steps.push(zombie(&own, route, why, report));
    }
    // Another spelling: `/Users/7`, `/users/7/`.
    for endpoint in report.endpoints.iter().filter(|endpoint| endpoint.route.is_none() && recent(endpoint, 0)) {
        for near in near(snapshot, &endpoint.method, &endpoint.example) {
            let name = snapshot.routes.get(near.route.index()).map(|route| &*route.name);
            let moved = routes.iter().find(|route| Some(&*route.name) == name && route.is_moved());
            if let Some(route) = moved {
                let why = format!("another spelling, which no route takes: {}", near.why.as_str());
                steps.push(zombie(&[endpoint], route, vec![why], report));
            }
        }
    }
    steps
}

fn zombie(own: &[&LearnedEndpoint], route: &StandingRoute, why: Vec<String>, report: &InventoryReport) -> NextStep {
    let requests: u64 = own.iter().map(|endpoint| endpoint.requests).sum();
    let mut reasons =
        vec![format!("`{}` is in stage {}, and the monolith still gets its requests", route.name, route.dial.stage)];
    reasons.extend(why);
    let mut agents: Vec<&str> = own.iter().flat_map(|one| one.agents.iter().map(|agent| &*agent.name)).collect();
    agents.dedup();
    agents.truncate(3);
    if !agents.is_empty() {
        reasons.push(format!("its callers, those of before the move included: {}", agents.join(", ")));
    }
    NextStep {
        kind: "zombie",
        method: methods(own).join(", "),
        path: own[0].path.clone(),
        route: Some(route.name.clone()),
        share: ratio(requests, report.requests),
        reasons,
        toml: String::new(),
    }
}

/// Everything is moved: the proxy itself may go.
fn leave(
    report: &InventoryReport,
    routes: &[StandingRoute],
    no_zombies: bool,
    answered: Option<AnsweredLately>,
    now: u32,
) -> Option<NextStep> {
    let since = report.since_minute();
    let moved = !routes.is_empty() && routes.iter().all(StandingRoute::is_moved);
    if !moved || !no_zombies || since == 0 || since + LONG > now {
        return None;
    }
    let recent = |endpoint: &&LearnedEndpoint| endpoint.route.is_none() && endpoint.last_minute + LONG >= now;
    let listed: u64 = report.endpoints.iter().filter(recent).map(|endpoint| endpoint.requests).sum();
    // Other paths were asked for all the same: by one client, answered with errors alone, or too long to look at.
    let (unmatched, requests) = (listed + report.strays + report.dropped, report.requests + report.dropped);
    // All of it went to the monolith, and that may be known better.
    let (unmatched, requests) =
        answered.map_or((unmatched, requests), |known| (unmatched.min(known.monolith), known.requests));
    if ratio(unmatched, requests) >= UNMATCHED {
        return None;
    }
    Some(NextStep {
        kind: "leave",
        method: String::new(),
        path: String::new(),
        route: None,
        share: 1.0,
        reasons: vec![
            "every route is migrated or retired, and less than 0.01 % of the requests are others that the monolith answers with more than 404"
                .to_owned(),
            "the façade can go: `multilith export --to nginx --verify` (or haproxy, envoy, httproute) writes what sends each route's \
             requests to its service, and says what it cannot write"
                .to_owned(),
            "what this proxy does beside routing must stand there, too: rewrites, redirects, authorization, cookies, limits"
                .to_owned(),
            "who calls the monolith past this proxy is not seen here: `multilith inventory --from-log` finds it"
                .to_owned(),
        ],
        toml: String::new(),
    })
}

#[cfg(test)]
#[path = "next_tests.rs"]
mod tests;
