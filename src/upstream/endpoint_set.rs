//! The endpoints of an upstream at one moment, arranged for picking. Immutable: a change makes a new one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::endpoint::Endpoint;
use super::endpoint_health::EndpointKey;
use crate::endpoint::{Balance, Ring, Turn, draw_two, second_is_freer};

/// Why no endpoint can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoEndpoint {
    /// The source has not answered yet, or a name does not resolve.
    NotKnownYet,
    /// The source says that there is none.
    NoneListed,
    /// All are ill or ejected.
    AllDown,
    /// All that may be asked were asked already.
    AllTried,
    /// The upstream's certificates cannot be used.
    Unusable,
}

impl NoEndpoint {
    pub fn why(self) -> &'static str {
        match self {
            Self::NotKnownYet => "no endpoint is known yet",
            Self::NoneListed => "no endpoint is listed",
            Self::AllDown => "all endpoints are down",
            Self::AllTried => "all endpoints were tried",
            Self::Unusable => "the upstream's certificates cannot be used",
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct EndpointSet {
    all: Box<[Arc<Endpoint>]>,
    /// Places in `all` of those that may be picked, with the weight they have now.
    able: Box<[(u16, u32)]>,
    /// Over `able`.
    turn: Turn,
    /// Over `all`, so that a unit comes back to its endpoint when that recovers.
    ring: Ring,
}

impl EndpointSet {
    /// `weights` are those in force now, in the order of `all`; 0: not to be picked.
    pub(super) fn new(all: &[Arc<Endpoint>], weights: &[u32], balance: Balance) -> Self {
        let able: Box<[(u16, u32)]> = (0_u16..).zip(weights).filter(|(_, w)| **w > 0).map(|(i, &w)| (i, w)).collect();
        let turn = Turn::new(&able.iter().map(|&(_, weight)| weight).collect::<Vec<_>>());
        let ring = match balance {
            Balance::Sticky => Ring::new(all.iter().map(|e| (e.address(), e.weight()))),
            Balance::RoundRobin | Balance::LeastBusy => Ring::default(),
        };
        Self { all: all.into(), able, turn, ring }
    }

    pub(super) fn pick(
        &self,
        balance: Balance,
        step: &AtomicUsize,
        unit: Option<u64>,
        avoid: &[EndpointKey],
    ) -> Result<&Arc<Endpoint>, NoEndpoint> {
        if self.able.is_empty() {
            return Err(if self.all.is_empty() { NoEndpoint::NoneListed } else { NoEndpoint::AllDown });
        }
        let picked = match (balance, unit) {
            (Balance::Sticky, Some(unit)) => self.owner(unit, avoid),
            (Balance::LeastBusy, _) => self.freer(avoid),
            (Balance::RoundRobin, _) | (Balance::Sticky, None) if avoid.is_empty() => self.next(step),
            // A retry: with a turn of its own, two requests at a time would both begin at the endpoint that fails.
            (Balance::RoundRobin, _) | (Balance::Sticky, None) => None,
        };
        // The drawn endpoint cannot be used: the next in turn that can.
        picked.or_else(|| self.after(step.load(Relaxed), avoid)).ok_or(NoEndpoint::AllTried)
    }

    /// Whether any of those that may be picked is not among these.
    pub(super) fn has_other(&self, avoid: &[EndpointKey]) -> bool {
        self.able.iter().any(|&(place, _)| usable(&self.all[usize::from(place)], avoid))
    }

    pub(super) fn with_connections(&self, key: u64) -> Option<&Arc<Endpoint>> {
        self.all.iter().find(|endpoint| endpoint.connection_key == key)
    }

    fn next(&self, step: &AtomicUsize) -> Option<&Arc<Endpoint>> {
        // One alone has every turn: nothing that threads share is written.
        let place = if self.able.len() == 1 { 0 } else { self.turn.at(step.fetch_add(1, Relaxed))? };
        Some(self.able_at(place)).filter(|e| usable(e, &[]))
    }

    fn freer(&self, avoid: &[EndpointKey]) -> Option<&Arc<Endpoint>> {
        let (a, b) = draw_two(fastrand::u64(..), self.able.len());
        let (first, second) = (self.able_at(a), self.able_at(b));
        match (usable(first, avoid), usable(second, avoid)) {
            (true, true) => {
                let load = |endpoint: &Endpoint, place: usize| (endpoint.in_flight(), self.able[place].1);
                Some(if second_is_freer(load(first, a), load(second, b)) { second } else { first })
            }
            (true, false) => Some(first),
            (false, true) => Some(second),
            (false, false) => None,
        }
    }

    fn owner(&self, unit: u64, avoid: &[EndpointKey]) -> Option<&Arc<Endpoint>> {
        self.ring.owners(unit).map(|place| &self.all[place]).find(|e| usable(e, avoid))
    }

    /// The first from this step of the turn on; each endpoint has a place in it.
    fn after(&self, step: usize, avoid: &[EndpointKey]) -> Option<&Arc<Endpoint>> {
        let places = (0..self.turn.len()).filter_map(|i| self.turn.at(step.wrapping_add(i)));
        places.map(|place| self.able_at(place)).find(|e| usable(e, avoid))
    }

    fn able_at(&self, place: usize) -> &Arc<Endpoint> {
        &self.all[usize::from(self.able[place].0)]
    }
}

fn usable(endpoint: &Endpoint, avoid: &[EndpointKey]) -> bool {
    endpoint.is_eligible() && !avoid.contains(&endpoint.key())
}
