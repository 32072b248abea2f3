//! Regions one after another: a gate takes a step once the region before has left it behind.
//!
//! Each region has its own fleet, and reads the dials of the one before: a dial tells by itself which steps are passed, so no
//! other key says so. Of its own it writes `sums/REGION/ROUTE` below the prefix of all, for people. Where each has an etcd of its
//! own, `etcdctl make-mirror --prefix` brings those keys: while they do not come, nothing advances, and everything else goes on.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::record::{DialRecord, DialText, FleetKeys};
use super::rules::has_passed;
use super::{Fleet, FleetRole, NotWrittenToFleet};
use crate::client::FetchError;
use crate::compile::OwnRegion;
use crate::migration::Dial;
use crate::migration::dial::Standing;
use crate::migration::gate::Tick;

/// `sums/REGION/ROUTE`: the dial of a route in a region, and what its replicas counted in the gate's last interval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionSums {
    pub region: String,
    pub route: String,
    #[serde(flatten)]
    pub dial: DialText,
    pub seq: u64,
    /// Under which leader of the region it was written.
    pub term: i64,
    /// Of the monolith and of the service.
    pub asked: [u64; 2],
    pub failed: [u64; 2],
    pub refused: [u64; 2],
    /// The length of an interval.
    pub seconds: u64,
    pub at: String,
}

/// The totals of which the parent prefix knows.
#[derive(Debug, Default)]
pub(super) struct RegionTold {
    term: i64,
    routes: HashMap<Box<str>, Tick>,
}

impl RegionTold {
    /// The counts since the last time. Totals begin anew with each term.
    fn since(&mut self, term: i64, route: &str, totals: Tick) -> Tick {
        if self.term != term {
            *self = Self { term, ..Self::default() };
        }
        match self.routes.insert(route.into(), totals.clone()) {
            Some(before) => totals.since(&before),
            None => totals,
        }
    }
}

impl Fleet {
    /// This fleet's place among the regions; `None`: there is one.
    pub fn region(&self) -> Option<&OwnRegion> {
        self.shared.region.as_ref()
    }

    /// Whether the region before this one lets the gate of a route go to this step. Waits for etcd at most `limit`.
    pub fn let_by_region_before(&self, route: &str, step: Dial, limit: Duration) -> Result<(), NotWrittenToFleet> {
        let Some(region) = &self.shared.region else { return Ok(()) };
        let Some(name) = region.before() else { return Ok(()) };
        let key = FleetKeys::below(&format!("{}{name}/", region.parent)).dial(route);
        let found = self.wait(async { timeout(limit, self.shared.etcd.get(&key)).await });
        let away = |why: String| NotWrittenToFleet::Away(why);
        let found =
            found.map_err(|_| away("no answer in time".to_owned()))?.map_err(|error| away(error.to_string()))?;
        let record = found.and_then(|entry| DialRecord::read(&entry.value));
        let dial = record.and_then(|record| record.to.dial());
        if dial.is_some_and(|dial| has_passed(dial, step)) {
            return Ok(());
        }
        let step = in_words(step);
        Err(NotWrittenToFleet::RegionBefore(match dial {
            Some(dial) => format!("region `{name}` has to leave {step} behind first: it is at {}", in_words(dial)),
            None => format!("region `{name}` has to leave {step} behind first: its dial is not known here"),
        }))
    }

    /// Says what this region counted of a route in an interval that ended: only a leader in its term can. Does not wait.
    pub fn say_region(&self, route: &str, standing: &Standing, interval: Duration) {
        let Some(region) = &self.shared.region else { return };
        let FleetRole::Leads(term) = self.role() else { return };
        let counted = self.shared.region_told.lock().since(term, route, self.totals(route));
        let (monolith, service) = (&counted.monolith, &counted.service);
        let sums = RegionSums {
            region: region.name.to_string(),
            route: route.to_owned(),
            dial: standing.dial.into(),
            seq: standing.seq,
            term,
            asked: [monolith.requests(), service.requests()],
            failed: [monolith.failures(), service.failures()],
            refused: [monolith.refusals(), service.refusals()],
            seconds: interval.as_secs(),
            at: Timestamp::now().to_string(),
        };
        let text = serde_json::to_string(&sums).expect("a record serialises");
        let key = FleetKeys::below(&region.parent).key(&format!("sums/{}/{route}", region.name));
        self.shared.put_in_term(term, key, text, "what this region counted is not told");
    }

    /// The last report of each region for each of its routes, in the order of the regions; empty where the file names no region.
    /// Waits for etcd at most `limit`.
    pub fn regions(&self, limit: Duration) -> Result<Vec<RegionSums>, FetchError> {
        let Some(region) = &self.shared.region else { return Ok(Vec::new()) };
        let keys = FleetKeys::below(&region.parent);
        let (first, end) = (keys.key("sums/"), keys.key("sums0"));
        let found = self.wait(async { timeout(limit, self.shared.etcd.range(&first, &end, 0)).await });
        let entries = found.map_err(|_| FetchError::TooSlow(limit))??.entries;
        let mut all: Vec<RegionSums> =
            entries.iter().filter_map(|entry| serde_json::from_str(&entry.value).ok()).collect();
        let place = |sums: &RegionSums| region.order.iter().position(|name| **name == *sums.region);
        // A region that the file does not name any more stands at the end.
        all.sort_by_key(|sums| (place(sums).unwrap_or(usize::MAX), sums.region.clone(), sums.route.clone()));
        Ok(all)
    }
}

/// By its weight, or where it has none by its stage.
fn in_words(dial: Dial) -> String {
    dial.own_weight().map_or_else(|| dial.stage.to_string(), |weight| weight.to_string())
}

impl RegionSums {
    /// Three intervals have gone without another word.
    pub fn is_old(&self, seconds: u64) -> bool {
        seconds > 3 * self.seconds.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_has_what_came_in_it_and_a_term_begins_anew() {
        let mut told = RegionTold::default();
        let asked = |requests: u32| {
            let mut tick = Tick::default();
            tick.service.asked[0] = requests;
            tick
        };
        let table = [(7, 100, 100), (7, 130, 30), (7, 130, 0), (9, 20, 20), (9, 25, 5)];
        for (term, totals, expected) in table {
            let since = told.since(term, "read", asked(totals));
            assert_eq!(since.service.requests(), expected, "{term}: {totals}");
        }
        assert_eq!(told.since(9, "list", asked(3)).service.requests(), 3, "another route");
    }

    #[test]
    fn what_a_newer_program_says_of_its_region_is_read() {
        let text = r#"{"region":"eu-1","route":"read","stage":"canary","weight":"5%","seq":3,"term":7,"asked":[90,10],
            "failed":[0,1],"refused":[2,0],"seconds":60,"at":"2026-11-29T09:43:03Z","late":[1,2]}"#;
        let sums: RegionSums = serde_json::from_str(text).expect("read");
        assert_eq!((sums.dial.weight.as_deref(), sums.asked), (Some("5%"), [90, 10]));
        let whole = r#"{"region":"eu-1","route":"read","stage":"migrated","seq":3,"term":7,"asked":[0,10],"failed":[0,1],
            "refused":[2,0],"seconds":60,"at":"2026-11-29T09:43:03Z"}"#;
        assert_eq!(serde_json::from_str::<RegionSums>(whole).expect("read").dial.weight, None);
    }
}
