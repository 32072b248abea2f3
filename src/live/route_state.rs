//! The moving state of each route, keyed by its name.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use parking_lot::Mutex;

use super::breaker::CircuitBreaker;
use super::challenges::Challenges;
use super::gate_counters::GateCounters;
use crate::migration::Dial;
use crate::migration::dial::Standing;

/// The moving part of one route; the same object over all reloads in which the route stays.
#[derive(Debug, Default)]
pub struct RouteState {
    pub breaker: CircuitBreaker,
    held: Mutex<Option<Held>>,
    gate: OnceLock<Arc<GateCounters>>,
    /// When the file first had it; `None`: when the process began.
    came: Option<Instant>,
}

/// The dial in force of one route, and what it goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    pub standing: Standing,
    /// The file's dial.
    pub file: Dial,
    /// When the dial came to where it stands, as RFC 3339; `None`: with the file.
    pub since: Option<Arc<str>>,
    /// Rises whenever the evidence has to begin anew although the dial did not move.
    pub resets: u64,
}

impl Held {
    /// Nothing but the file moved it yet.
    #[must_use]
    pub const fn of_file(file: Dial) -> Self {
        Self { standing: Standing::of_file(file), file, since: None, resets: 0 }
    }

    /// `since` as a time.
    #[must_use]
    pub fn moved_at(&self) -> Option<jiff::Timestamp> {
        self.since.as_deref()?.parse().ok()
    }
}

impl RouteState {
    /// `None` before the route's first generation.
    pub fn held(&self) -> Option<Held> {
        self.held.lock().clone()
    }

    pub fn hold(&self, held: Held) {
        *self.held.lock() = Some(held);
    }

    /// When a reload first had the route; `None`: it is in force since the process began.
    pub const fn came(&self) -> Option<Instant> {
        self.came
    }

    /// As before the route's first generation.
    pub fn forget(&self) {
        *self.held.lock() = None;
    }

    /// The dial in force, where the file says `file`.
    pub fn dial(&self, file: Dial) -> Dial {
        self.held.lock().as_ref().map_or(file, |held| held.standing.dial)
    }

    /// The counters of the route's gate, made on first use: routes without a gate have none.
    pub fn gate(&self) -> Arc<GateCounters> {
        Arc::clone(self.gate.get_or_init(Arc::default))
    }
}

/// Everything that moves, for the whole process.
#[derive(Debug)]
pub struct Live {
    began: Instant,
    routes: Mutex<HashMap<Arc<str>, Arc<RouteState>>>,
    /// 0: as the file says; 1: off; 2: on.
    monolith_only: AtomicU8,
    stopping: AtomicBool,
    /// The newest text of the file was refused: what it wants is not known.
    file_refused: AtomicBool,
    challenges: Arc<Challenges>,
    /// The first generation is in force: routes that come now are new.
    is_begun: AtomicBool,
}

impl Live {
    pub fn new(now: Instant) -> Self {
        Self {
            began: now,
            routes: Mutex::default(),
            monolith_only: AtomicU8::new(0),
            stopping: AtomicBool::new(false),
            file_refused: AtomicBool::new(false),
            challenges: Arc::default(),
            is_begun: AtomicBool::new(false),
        }
    }

    /// The open challenges of certificate authorities.
    pub const fn challenges(&self) -> &Arc<Challenges> {
        &self.challenges
    }

    /// Milliseconds since the process began.
    pub fn milliseconds(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.began).as_millis()).unwrap_or(u64::MAX)
    }

    pub fn uptime(&self, now: Instant) -> std::time::Duration {
        now.saturating_duration_since(self.began)
    }

    /// The state of a route, made on first use.
    pub fn route(&self, name: &Arc<str>) -> Arc<RouteState> {
        let made = || {
            let came = self.is_begun.load(Ordering::Relaxed).then(Instant::now);
            Arc::new(RouteState { came, ..RouteState::default() })
        };
        Arc::clone(self.routes.lock().entry(Arc::clone(name)).or_insert_with(made))
    }

    /// The routes of the first generation are known: those that come from now on are new.
    pub fn begin(&self) {
        self.is_begun.store(true, Ordering::Relaxed);
    }

    /// The dial of a route that has one.
    pub fn held(&self, name: &str) -> Option<Held> {
        self.routes.lock().get(name).and_then(|route| route.held())
    }

    /// Forgets the routes that are no longer in force.
    pub fn retain(&self, keep: impl Fn(&str) -> bool) {
        self.routes.lock().retain(|name, _| keep(name));
    }

    /// The big red button: what a person pressed, or else what the file says.
    pub fn monolith_only(&self, in_file: bool) -> bool {
        match self.monolith_only.load(Ordering::Relaxed) {
            0 => in_file,
            pressed => pressed == 2,
        }
    }

    /// From now, answers say that their connection ends with them.
    pub fn begin_to_stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    pub fn set_file_refused(&self, refused: bool) {
        self.file_refused.store(refused, Ordering::Relaxed);
    }

    pub fn is_file_refused(&self) -> bool {
        self.file_refused.load(Ordering::Relaxed)
    }

    /// Presses or releases the button; it holds until it is set again, pressed also over a restart (see `keep_pressed`).
    pub fn set_monolith_only(&self, on: bool) {
        self.monolith_only.store(if on { 2 } else { 1 }, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_that_come_later_know_when() {
        let live = Live::new(Instant::now());
        let (first, later): (Arc<str>, Arc<str>) = ("first".into(), "later".into());
        assert_eq!(live.route(&first).came(), None);
        live.begin();
        assert!(live.route(&first).came().is_none() && live.route(&later).came().is_some());
    }
}
