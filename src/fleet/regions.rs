//! Regions one after another: a gate takes a step once the region before has left it behind.
//!
//! Each region has its own fleet, and only reads the dials of the one before. Where each has an etcd of its own, `etcdctl
//! make-mirror --prefix` brings those dials: while they do not come, nothing advances, and everything else goes on.

use std::time::Duration;

use tokio::time::timeout;

use super::record::{DialRecord, DialText, FleetKeys};
use super::rules::has_passed;
use super::{Fleet, NotWrittenToFleet};
use crate::migration::Dial;

impl Fleet {
    /// Whether the region before this one lets the gate of a route go to this step. Waits for etcd at most so long.
    pub fn let_by_region_before(&self, route: &str, step: Dial, limit: Duration) -> Result<(), NotWrittenToFleet> {
        let Some(region) = &self.shared.region_before else { return Ok(()) };
        let key = FleetKeys::below(&region.prefix).dial(route);
        let found = self.wait(async { timeout(limit, self.shared.etcd.get(&key)).await });
        let away = |why: String| NotWrittenToFleet::Away(why);
        let found =
            found.map_err(|_| away("no answer in time".to_owned()))?.map_err(|error| away(error.to_string()))?;
        let record = found.and_then(|entry| DialRecord::read(&entry.value));
        let dial = record.and_then(|record| record.to.dial());
        if dial.is_some_and(|dial| has_passed(dial, step)) {
            return Ok(());
        }
        let (name, step) = (&region.name, in_words(step));
        Err(NotWrittenToFleet::RegionBefore(match dial {
            Some(dial) => format!("region `{name}` has to leave {step} behind first: it is at {}", in_words(dial)),
            None => format!("region `{name}` has to leave {step} behind first: its dial is not known here"),
        }))
    }
}

/// By its weight, or where it has none by its stage.
fn in_words(dial: Dial) -> String {
    let DialText { stage, weight } = DialText::from(dial);
    weight.unwrap_or(stage)
}
