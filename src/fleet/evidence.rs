//! Says what this replica counted, and gathers what the others did while this one leads.

use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Release};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::time::sleep;

use super::scraped::Scrapes;
use super::sums::{EvidenceRecord, HeardReplicas, RouteCounts};
use super::{Fleet, FleetRole, Shared};
use crate::migration::gate::Tick;

/// Between two looks of the leader.
const LOOK: Duration = Duration::from_secs(1);
/// The size of etcd's database is asked for this often.
const SIZE: Duration = Duration::from_secs(60);
/// Half of etcd's usual quota of 2 GiB: beyond the whole it takes no more writes.
const LARGE: u64 = 1 << 30;

impl Fleet {
    /// Says what was counted here since this process began. Does not wait; a report that is not taken is not missed.
    pub fn report(&self, tick: u64, routes: impl Iterator<Item = (String, RouteCounts)>) {
        let shared = &self.shared;
        let record = || EvidenceRecord { life: shared.life.to_string(), tick, routes: routes.collect() };
        if shared.prometheus.is_some() {
            let record = record();
            *shared.shown.lock() = Some(record);
            return;
        }
        let Some(id) = shared.held.lock().id.clone() else { return };
        if shared.reporting.swap(true, AcqRel) {
            // The last one is still on its way: etcd is slow.
            return;
        }
        let text = serde_json::to_string(&record()).expect("a record serialises");
        let shared = Arc::clone(shared);
        self.shared.spawn(async move {
            let key = shared.keys.key(&format!("evidence/{}", shared.name));
            if let Err(error) = shared.etcd.put(&key, &text, &id).await {
                shared.trouble("what was counted here is not told", &error);
            }
            shared.reporting.store(false, Release);
        });
    }

    /// No route is judged: there is nothing to say.
    pub fn report_nothing(&self) {
        *self.shared.shown.lock() = None;
    }

    /// Whether Prometheus reads the counts: each number of a report is a series then, which has a price.
    pub fn is_scraped(&self) -> bool {
        self.shared.prometheus.is_some()
    }

    /// The counts of a route at all replicas since this one leads.
    pub fn totals(&self, route: &str) -> Tick {
        self.shared.sums.lock().totals(route)
    }

    /// How often the leader looks at the counts of a route, in seconds, where it has said so.
    pub fn tick_of(&self, route: &str) -> Option<u64> {
        self.shared.seen.lock().gates.get(route)?["tick"].as_u64()
    }

    /// Which report of each replica was used last.
    pub fn used_reports(&self) -> Value {
        self.shared.sums.lock().seen()
    }

    /// Whether the reporting replicas carry enough of the traffic.
    pub fn heard(&self, patience: Duration) -> HeardReplicas {
        let seen = self.shared.seen.lock();
        self.shared.sums.lock().heard(seen.members.keys().map(|name| &**name), patience, Instant::now())
    }

    /// Says where the judgement of a route stands: only a leader in its term can. Does not wait.
    pub fn say_gate(&self, route: &str, judged: Value) {
        let FleetRole::Leads(term) = self.role() else { return };
        let (key, text) = (self.shared.keys.key(&format!("gate/{route}")), judged.to_string());
        self.shared.seen.lock().gates.insert(route.into(), Arc::new(judged));
        self.shared.put_in_term(term, key, text, "where a gate stands is not told");
    }
}

/// Reads what the replicas report, as long as this one leads.
pub(super) async fn gather(shared: Arc<Shared>) {
    let mut read = (0, 0);
    let mut scrapes = Scrapes::default();
    let (mut sized, mut warned) = (None::<Instant>, false);
    loop {
        sleep(LOOK).await;
        let FleetRole::Leads(term) = shared.role() else { continue };
        if read.0 != term {
            read = (term, 0);
        }
        if let Some(prometheus) = &shared.prometheus {
            scrapes.look(&shared, prometheus, term).await;
        } else {
            match shared.etcd.range(&shared.keys.key("evidence/"), &shared.keys.key("evidence0"), read.1).await {
                Ok(range) => {
                    read.1 = range.revision;
                    take(&shared, &range.entries);
                }
                Err(error) => shared.trouble("what the others counted is not known", &error),
            }
        }
        if sized.is_none_or(|at| at.elapsed() >= SIZE) {
            sized = Some(Instant::now());
            size(&shared, &mut warned).await;
        }
    }
}

fn take(shared: &Shared, entries: &[crate::client::etcd::KeyValue]) {
    let now = Instant::now();
    for entry in entries {
        let name = shared.keys.name(&entry.key).and_then(|key| key.strip_prefix("evidence/"));
        let record = serde_json::from_str::<EvidenceRecord>(&entry.value);
        if let (Some(name), Ok(record)) = (name, record) {
            shared.take(name, &record, now);
        }
    }
}

impl Shared {
    /// Takes the report of one replica in.
    pub(super) fn take(&self, name: &str, record: &EvidenceRecord, now: Instant) {
        let seen = self.seen.lock();
        let in_force = |route: &str| seen.dials.get(route).map(|known| known.record.seq);
        self.sums.lock().take(name, record, in_force, now);
    }
}

/// How large etcd's database is; said once when it is large.
async fn size(shared: &Shared, warned: &mut bool) {
    let Ok(bytes) = shared.etcd.database_bytes().await else { return };
    shared.metrics.edge().fleet_database(bytes);
    if bytes > LARGE && !std::mem::replace(warned, bytes > LARGE) {
        tracing::warn!(
            bytes,
            "etcd's database is half full, if its quota is the usual one: run etcd with `--auto-compaction-retention=1h`"
        );
    }
}
