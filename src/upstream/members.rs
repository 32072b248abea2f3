//! The members of an upstream and their health, judged anew at every change, under the pool's lock.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::endpoint::Endpoint;
use super::endpoint_health::{Condition, EndpointHealth, EndpointKey};
use super::observer::{EndpointStates, Observer};
use super::peers::Place;
use super::pool::Informant;
use super::status::EndpointState;
use crate::endpoint::{CheckState, Health, RAMP, tenths};

#[derive(Debug, Default)]
pub(super) struct Members {
    pub(super) listed: Vec<Arc<Endpoint>>,
    /// No longer listed, but with requests in flight.
    pub(super) leaving: Vec<Arc<Endpoint>>,
    pub(super) counts: EndpointStates,
    counted: bool,
    source_trouble: Option<String>,
    names_trouble: Option<String>,
}

impl Members {
    /// Of a pool that takes over from another.
    pub(super) fn draining(leaving: Vec<Arc<Endpoint>>) -> Self {
        Self { leaving, ..Self::default() }
    }

    pub(super) fn everyone(&self) -> Vec<Arc<Endpoint>> {
        self.listed.iter().chain(&self.leaving).cloned().collect()
    }

    pub(super) fn take_everyone(&mut self) -> HashMap<Place, Arc<Endpoint>> {
        let leaving = self.leaving.drain(..);
        // Members come last: one that left and came back is both.
        leaving.chain(self.listed.drain(..)).map(|endpoint| (endpoint.place.clone(), endpoint)).collect()
    }

    /// Endpoints of `known` that are not members (any more) leave.
    pub(super) fn leave(&mut self, known: HashMap<Place, Arc<Endpoint>>) {
        let stays = |endpoint: &Endpoint| self.listed.iter().any(|member| member.key() == endpoint.key());
        self.leaving = known.into_values().filter(|endpoint| !stays(endpoint)).collect();
    }

    pub(super) fn trouble(&self) -> Option<&str> {
        self.source_trouble.as_deref().or(self.names_trouble.as_deref())
    }

    /// True when something changed.
    pub(super) fn set_trouble(&mut self, from: Informant, trouble: Option<String>) -> bool {
        let place = match from {
            Informant::Source => &mut self.source_trouble,
            Informant::Names => &mut self.names_trouble,
        };
        let changed = *place != trouble;
        *place = trouble;
        changed
    }

    /// It is a member, and others can take its requests or need not.
    pub(super) fn can_spare(&self, key: EndpointKey, last: bool) -> bool {
        let able = |e: &&Arc<Endpoint>| e.is_eligible() && e.weight() > 0;
        self.listed.iter().any(|e| e.key() == key) && (last || self.listed.iter().filter(able).any(|e| e.key() != key))
    }

    /// Lets those back whose ejection is over.
    pub(super) fn readmit(&mut self, now: u64) {
        for endpoint in &self.listed {
            let mut condition = endpoint.health.condition.lock();
            if condition.ejection.readmit(now) {
                condition.returned = Some(now);
                endpoint.health.failures.store(0, Relaxed);
            }
        }
    }

    /// The weight of each member now, in tenths; 0: it gets nothing. `last`: an ejection holds even if it leaves no endpoint.
    /// `failures`: the number in a row after which an endpoint without a check is `failing`.
    pub(super) fn judge(&mut self, checked: bool, last: bool, failures: u32, now: u64) -> Vec<u32> {
        self.end_needless_ramps(checked);
        let mut shares: Vec<u32> =
            self.listed.iter().map(|e| share(&e.health.condition.lock(), checked, now)).collect();
        let able = |shares: &[u32]| shares.iter().zip(&self.listed).any(|(&share, e)| share > 0 && e.weight() > 0);
        if !able(&shares) {
            // Rather than no endpoint: first those of unknown health, then those that failed for some requests.
            self.raise(&mut shares, |c| !c.ejection.is_out() && c.checkup.state() == CheckState::Unknown);
        }
        if !able(&shares) && !last {
            for endpoint in &self.listed {
                endpoint.health.condition.lock().ejection.pardon(now);
            }
            self.raise(&mut shares, |c| c.checkup.state() != CheckState::Ill);
        }
        // A healthy member behind a lower priority number gets nothing.
        let able = self.listed.iter().zip(&shares).filter(|(e, share)| **share > 0 && e.weight() > 0);
        let first = able.map(|(e, _)| e.priority).min().unwrap_or(u16::MAX);
        for (endpoint, share) in self.listed.iter().zip(&mut shares) {
            if endpoint.priority > first {
                *share = 0;
            }
        }
        for (endpoint, share) in self.listed.iter().zip(&shares) {
            let mut condition = endpoint.health.condition.lock();
            if condition.returned.is_some_and(|at| now.saturating_sub(at) >= RAMP) {
                condition.returned = None;
            }
            (condition.state, condition.why) = describe(&condition, &endpoint.health, checked, failures);
            if condition.why.is_empty() && endpoint.priority > first {
                condition.why = format!("waits: endpoints of priority {first} are well");
            }
            endpoint.health.eligible.store(*share > 0, Relaxed);
        }
        self.listed.iter().zip(&shares).map(|(e, share)| e.weight().saturating_mul(*share)).collect()
    }

    /// Where no other endpoint takes the rest of the requests, an endpoint that came gets all of them anyway.
    fn end_needless_ramps(&self, checked: bool) {
        let able = |e: &&Arc<Endpoint>| e.weight() > 0 && is_able(&e.health.condition.lock(), checked);
        let Some(first) = self.listed.iter().filter(able).map(|e| e.priority).min() else { return };
        let members = || self.listed.iter().filter(|e| e.priority == first);
        if members().filter(able).any(|e| e.health.condition.lock().returned.is_none()) {
            return;
        }
        for endpoint in members() {
            endpoint.health.condition.lock().returned = None;
        }
    }

    fn raise(&self, shares: &mut [u32], worthy: impl Fn(&Condition) -> bool) {
        for (endpoint, share) in self.listed.iter().zip(shares) {
            if worthy(&endpoint.health.condition.lock()) {
                *share = 10;
            }
        }
    }

    pub(super) fn needs_attention(&self) -> bool {
        let in_motion = |c: &Condition| c.ejection.is_out() || c.returned.is_some();
        !self.leaving.is_empty() || self.listed.iter().any(|e| in_motion(&e.health.condition.lock()))
    }

    /// Removes the members that have drained, and reports the changes.
    pub(super) fn report(&mut self, upstream: &str, observer: &dyn Observer) {
        let mut counts = EndpointStates::default();
        for endpoint in &self.listed {
            let mut condition = endpoint.health.condition.lock();
            count(&mut counts, condition.state);
            condition.announce(upstream, endpoint.address(), observer);
        }
        self.leaving.retain(|endpoint| {
            let mut condition = endpoint.health.condition.lock();
            let in_flight = endpoint.in_flight();
            condition.state = EndpointState::Draining;
            "is no longer listed; finishes its requests".clone_into(&mut condition.why);
            condition.announce(upstream, endpoint.address(), observer);
            if in_flight == 0 {
                observer.endpoint_changed(upstream, endpoint.address(), Some(EndpointState::Draining), None);
                tracing::info!(upstream, endpoint = endpoint.address(), "an endpoint was removed");
                condition.reported = None;
                return false;
            }
            count(&mut counts, EndpointState::Draining);
            true
        });
        if counts != self.counts || !self.counted {
            self.counts = counts;
            self.counted = true;
            observer.endpoints_counted(upstream, counts);
        }
    }
}

fn count(counts: &mut EndpointStates, state: EndpointState) {
    match state {
        EndpointState::Healthy => counts.healthy += 1,
        EndpointState::Unhealthy => counts.unhealthy += 1,
        EndpointState::Draining => counts.draining += 1,
        EndpointState::Starting => counts.starting += 1,
        EndpointState::Unchecked => counts.unchecked += 1,
        EndpointState::Failing => counts.failing += 1,
    }
}

fn is_able(condition: &Condition, checked: bool) -> bool {
    let ill = checked && condition.checkup.state() != CheckState::Well;
    !ill && !condition.ejection.is_out()
}

/// Of its weight, in tenths.
fn share(condition: &Condition, checked: bool, now: u64) -> u32 {
    if !is_able(condition, checked) {
        return 0;
    }
    condition.returned.map_or(10, |at| tenths(now.saturating_sub(at)))
}

fn describe(condition: &Condition, health: &EndpointHealth, checked: bool, failures: u32) -> (EndpointState, String) {
    let verdict = condition.checkup.state();
    if condition.ejection.is_out() {
        return (EndpointState::Unhealthy, condition.ejected_for.clone());
    }
    let (state, mut why) = match (checked, verdict) {
        (true, CheckState::Ill) => return (EndpointState::Unhealthy, condition.complaint.clone()),
        (true, CheckState::Unknown) => return (EndpointState::Starting, "waits for its first check".to_owned()),
        (true, CheckState::Well) => (EndpointState::Healthy, String::new()),
        (false, _) => health.learned(condition.last_failure.map(|(kind, _)| kind), failures),
    };
    // It gets requests: how few of them says nothing of its health.
    if condition.returned.is_some() {
        let others = if why.is_empty() { "" } else { "; " };
        why = format!("{why}{others}takes its share step by step");
    }
    (state, why)
}

impl Condition {
    /// Notes a check; true when the verdict changed.
    pub(super) fn checked(&mut self, complaint: Option<String>, rule: &Health, now: u64) -> bool {
        let before = self.checkup.state();
        let changed = self.checkup.note(complaint.is_none(), rule);
        if changed && complaint.is_none() {
            // Good news ends an ejection; a member that was never ejected and was there from the start takes its share
            // at once.
            self.ejection.pardon(now);
            self.returned = (before == CheckState::Ill || self.late).then_some(now);
        }
        if let Some(complaint) = complaint {
            self.complaint = format!("check failed: {complaint}");
        }
        changed
    }

    fn announce(&mut self, upstream: &str, endpoint: &str, observer: &dyn Observer) {
        let state = self.state;
        if self.reported == Some(state) {
            return;
        }
        let (to, why) = (state.name(), Some(&*self.why).filter(|why| !why.is_empty()));
        match self.reported.map(EndpointState::name) {
            _ if matches!(state, EndpointState::Unhealthy | EndpointState::Failing) => {
                tracing::warn!(upstream, endpoint, why, "an endpoint is {to}");
            }
            // That nothing is known yet goes without saying.
            None => tracing::debug!(upstream, endpoint, why, "an endpoint is {to}"),
            Some(from) => tracing::info!(upstream, endpoint, why, "an endpoint is {to}; it was {from}"),
        }
        observer.endpoint_changed(upstream, endpoint, self.reported, Some(state));
        self.reported = Some(state);
    }
}
