//! One dial for many replicas: what they share by etcd, and what holds when etcd is away.
//!
//! A request never waits for any of this. The dials in force are those of this process ([`crate::live`]); the tasks here hear of
//! moves and hand them up to a [`Follower`], write moves in transactions that a late leader cannot win, and keep this replica
//! listed. `record`, `rules`, `lease`, `budgets`, `counts`, `seal`, `series` and `sums` are pure.

mod access;
mod budgets;
mod counts;
mod evidence;
mod keeper;
mod lease;
mod members;
mod record;
mod regions;
mod rules;
mod scraped;
mod seal;
mod sealed;
mod series;
mod sums;
mod watcher;
mod writer;

pub use access::FleetError;
pub use budgets::AskedRate;
pub use members::{Member, newest_dials};
pub use record::{ButtonRecord, DialRecord, DialText, LAYOUT};
pub use regions::RegionSums;
pub use rules::{Fate, FileMove, FileSays, Unsent, by_file, fate};
pub use sealed::{FleetTurn, NotShared, Opened, SharedWhile};
pub use sums::{EvidenceRecord, HeardReplicas, RouteCounts, Sums};
pub use writer::NotWrittenToFleet;

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::client::etcd::{EtcdClient, EtcdLease, KeyAction, KeyIs};
use crate::client::prometheus::Prometheus;
use crate::client::task;
use crate::compile::{FleetSettings, OwnRegion};
use crate::store::Store;
use crate::telemetry::Meters;
use lease::LeaderLease;
use record::{FleetKeys, MemberRecord};

/// A dial that another replica, or this one, moved.
#[derive(Debug, Clone)]
pub struct DialNews {
    pub route: Box<str>,
    pub record: DialRecord,
    /// Entries between the last one that is kept here and this one.
    pub missed: Vec<DialRecord>,
}

/// Puts in force what the fleet decided. Called on threads that may wait for a disk.
pub trait Follower: Send + Sync {
    /// These dials are in force now.
    fn dials(&self, news: Vec<DialNews>);
    /// The big red button was set.
    fn button(&self, record: &ButtonRecord);
    /// etcd answers, for the first time or again: what could not be said is said now.
    fn connected(&self);
}

/// The role of this replica among the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FleetRole {
    /// It judges, in this term.
    Leads(i64),
    Follows(Option<Box<str>>),
    /// etcd has not answered for a time after which others may lead.
    Cut,
}

/// The handle; its tasks end with the runtime.
pub struct Fleet {
    shared: Arc<Shared>,
}

/// A dial as etcd has it.
#[derive(Debug, Clone)]
struct Known {
    record: DialRecord,
    /// The revision that wrote it; 0: it is not there.
    modified: i64,
    /// The cluster lost it, or has an older one: it goes back.
    goes_back: bool,
}

#[derive(Debug, Default)]
struct Seen {
    dials: HashMap<Box<str>, Known>,
    /// The last entry of each route that is on this disk.
    kept: HashMap<Box<str>, u64>,
    members: HashMap<Box<str>, MemberRecord>,
    leader: Option<(Box<str>, i64)>,
    gates: HashMap<Box<str>, Arc<Value>>,
    /// The big red button, where it was ever set, and the revision that set it.
    button: Option<(ButtonRecord, i64)>,
    /// The values below `sealed/`, as they lie there, and the revision at which they stood so.
    sealed: BTreeMap<Box<str>, Box<str>>,
    sealed_at: i64,
    /// A newer layout that this program must not write.
    too_new: bool,
    /// The first list was taken over.
    listed: bool,
}

#[derive(Debug)]
struct Held {
    lease: LeaderLease,
    id: Option<EtcdLease>,
    /// This process stops: it is not listed again.
    left: bool,
}

struct Shared {
    etcd: EtcdClient,
    /// The replicas' counts are read there; `None`: in etcd.
    prometheus: Option<Prometheus>,
    /// `None`: the file has no secret.
    seal: Option<seal::Seal>,
    region: Option<OwnRegion>,
    /// The totals that were told to the parent prefix.
    region_told: Mutex<regions::RegionTold>,
    sealed_changed: tokio::sync::watch::Sender<()>,
    keys: FleetKeys,
    name: Box<str>,
    life: Box<str>,
    ttl: Duration,
    store: Arc<Store>,
    metrics: Arc<Meters>,
    control: Handle,
    held: Mutex<Held>,
    seen: Mutex<Seen>,
    /// Members or the first list changed.
    changed: Condvar,
    own: Mutex<MemberRecord>,
    /// This replica's record for the others changed.
    publish: Notify,
    /// There is no leader.
    leaderless: Notify,
    follower: OnceLock<Weak<dyn Follower>>,
    unsent: Mutex<HashMap<Box<str>, writer::Kept>>,
    sums: Mutex<Sums>,
    /// The report that Prometheus scrapes.
    shown: Mutex<Option<EvidenceRecord>>,
    reporting: std::sync::atomic::AtomicBool,
    /// Unsent acts are being told.
    telling: std::sync::atomic::AtomicBool,
    /// Why something was not shared last, said once.
    unshared: Mutex<Option<String>>,
    /// The last error, said once.
    trouble: Mutex<Option<String>>,
}

impl Fleet {
    /// Nothing is asked yet.
    pub fn new(
        settings: &FleetSettings,
        (host, address): (&str, &str),
        store: Arc<Store>,
        metrics: Arc<Meters>,
        control: Handle,
    ) -> Result<Arc<Self>, FleetError> {
        let etcd = access::open(settings)?;
        let seal = access::seal(settings)?;
        let life: Box<str> = series::life(fastrand::u64(..)).into();
        let own = MemberRecord {
            life: life.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            address: address.to_owned(),
            ..MemberRecord::default()
        };
        let kept = store.fleet_numbers().unwrap_or_default().into_iter().collect();
        let unsent = writer::kept(&store);
        let shared = Arc::new(Shared {
            etcd,
            prometheus: access::prometheus(settings)?,
            seal,
            region: settings.region.clone(),
            region_told: Mutex::default(),
            sealed_changed: tokio::sync::watch::Sender::new(()),
            keys: FleetKeys::below(&settings.prefix),
            name: settings.name.clone().unwrap_or_else(|| host.into()),
            life,
            ttl: settings.ttl,
            store,
            metrics,
            control,
            held: Mutex::new(Held { lease: LeaderLease::new(settings.ttl), id: None, left: false }),
            seen: Mutex::new(Seen { kept, ..Seen::default() }),
            changed: Condvar::new(),
            own: Mutex::new(own),
            publish: Notify::new(),
            leaderless: Notify::new(),
            follower: OnceLock::new(),
            unsent: Mutex::new(unsent),
            sums: Mutex::default(),
            shown: Mutex::default(),
            reporting: false.into(),
            telling: false.into(),
            unshared: Mutex::default(),
            trouble: Mutex::default(),
        });
        shared.metrics.edge().fleet(0, false, false);
        Ok(Arc::new(Self { shared }))
    }

    /// Begins to listen, to be listed, and to stand for election. Waits at most `first` for the dials in force.
    pub fn start(&self, follower: Weak<dyn Follower>, first: Duration) {
        assert!(self.shared.follower.set(follower).is_ok(), "started once, with the server");
        let shared = &self.shared;
        shared.spawn(keeper::keep_listed(Arc::clone(shared)));
        shared.spawn(keeper::show_again_and_again(Arc::clone(shared)));
        shared.spawn(watcher::follow_dials(Arc::clone(shared)));
        shared.spawn(watcher::follow_gates(Arc::clone(shared)));
        shared.spawn(watcher::follow_members(Arc::clone(shared)));
        if self.is_sealing() {
            shared.spawn(watcher::follow_sealed(Arc::clone(shared)));
        }
        shared.spawn(evidence::gather(Arc::clone(shared)));
        let until = Instant::now() + first;
        let mut seen = self.shared.seen.lock();
        while !seen.listed {
            if self.shared.changed.wait_until(&mut seen, until).timed_out() {
                tracing::warn!(
                    "etcd of the fleet did not answer within {} s: the dials that were in force last are in force",
                    first.as_secs()
                );
                break;
            }
        }
    }

    /// This replica's name.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    pub fn role(&self) -> FleetRole {
        self.shared.role()
    }

    /// The dial as it was seen last.
    pub fn dial(&self, route: &str) -> Option<DialRecord> {
        self.shared.seen.lock().dials.get(route).map(|known| known.record.clone())
    }

    /// The dials of etcd are known.
    pub fn is_listed(&self) -> bool {
        self.shared.seen.lock().listed
    }

    /// The last record of the big red button, by any author.
    pub fn button(&self) -> Option<ButtonRecord> {
        self.shared.seen.lock().button.as_ref().map(|(button, _)| button.clone())
    }

    /// The leader's report of a gate: the same value until there is a new one.
    pub fn gate(&self, route: &str) -> Option<Arc<Value>> {
        self.shared.seen.lock().gates.get(route).cloned()
    }

    /// Runs a future of this room to its end, from a thread that may wait.
    fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.shared.control.block_on(future)
    }

    /// Calls the follower again to tell its news, on a thread of its own.
    pub fn call_again(&self) {
        if let Some(follower) = self.shared.follower() {
            self.shared.control.spawn_blocking(move || follower.connected());
        }
    }

    /// Ends the lease: another one may lead at once. To be called when this process stops.
    pub async fn leave(&self) {
        let id = {
            let mut held = self.shared.held.lock();
            held.lease.ended();
            held.left = true;
            held.id.take()
        };
        if let Some(id) = id
            && let Err(error) = self.shared.etcd.revoke(&id).await
        {
            tracing::warn!(%error, "etcd of the fleet did not answer: this replica is listed until its lease ends");
        }
    }
}

impl Shared {
    fn role(&self) -> FleetRole {
        let held = self.held.lock();
        let now = Instant::now();
        if let Some(term) = held.lease.acts_in(now) {
            return FleetRole::Leads(term);
        }
        if !held.lease.is_fresh(now) {
            return FleetRole::Cut;
        }
        drop(held);
        FleetRole::Follows(self.seen.lock().leader.as_ref().map(|(name, _)| name.clone()))
    }

    fn is_up(&self) -> bool {
        self.held.lock().lease.is_fresh(Instant::now())
    }

    fn follower(&self) -> Option<Arc<dyn Follower>> {
        self.follower.get()?.upgrade()
    }

    /// Begins work that its caller does not wait for.
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.control.spawn(task::boxed(work));
    }

    /// Writes a key if this replica still leads in this term. Does not wait. `lost`: what an error means.
    fn put_in_term(self: &Arc<Self>, term: i64, key: String, text: String, lost: &'static str) {
        let shared = Arc::clone(self);
        self.spawn(async move {
            let leader = shared.keys.key("leader");
            let put = KeyAction::Put { key: &key, value: &text, lease: None };
            if let Err(error) = shared.etcd.transaction(&[KeyIs::Created(&leader, term)], &[put], &[]).await {
                shared.trouble(lost, &error);
            }
        });
    }

    /// An error is said once, not at each try.
    fn trouble(&self, what: &str, error: &dyn std::fmt::Display) {
        let said = format!("{what}: {error}");
        let mut trouble = self.trouble.lock();
        if trouble.as_ref() != Some(&said) {
            tracing::warn!("etcd of the fleet: {said}");
            *trouble = Some(said);
        }
    }

    fn fine(&self) {
        if self.trouble.lock().take().is_some() {
            tracing::info!("etcd of the fleet answers again");
        }
    }
}

impl std::fmt::Debug for Fleet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fleet").field("name", &self.shared.name).field("role", &self.role()).finish_non_exhaustive()
    }
}
