//! The report of a plan: `plan --json`, `POST /api/v1/plan` and the console have it from here.

use std::collections::BTreeMap;

use serde::Serialize;

use super::difference::PlanFlag;
use super::settings::PlannedUpstream;
use super::unrecorded::Unrecorded;

/// The changes; `plan --json` and `POST /api/v1/plan` give them.
#[derive(Debug, Clone, Serialize)]
pub struct PlanReport {
    pub traffic: PlanTraffic,
    /// Routes that are added, changed or removed, by name.
    pub routes: Vec<PlannedRoute>,
    pub unchanged: UnchangedRoutes,
    pub summary: PlanSummary,
    /// Tables outside the routes that differ, such as `matching`.
    pub tables: Vec<&'static str>,
    /// The keys of such a table that differ, in words, where no other part tells it: `answer 60s -> 10s` of `timeouts`.
    pub table_keys: BTreeMap<&'static str, Vec<String>>,
    /// The monolith and the services that differ.
    pub upstreams: Vec<PlannedUpstream>,
    /// Keys that differ and are read only when the program starts.
    pub needs_restart: Vec<&'static str>,
    /// The new file's questions that no request was recorded with: their requests could be decided differently.
    pub unrecorded: Vec<Unrecorded>,
}

/// The recorded traffic that the plan is judged by.
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
    /// Of those after, at another service than before.
    pub other_service: u64,
    /// Of these, answered by a redirect of the route: neither side gets them.
    pub redirected_before: u64,
    pub redirected_after: u64,
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
    /// Requests that are then answered by a redirect, and are not now.
    pub redirected: f64,
    pub clients_to_service: usize,
    pub clients_back: usize,
    /// Each moved request has a client that is known. Where a route had no `sticky` until now, none was recorded.
    pub clients_known: bool,
    pub dangers: usize,
}

impl PlanReport {
    /// The tables that differ, and what of them.
    pub fn tables_in_words(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.tables.iter().map(|table| {
            let keys = self.table_keys.get(table).map_or_else(String::new, |keys| format!(" ({})", keys.join(", ")));
            (*table, keys)
        })
    }
}

impl PlannedEndpoint {
    /// How many a redirect answers, and which sides have the others, each number as `count` writes it; `None`: no redirect does.
    pub fn redirects_in_words(&self, count: &dyn Fn(u64) -> String) -> Option<String> {
        let (before, after) = (self.redirected_before, self.redirected_after);
        if before + after == 0 {
            return None;
        }
        if after == self.requests {
            return Some(
                if before == after { "answered by a redirect, as before" } else { "answered by a redirect" }.to_owned(),
            );
        }
        let mut words = vec![format!("{} answered by a redirect ({} before)", count(after), count(before))];
        if self.before + self.after > 0 {
            words.push(format!("{} at the service ({} before)", count(self.after), count(self.before)));
        }
        let rest = self.requests.saturating_sub(after + self.after);
        if rest > 0 {
            words.push(format!("{} with the monolith", count(rest)));
        }
        Some(words.join(", "))
    }
}
