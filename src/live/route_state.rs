//! The moving state of each route, keyed by its name.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

use super::breaker::CircuitBreaker;

/// The moving part of one route; the same object over all reloads in which the route stays.
#[derive(Debug, Default)]
pub struct RouteState {
    pub breaker: CircuitBreaker,
}

/// Everything that moves, for the whole process.
#[derive(Debug)]
pub struct Live {
    began: Instant,
    routes: Mutex<HashMap<Arc<str>, Arc<RouteState>>>,
    /// 0: as the file says; 1: off; 2: on.
    monolith_only: AtomicU8,
    stopping: AtomicBool,
}

impl Live {
    pub fn new(now: Instant) -> Self {
        Self { began: now, routes: Mutex::default(), monolith_only: AtomicU8::new(0), stopping: AtomicBool::new(false) }
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
        Arc::clone(self.routes.lock().entry(Arc::clone(name)).or_default())
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

    /// Presses or releases the button; it holds until it is set again, pressed also over a restart (see `keep_pressed`).
    pub fn set_monolith_only(&self, on: bool) {
        self.monolith_only.store(if on { 2 } else { 1 }, Ordering::Relaxed);
    }
}
