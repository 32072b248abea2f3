//! The share of one route in the recorded requests, under both files.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use http::Method;

use super::replay::{Answerer, Place, is_safe};
use super::report::{MovedClients, PlannedEndpoint};
use super::words::number;
use crate::compile::Route;
use crate::inventory::unmasked;
use crate::learn::RecordedRequest;
use crate::migration::{CopiesTo, Policy, WriteCopies};

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

/// The recorded requests of one route, under both files.
#[derive(Debug, Default)]
pub(super) struct Sum {
    /// By method and path, as it is shown.
    cells: BTreeMap<(String, String), Cell>,
    all: HashSet<u64>,
    to: HashSet<u64>,
    back: HashSet<u64>,
    estimated: bool,
    /// One recorded request stands for several: counts are estimates.
    sampled: bool,
    /// Requests that other routes take now.
    pub taken_from: BTreeMap<String, u64>,
    /// Requests that no route takes now.
    pub gained: u64,
    /// Requests that it takes now, by the route that then takes them.
    pub given_to: BTreeMap<String, u64>,
    /// Requests whose clients had a bucket with another route, and get a new one.
    pub redrawn: u64,
    /// Requests that it takes now, and then no route.
    pub lost: u64,
}

#[derive(Debug, Default)]
struct Cell {
    requests: u64,
    before: u64,
    after: u64,
    redirected_before: u64,
    redirected_after: u64,
    to: u64,
    back: u64,
    /// Requests that are then answered by a redirect, and are not now.
    redirected: u64,
    /// Requests that one service answers now, and another one then.
    other_service: u64,
}

impl Sum {
    pub(super) fn count(&mut self, request: &RecordedRequest, before: &Place<'_>, after: &Place<'_>) {
        let weight = u64::from(request.weight);
        let if_by = |place: &Place<'_>, by: Answerer| if place.by == by { weight } else { 0 };
        let shown = request.shown.as_ref().unwrap_or(&request.path);
        let cell = self.cells.entry((request.method.clone(), shown.clone())).or_default();
        cell.requests += weight;
        cell.before += if_by(before, Answerer::Service);
        cell.after += if_by(after, Answerer::Service);
        cell.other_service += if before.changes_service(after) { weight } else { 0 };
        cell.redirected_before += if_by(before, Answerer::Redirect);
        cell.redirected_after += if_by(after, Answerer::Redirect);
        // Where one stands for several, some clients may not be among the recorded at all.
        self.sampled |= request.weight > 1;
        self.estimated |= before.estimated || after.estimated || request.weight > 1;
        let hash = request.unit.as_ref().map(|unit| unit.hash);
        self.all.extend(hash);
        match before.change(after) {
            Some(Answerer::Service) => {
                cell.to += weight;
                self.to.extend(hash);
            }
            Some(Answerer::Monolith) => {
                cell.back += weight;
                self.back.extend(hash);
            }
            Some(Answerer::Redirect) => cell.redirected += weight,
            None => {}
        }
    }

    /// Requests that promise to change nothing are left out: those that another answers, and of these those that a redirect does.
    pub(super) fn moved_writes(&self) -> (u64, u64) {
        let writes = self.cells.iter().filter(|((method, _), _)| !is_safe(method)).map(|(_, cell)| cell);
        writes.fold((0, 0), |(all, redirected), cell| {
            (all + cell.to + cell.back + cell.redirected, redirected + cell.redirected)
        })
    }

    /// The changes for a route that is the same in both files; empty: none.
    pub(super) fn passed_on(&self) -> Vec<String> {
        let mut what = Vec::new();
        if !self.taken_from.is_empty() {
            what.push("takes other requests".to_owned());
        }
        if self.gained > 0 {
            what.push(format!("takes {} requests that no route takes now", self.number(self.gained)));
        }
        if self.lost > 0 {
            what.push("no longer takes all of its requests".to_owned());
        }
        if what.is_empty() && self.cells.values().any(|cell| cell.to + cell.back + cell.redirected > 0) {
            what.push("others answer its requests".to_owned());
        }
        what
    }

    /// The routes that take the requests of a route that is no longer there.
    pub(super) fn heirs(&self) -> impl Iterator<Item = String> + '_ {
        let told = |requests| self.number(requests);
        self.given_to
            .iter()
            .map(move |(other, requests)| format!("`{other}` takes {} of its requests", told(*requests)))
    }

    /// A count in words: of a sample an estimate, `~87`.
    pub(super) fn number(&self, requests: u64) -> String {
        number(requests, self.sampled)
    }

    pub(super) fn requests(&self) -> u64 {
        self.cells.values().map(|cell| cell.requests).sum()
    }

    pub(super) fn clients(&self) -> MovedClients {
        MovedClients { all: self.all.len(), to_service: self.to.len(), back: self.back.len(), exact: !self.estimated }
    }

    pub(super) fn endpoints(&self, route: Option<&Arc<Route>>) -> Vec<PlannedEndpoint> {
        let mut endpoints: Vec<PlannedEndpoint> = self
            .cells
            .iter()
            .map(|((method, path), cell)| PlannedEndpoint {
                method: method.clone(),
                path: unmasked(path),
                requests: cell.requests,
                before: cell.before,
                after: cell.after,
                other_service: cell.other_service,
                redirected_before: cell.redirected_before,
                redirected_after: cell.redirected_after,
                copies: route.and_then(|route| copies(&route.policy, method)),
            })
            .collect();
        endpoints.sort_by(|one, other| other.requests.cmp(&one.requests).then_with(|| one.path.cmp(&other.path)));
        endpoints
    }
}
