//! When the monolith last answered what a route takes, by the inventory.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::Parts;
use super::learned::report;
use crate::compile::Role;
use crate::learn::now;
use crate::proxy::Generation;

/// Gathering it takes milliseconds; minutes are what it knows.
const GOOD_FOR: Duration = Duration::from_secs(30);

/// By route the minute of the last answer.
#[derive(Debug, Default)]
pub struct LastOfMonolith(Mutex<Option<Gathered>>);

#[derive(Debug)]
struct Gathered {
    /// Of the routes that the endpoints were given to.
    generation: u64,
    at: Instant,
    minutes: HashMap<String, u32>,
}

impl LastOfMonolith {
    /// Seconds since then, at least; `None`: the inventory knows of no such answer.
    pub fn quiet(&self, parts: &Parts, generation: &Generation, route: &str, at: Instant) -> Option<f64> {
        let mut gathered = self.0.lock();
        let is_good = |known: &Gathered| {
            known.generation == generation.number && at.saturating_duration_since(known.at) < GOOD_FOR
        };
        if !gathered.as_ref().is_some_and(is_good) {
            *gathered = Some(gather(parts, generation, at));
        }
        let minute = *gathered.as_ref()?.minutes.get(route)?;
        Some(f64::from(now().saturating_sub(minute + 1)) * 60.0)
    }
}

fn gather(parts: &Parts, generation: &Generation, at: Instant) -> Gathered {
    let mut minutes = HashMap::<String, u32>::new();
    for endpoint in report(parts, generation, Role::Read).endpoints {
        let Some(route) = endpoint.route.filter(|_| endpoint.monolith_last_minute > 0) else { continue };
        let last = minutes.entry(route).or_default();
        *last = endpoint.monolith_last_minute.max(*last);
    }
    Gathered { generation: generation.number, at, minutes }
}
