//! For how long a route has stood in its stage, and been without the monolith.

use std::time::Instant;

use super::Parts;
use crate::migration::{Side, Stage};
use crate::proxy::{Generation, RouteInForce, meter_index};

/// For how long a route has stood where it is, as far as is known (it came there with a move, with a file, or when the program
/// began), and after how long `[inventory] retire_after` would
/// propose its retirement.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stood {
    pub seconds: f64,
    pub retire_after: f64,
    /// Seconds since the monolith answered last what the route takes; `None`: not since the program began, and not as far as the
    /// inventory knows.
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
    let moved = moved.map(|moved| jiff::Timestamp::now().duration_since(moved).as_secs_f64().max(0.0));
    let came = entry.state.came().map(|came| now.saturating_duration_since(came).as_secs_f64());
    let uptime = || parts.app.live.uptime(now).as_secs_f64();
    let seconds = [moved, came].into_iter().flatten().reduce(f64::min).unwrap_or_else(uptime);
    let quiet = entry.meters.quiet(meter_index(&entry.policy, Side::Monolith), now).map(|quiet| quiet.as_secs_f64());
    let learned = (entry.dial.stage == Stage::Migrated)
        .then(|| parts.last_of_monolith.quiet(parts, generation, entry.name(), now));
    Stood {
        seconds,
        retire_after: generation.snapshot.inventory.retire_after.as_secs_f64(),
        monolith_quiet: last_answer(quiet, learned.flatten()),
    }
}

/// The meters of a route know to the instant when the monolith answered, of what they saw themselves; the inventory to the minute,
/// whatever took the request, and over restarts.
fn last_answer(metered: Option<f64>, learned: Option<f64>) -> Option<f64> {
    const MINUTE: f64 = 60.0;
    match (metered, learned) {
        // The same answer, or one that is older.
        (Some(metered), Some(learned)) if metered <= learned + 2.0 * MINUTE => Some(metered),
        (metered, learned) => learned.or(metered),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inventory_knows_of_answers_that_the_meters_of_a_new_route_did_not_see() {
        for (metered, learned, known) in [
            (None, None, None),
            (None, Some(8.0), Some(8.0)),
            (Some(30.0), None, Some(30.0)),
            (Some(30.0), Some(900.0), Some(30.0)),
            (Some(70.0), Some(0.0), Some(70.0)),
            (Some(900.0), Some(30.0), Some(30.0)),
        ] {
            assert_eq!(last_answer(metered, learned), known, "{metered:?} {learned:?}");
        }
    }
}
