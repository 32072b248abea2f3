//! The requests of a route that are kept for export: few of each field, the first ones and the newest.

use serde::{Deserialize, Serialize};

use super::Millis;
use super::exchange::KeptExchange;
use super::verdict::Outcome;

/// Of all.
pub(super) const MAX: usize = 50;

/// Of one field, and of those that were answered alike.
const MAX_OF_FIELD: usize = 5;

/// Of these, the first ones, which stay; the others are the newest.
const FIRST: usize = 2;

/// The newest one of a field makes room for one that came this much later: redacting takes longer than comparing.
const FRESH: Millis = 1000;

/// By age. Exchanges without a field were answered alike.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Exchanges(Vec<KeptExchange>);

impl Exchanges {
    pub(super) fn list(&self) -> &[KeptExchange] {
        &self.0
    }

    /// Whether this request would be kept; only then is it worth redacting.
    pub(super) fn want(&self, outcome: &Outcome, now: Millis) -> bool {
        if outcome.unknown.is_some() || outcome.asked_on {
            return false;
        }
        let wanted = |field: Option<&str>| {
            let (mut count, mut newest) = (0, 0);
            for kept in self.0.iter().filter(|kept| shows(kept, field)) {
                count += 1;
                newest = kept.at.max(newest);
            }
            count < MAX_OF_FIELD || now.saturating_sub(newest) >= FRESH
        };
        if outcome.differences.is_empty() {
            return wanted(None);
        }
        outcome.differences.iter().any(|difference| wanted(Some(&difference.field)))
    }

    /// Adds the newest one. No field loses its only request.
    pub(super) fn keep(&mut self, newest: KeptExchange) {
        let fields = newest.fields.clone();
        self.0.push(newest);
        let groups: Vec<_> = if fields.is_empty() { vec![None] } else { fields.iter().map(|it| Some(&**it)).collect() };
        for field in groups {
            let of_field = self.0.iter().enumerate().filter(|(_, kept)| shows(kept, field)).map(|(at, _)| at);
            let of_field: Vec<_> = of_field.collect();
            if of_field.len() > MAX_OF_FIELD
                && let Some(spare) = of_field.into_iter().skip(FIRST).find(|at| self.is_spare(*at))
            {
                self.0.remove(spare);
            }
        }
        if self.0.len() > MAX {
            let spare = (0..MAX).find(|at| self.is_spare(*at)).unwrap_or(MAX);
            self.0.remove(spare);
        }
    }

    /// Whether others show all that it shows.
    fn is_spare(&self, at: usize) -> bool {
        let Some(exchange) = self.0.get(at) else { return false };
        let others = |field: Option<&str>| self.0.iter().filter(|kept| shows(kept, field)).nth(1).is_some();
        if exchange.fields.is_empty() { others(None) } else { exchange.fields.iter().all(|field| others(Some(field))) }
    }
}

fn shows(kept: &KeptExchange, field: Option<&str>) -> bool {
    field.map_or(kept.fields.is_empty(), |field| kept.fields.iter().any(|known| known == field))
}
