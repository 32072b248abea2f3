//! The board: every route with where it stands and how its sides fare.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::Parts;
use super::reply::Reply;
use super::stood::{Stood, stood};
use crate::endpoint::UpstreamId;
use crate::fleet::{Fleet, FleetRole};
use crate::gate::GateReport;
use crate::message::form_pairs;
use crate::migration::{BreakerState, Side, Stage};
use crate::proxy::{Generation, RouteInForce, meter_index, wanted_service_share};
use crate::reload::LastError;
use crate::store::StoreError;
use crate::telemetry::{LONGEST_WINDOW, RouteSummary, SideSummary};
use crate::upstream::UpstreamStatus;

/// The default window.
const WINDOW: Duration = Duration::from_secs(300);

/// The time before now that a board is about.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    pub now: Instant,
    pub length: Duration,
}

impl Default for Window {
    fn default() -> Self {
        Self { now: Instant::now(), length: WINDOW }
    }
}

impl Window {
    /// `?since=15m`, as durations are written in the file; without it the last five minutes.
    pub fn of_query(query: Option<&str>) -> Result<Self, Reply> {
        let mut window = Self::default();
        for (key, text) in form_pairs(query.unwrap_or_default().as_bytes()) {
            if key != "since" {
                return Err(Reply::problem(400, "the board takes `since`, such as `since=15m`"));
            }
            window.length = match crate::config::read_duration(&text) {
                Some(length) if (Duration::from_secs(1)..=LONGEST_WINDOW).contains(&length) => length,
                Some(_) => {
                    let why = "`since` is at least 1s and at most 1h; `totals` has everything since the start";
                    return Err(Reply::problem(400, why));
                }
                None => return Err(Reply::problem(400, "`since` is not a duration: write 30s, 5m or 1h")),
            };
        }
        Ok(window)
    }
}

/// `GET /api/v1/status`.
#[derive(Debug, Serialize)]
pub struct Status {
    pub version: &'static str,
    pub generation: u64,
    pub uptime_seconds: f64,
    /// The window of the routes' figures, but for `totals`.
    pub window_seconds: f64,
    pub monolith_only: bool,
    /// Why the newest text of the file is not in force, if it is not.
    pub last_error: Option<LastError>,
    pub progress: Progress,
    pub routes: Vec<RouteStatus>,
    pub upstreams: Vec<UpstreamStatus>,
    pub store: StoreReport,
    /// `null`: this proxy is alone.
    pub fleet: Option<FleetReport>,
}

/// This replica among the others.
#[derive(Debug, Serialize)]
pub struct FleetReport {
    pub name: String,
    /// leads, follows, or cut-off (etcd does not answer: the last dials stay, gates hold)
    pub state: &'static str,
    /// `null`: no author, or an unknown one.
    pub leader: Option<String>,
    pub members: usize,
    /// Routes that were rolled back here, of which the others have not heard yet.
    pub untold: Vec<String>,
}

/// Whether what is learnt is kept.
#[derive(Debug, Serialize)]
pub struct StoreReport {
    /// writing, in-use (another process keeps it), or unusable
    pub state: &'static str,
    pub why: Option<String>,
    /// A database that could not be used was put there.
    pub moved_aside: Option<PathBuf>,
}

/// How far the migration is, 0.0 to 1.0.
#[derive(Debug, Serialize)]
pub struct Progress {
    /// Share of the answers of the last five minutes that did not come from the monolith.
    pub requests: f64,
    /// Share of the routes that are migrated or retired.
    pub routes: f64,
    /// Share of the known endpoints that the monolith did not answer for thirty days; `null`: none is known yet.
    pub endpoints: Option<f64>,
    /// Endpoints that change something and still need the monolith.
    pub writes_left: usize,
}

/// One route, or the requests that no route takes.
#[derive(Debug, Default, Serialize)]
pub struct RouteStatus {
    pub name: String,
    pub stage: &'static str,
    /// Of the service, as written in routes.toml; `null` in the stages without one.
    pub weight: Option<String>,
    pub service: Option<String>,
    /// By side: what it answered and, for the service, what the monolith answered in its place.
    pub requests: BTreeMap<String, u64>,
    /// Of these.
    pub errors: BTreeMap<String, u64>,
    /// Copies that were sent.
    pub copies: u64,
    /// Requests that the monolith answered in the service's place; they stand in `requests` of both.
    pub fallbacks: u64,
    /// Times of the requests that were assigned to the side, fallbacks included; no entry without requests.
    pub p50_seconds: BTreeMap<String, f64>,
    pub p99_seconds: BTreeMap<String, f64>,
    /// Of match and mismatch; `null` where no copies are compared now, or none is decided.
    pub mismatch_rate: Option<f64>,
    /// Of match, mismatch and undecided; `null` as above.
    pub undecided_rate: Option<f64>,
    pub breaker: &'static str,
    /// Match and mismatch, as the console says it.
    #[serde(skip)]
    pub compared: u64,
    /// Of the service's answers to copies in the window, where copies are all that it answers.
    #[serde(skip)]
    pub copies_p99: Option<f64>,
    /// Endpoints of the service that can be asked, and all of them; `None`: no service is asked.
    #[serde(skip)]
    pub endpoints: Option<[usize; 2]>,
    /// Of a stage with copies: why no request is copied, as the console says it.
    #[serde(skip)]
    pub copies_nothing: Option<String>,
    pub totals: Totals,
    /// The sides that clients are sent to, as the console draws them.
    #[serde(skip)]
    pub sides: Vec<RouteSide>,
    /// The report of the route's gate; `null`: it has none.
    pub gate: Option<GateReport>,
    pub dial: DialStatus,
    #[serde(skip)]
    pub stood: Stood,
}

/// A side of a row: its figures stand under its name.
#[derive(Debug, Clone, Default)]
pub struct RouteSide {
    pub name: String,
    /// The upstream that is asked; the name of a variant does not say it.
    pub upstream: String,
    pub is_monolith: bool,
    /// Its share by the dial, or its weight in the file: 0.0 to 1.0.
    pub share: f64,
    /// Its place among the meters of the route.
    pub meter: usize,
}

/// The author of the dial in force, its entry in the journal, and its time.
#[derive(Debug, Default, Serialize)]
pub struct DialStatus {
    pub by: &'static str,
    /// 0: no entry yet.
    pub seq: u64,
    pub since: Option<String>,
}

/// The same since the program began.
#[derive(Debug, Default, Serialize)]
pub struct Totals {
    pub requests: BTreeMap<String, u64>,
    pub errors: BTreeMap<String, u64>,
    pub copies: u64,
    pub fallbacks: u64,
}

pub fn status(parts: &Parts, window: Window) -> Status {
    Status { routes: routes(parts, window), ..status_without_routes(parts, window) }
}

/// Everything but the routes, of which there may be many.
fn status_without_routes(parts: &Parts, window: Window) -> Status {
    status_head(parts, window, parts.app.telemetry.metrics.progress_by_requests(window.now))
}

/// The same where it is known already which share of the requests has moved.
pub fn status_head(parts: &Parts, window: Window, moved: f64) -> Status {
    let generation = parts.app.in_force.load();
    Status {
        version: env!("CARGO_PKG_VERSION"),
        generation: generation.number,
        uptime_seconds: parts.app.live.uptime(window.now).as_secs_f64(),
        window_seconds: window.length.as_secs_f64(),
        last_error: parts.reloader.last_error(),
        monolith_only: parts.app.live.monolith_only(generation.snapshot.server.monolith_only),
        progress: progress_with(parts, moved),
        routes: Vec::new(),
        upstreams: parts.app.upstreams.status(),
        store: store(parts),
        fleet: parts.app.fleet.as_deref().map(fleet),
    }
}

/// How far the migration is.
pub fn progress(parts: &Parts, window: Window) -> Progress {
    progress_with(parts, parts.app.telemetry.metrics.progress_by_requests(window.now))
}

fn progress_with(parts: &Parts, requests: f64) -> Progress {
    let figures = parts.app.learner.figures();
    Progress {
        requests,
        routes: progress_by_routes(&parts.app.in_force.load()),
        endpoints: figures.share(),
        writes_left: figures.writes,
    }
}

fn fleet(fleet: &Fleet) -> FleetReport {
    let (state, leader) = match fleet.role() {
        FleetRole::Leads(_) => ("leads", Some(fleet.name().to_owned())),
        FleetRole::Follows(leader) => ("follows", leader.map(Into::into)),
        FleetRole::Cut => ("cut-off", None),
    };
    let untold = fleet.unsent_routes().into_iter().map(Into::into).collect();
    FleetReport { name: fleet.name().to_owned(), state, leader, members: fleet.members().len(), untold }
}

fn store(parts: &Parts) -> StoreReport {
    let status = parts.app.store.status();
    let state = match &status.trouble {
        None => "writing",
        Some(StoreError::InUse | StoreError::Closed) => "in-use",
        Some(_) => "unusable",
    };
    StoreReport { state, why: status.trouble.map(|why| why.to_string()), moved_aside: status.moved_aside }
}

/// Every route, and at the end what no route takes.
pub fn routes(parts: &Parts, window: Window) -> Vec<RouteStatus> {
    let generation = parts.app.in_force.load();
    generation
        .routes
        .iter()
        .chain([&generation.unmatched])
        .map(|entry| route_row(parts, &generation, entry, window))
        .collect()
}

/// Whether there is a row of this name.
pub fn has_route(parts: &Parts, name: &str) -> bool {
    let generation = parts.app.in_force.load();
    generation.routes.iter().chain([&generation.unmatched]).any(|entry| entry.name() == name)
}

pub fn route_status(parts: &Parts, name: &str, window: Window) -> Option<RouteStatus> {
    let generation = parts.app.in_force.load();
    let entry = generation.routes.iter().chain([&generation.unmatched]).find(|entry| entry.name() == name)?;
    Some(route_row(parts, &generation, entry, window))
}

fn progress_by_routes(generation: &Generation) -> f64 {
    let done = generation.routes.iter().filter(|entry| entry.dial.stage.is_moved());
    let (done, all) = (done.count(), generation.routes.len());
    #[expect(clippy::cast_precision_loss, reason = "there are fewer than 2^52 routes")]
    if all == 0 { 0.0 } else { done as f64 / all as f64 }
}

/// Answers of the sides of a route; a request that fell back stands in both.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct SideAnswers {
    pub requests: u64,
    pub errors: u64,
    /// The largest share of errors of a side; `None`: no side was asked.
    pub worst: Option<f64>,
}

/// The figures of one row, each gathered when it is asked for: of ten thousand routes a filter leaves few.
#[derive(Clone, Copy)]
pub struct RouteFigures<'a> {
    pub parts: &'a Parts,
    pub generation: &'a Generation,
    pub entry: &'a RouteInForce,
    pub window: Window,
}

impl RouteFigures<'_> {
    /// The names of the services that it asks: one, or those of its variants.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        let services = self.entry.policy.upstreams().filter(|id| *id != UpstreamId::MONOLITH);
        services.map(|id| &*self.generation.pool(id).spec().name)
    }

    /// Of each side whether it is the monolith, its requests and its errors, by what was remembered last.
    pub fn counts(&self) -> impl Iterator<Item = (bool, u64, u64)> {
        let policy = &self.entry.policy;
        sides(self.entry).into_iter().map(move |side| {
            let index = meter_index(policy, side);
            let (requests, errors) = self.entry.meters.answers(index, self.window.now, self.window.length);
            (side.upstream(policy) == UpstreamId::MONOLITH, requests, errors)
        })
    }

    /// The answers of the sides, from the totals kept last.
    pub fn answers(&self) -> SideAnswers {
        let mut sum = SideAnswers::default();
        for (_, requests, errors) in self.counts() {
            sum.requests += requests;
            sum.errors += errors;
            #[expect(clippy::cast_precision_loss, reason = "a share of four digits")]
            let rate = (requests > 0).then(|| errors as f64 / requests as f64);
            sum.worst = match (sum.worst, rate) {
                (Some(worst), Some(rate)) => Some(worst.max(rate)),
                (worst, rate) => worst.or(rate),
            };
        }
        sum
    }

    /// The share of errors among the answers of one side, by what was remembered last; `None`: it was not asked.
    pub fn error_rate(&self, side: Side) -> Option<f64> {
        let index = meter_index(&self.entry.policy, side);
        let (requests, errors) = self.entry.meters.answers(index, self.window.now, self.window.length);
        #[expect(clippy::cast_precision_loss, reason = "a share of four digits")]
        (requests > 0).then(|| errors as f64 / requests as f64)
    }

    /// The longest 99th percentile of its sides, in seconds, by what was remembered last.
    pub fn longest_p99(&self) -> Option<f64> {
        let p99 = |index| self.entry.meters.p99(index, self.window.now, self.window.length);
        side_indices(self.entry).filter_map(p99).reduce(f64::max)
    }

    /// Copies, fallbacks and what they came to since the program began.
    pub fn summary(&self) -> RouteSummary {
        self.entry.meters.route_summary(self.window.now, self.window.length)
    }

    /// Requests and errors of all sides. A request that fell back stands in both.
    pub fn sums(&self) -> (u64, u64) {
        let fallbacks = self.summary().fallbacks;
        let SideAnswers { requests, errors, .. } = self.answers();
        (requests.saturating_sub(fallbacks), errors.saturating_sub(fallbacks))
    }

    /// The breaker keeps requests from the service.
    pub fn is_cut_off(&self) -> bool {
        let now = self.parts.app.live.milliseconds(self.window.now);
        self.entry.has_breaker() && self.entry.state.breaker.peek(now) != BreakerState::Closed
    }

    pub fn mismatch_rate(&self) -> Option<f64> {
        comparison_rates(self.parts, self.entry).0
    }

    /// Comparisons that this is the rate of.
    pub fn compared(&self) -> u64 {
        comparison_rates(self.parts, self.entry).2
    }
}

/// Rows without the evidence of their gates, which are asked all at once.
pub fn rows_in_short(routes: &[RouteFigures<'_>]) -> Vec<RouteStatus> {
    let Some(first) = routes.first() else { return Vec::new() };
    let gates = first.parts.gates.reports_in_short(routes.iter().map(|route| route.entry));
    let row = |(route, gate): (&RouteFigures<'_>, _)| {
        let RouteFigures { parts, generation, entry, window } = *route;
        row_with(parts, generation, entry, window, gate)
    };
    routes.iter().zip(gates).map(row).collect()
}

/// The shares of mismatches and of what is undecided, and how many comparisons were decided.
fn comparison_rates(parts: &Parts, entry: &RouteInForce) -> (Option<f64>, Option<f64>, u64) {
    let compares = entry.copies.as_ref().is_some_and(|copies| copies.compares());
    if compares { parts.app.shadow.rates(entry.name()) } else { (None, None, 0) }
}

/// Endpoints of the service that can be asked, and all of them, but those that left the list.
fn endpoints(generation: &Generation, entry: &RouteInForce) -> Option<[usize; 2]> {
    let counts = generation.pool(entry.policy.service?).counts();
    let fine = counts.healthy + counts.unchecked;
    Some([fine, fine + counts.unhealthy + counts.starting + counts.failing])
}

/// In the time and of the whole answer as the monolith's is.
fn copies_p99(entry: &RouteInForce, window: Window) -> Option<f64> {
    entry.meters.copies_p99_by_span(window.now, window.length, 1).first().copied().flatten()
}

fn side_summary(entry: &RouteInForce, side: Side, window: Window) -> SideSummary {
    entry.meters.summary(meter_index(&entry.policy, side), window.now, window.length).unwrap_or_default()
}

/// One row of the board.
pub fn route_row(parts: &Parts, generation: &Generation, entry: &RouteInForce, window: Window) -> RouteStatus {
    row_with(parts, generation, entry, window, parts.gates.report(entry))
}

fn row_with(
    parts: &Parts,
    generation: &Generation,
    entry: &RouteInForce,
    window: Window,
    gate: Option<GateReport>,
) -> RouteStatus {
    let policy = &entry.policy;
    let (mismatch_rate, undecided_rate, compared) = comparison_rates(parts, entry);
    let summary = entry.meters.route_summary(window.now, window.length);
    let (copies, fallbacks) = summary.totals;
    let mut status =
        RouteStatus {
            name: entry.name().to_owned(),
            stage: entry.dial.stage.as_str(),
            weight: entry.dial.own_weight().map(|weight| weight.to_string()),
            service: policy.service.map(|id| generation.pool(id).spec().name.to_string()),
            requests: BTreeMap::new(),
            errors: BTreeMap::new(),
            copies: summary.copies,
            fallbacks: summary.fallbacks,
            p50_seconds: BTreeMap::new(),
            p99_seconds: BTreeMap::new(),
            mismatch_rate,
            undecided_rate,
            breaker: match entry.state.breaker.peek(parts.app.live.milliseconds(window.now)) {
                _ if !entry.has_breaker() => "closed",
                BreakerState::Closed => "closed",
                BreakerState::Open => "open",
                BreakerState::Probing => "probing",
            },
            compared,
            copies_p99: (entry.dial.stage == Stage::Shadow).then(|| copies_p99(entry, window)).flatten(),
            endpoints: endpoints(generation, entry),
            copies_nothing: entry.route.as_ref().filter(|_| entry.dial.stage == Stage::Shadow).and_then(|route| {
                policy.shadow.as_ref()?.copies_nothing(route.rule.methods.as_ref(), &policy.safe_calls)
            }),
            totals: Totals { copies, fallbacks, ..Totals::default() },
            sides: Vec::new(),
            gate,
            dial: entry.state.held().map_or(DialStatus { by: "file", seq: 0, since: None }, |held| DialStatus {
                by: held.standing.by.as_str(),
                seq: held.standing.seq,
                since: held.since.as_deref().map(str::to_owned),
            }),
            stood: stood(parts, generation, entry, window.now),
        };
    for side in sides(entry) {
        let summary = side_summary(entry, side, window);
        let name = side.name(policy).to_owned();
        if let (Some(p50), Some(p99)) = (summary.p50, summary.p99) {
            status.p50_seconds.insert(name.clone(), p50);
            status.p99_seconds.insert(name.clone(), p99);
        }
        let (requests, errors) = summary.totals;
        let shown = route_side(generation, entry, side);
        // The monolith is no side of a split of its services: it answered while the big red button was on, or never.
        if policy.variants.is_empty() || side != Side::Monolith || requests > 0 {
            status.sides.push(shown);
        }
        status.totals.requests.insert(name.clone(), requests);
        status.totals.errors.insert(name.clone(), errors);
        status.requests.insert(name.clone(), summary.requests);
        status.errors.insert(name, summary.errors);
    }
    status
}

fn route_side(generation: &Generation, entry: &RouteInForce, side: Side) -> RouteSide {
    let (policy, id) = (&entry.policy, side.upstream(&entry.policy));
    let service = wanted_service_share(entry.dial);
    RouteSide {
        name: side.name(policy).to_owned(),
        upstream: generation.pool(id).spec().name.to_string(),
        is_monolith: id == UpstreamId::MONOLITH,
        share: match side {
            Side::Monolith if policy.variants.is_empty() => 1.0 - service,
            Side::Monolith => 0.0,
            Side::Service => service,
            Side::Variant(index) => {
                policy.variants.get(usize::from(index)).map_or(0.0, |variant| variant.weight.ratio())
            }
        },
        meter: meter_index(policy, side),
    }
}

/// The meters of the sides that a row has.
fn side_indices(entry: &RouteInForce) -> impl Iterator<Item = usize> + '_ {
    sides(entry).into_iter().map(move |side| meter_index(&entry.policy, side))
}

fn sides(entry: &RouteInForce) -> Vec<Side> {
    let policy = &entry.policy;
    if policy.variants.is_empty() {
        let service = policy.service.map(|_| Side::Service);
        return [Side::Monolith].into_iter().chain(service).collect();
    }
    let variants = (0_u8..).zip(&policy.variants).map(|(index, _)| Side::Variant(index));
    // The monolith answers for all variants while the big red button is on; one of that name stands for both.
    let monolith = policy.variants.iter().all(|variant| &*variant.name != "monolith").then_some(Side::Monolith);
    variants.chain(monolith).collect()
}
