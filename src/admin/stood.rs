//! For how long a route has stood in its stage, and been without the monolith.

use std::time::Instant;

use super::Parts;
use crate::migration::Side;
use crate::proxy::{Generation, RouteInForce, meter_index};

/// For how long a route has stood where it is, as far as this process knows, and after how long `[inventory] retire_after` would
/// propose its retirement.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stood {
    pub seconds: f64,
    pub retire_after: f64,
    /// Seconds since the monolith answered last; `None`: not since the program began.
    pub monolith_quiet: Option<f64>,
}

impl Stood {
    pub fn is_long(self) -> bool {
        self.seconds >= self.retire_after
    }

    /// The monolith has not answered for as long as a route must stand before it may retire.
    pub fn is_left_alone(self) -> bool {
        self.monolith_quiet.is_none_or(|quiet| quiet >= self.retire_after)
    }
}

pub fn stood(parts: &Parts, generation: &Generation, entry: &RouteInForce, now: Instant) -> Stood {
    let moved = entry.state.held().and_then(|held| held.moved_at());
    let uptime = parts.app.live.uptime(now).as_secs_f64();
    let seconds = moved.map_or(uptime, |moved| jiff::Timestamp::now().duration_since(moved).as_secs_f64().max(0.0));
    let quiet = entry.meters.quiet(meter_index(&entry.policy, Side::Monolith), now);
    Stood {
        seconds,
        retire_after: generation.snapshot.inventory.retire_after.as_secs_f64(),
        monolith_quiet: quiet.map(|quiet| quiet.as_secs_f64()),
    }
}
