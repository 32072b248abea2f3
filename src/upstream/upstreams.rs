//! All upstreams of the process: pools made and kept over reloads, one clock for all of them.

use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::checks;
use super::discover;
use super::known::KnownEndpoints;
use super::names::{self, KnownNames};
use super::observer::Observer;
use super::peers::{PeerProblem, certificate_problem};
use super::pool::{Entry, Pool};
use super::status::{EndpointStatus, LastFailure, QueueStatus, UpstreamStatus};
use crate::client::task;
use crate::endpoint::{Address, Source, UpstreamSpec};
use crate::store::Store;

/// How often time is looked at: ejections end and shares grow this exactly.
const TICK: Duration = Duration::from_millis(200);
const TICKS_A_SECOND: u32 = 5;

/// Owned by the process; survives reloads. It brings a thread of its own, so that it works before, beside and after
/// pingora's services, and so that checks and discovery never wait behind requests.
pub struct Upstreams {
    began: Instant,
    observer: Arc<dyn Observer>,
    handle: Handle,
    known_names: Arc<KnownNames>,
    /// Keeps the registries' lists, for a start without them.
    store: Option<Arc<Store>>,
    /// In the order of the snapshot.
    pools: Mutex<Vec<Arc<Pool>>>,
    /// Ends the thread when dropped.
    _stop: oneshot::Sender<()>,
}

impl Upstreams {
    /// Without a store: a start needs every registry.
    pub fn new(observer: Arc<dyn Observer>) -> Arc<Self> {
        Self::begin_all(observer, None)
    }

    pub fn with_store(observer: Arc<dyn Observer>, store: Arc<Store>) -> Arc<Self> {
        Self::begin_all(observer, Some(store))
    }

    fn begin_all(observer: Arc<dyn Observer>, store: Option<Arc<Store>>) -> Arc<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a process that can serve can make a poll instance");
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        std::thread::Builder::new()
            .name("upstreams".to_owned())
            .spawn(move || {
                // An error is the news that the sender is gone.
                let _ = runtime.block_on(stopped);
                runtime.shutdown_background();
            })
            .expect("a process that can serve can start a thread");
        let upstreams = Arc::new(Self {
            began: Instant::now(),
            observer,
            handle,
            known_names: Arc::default(),
            store,
            pools: Mutex::default(),
            _stop: stop,
        });
        upstreams.handle.spawn(task::boxed(keep_time(Arc::downgrade(&upstreams))));
        upstreams
    }

    /// Pools for these specifications, in their order. A pool whose specification did not change stays as it is, unless its files
    /// hold other certificates that can be used; endpoints whose address stays keep their health, their ejections and their
    /// requests in flight; the rest drains.
    pub fn reconcile(self: &Arc<Self>, specs: &[Arc<UpstreamSpec>]) -> Vec<Arc<Pool>> {
        let mut pools = self.pools.lock();
        let old: HashMap<Arc<str>, Arc<Pool>> =
            pools.drain(..).map(|pool| (Arc::clone(&pool.spec().name), pool)).collect();
        pools.extend(specs.iter().map(|spec| match old.get(&spec.name) {
            Some(pool) if pool.spec() == spec && !pool.is_outdated() => Arc::clone(pool),
            before => self.begin(spec, before.map(Arc::as_ref)),
        }));
        for (name, pool) in old {
            if !pools.iter().any(|kept| Arc::ptr_eq(kept, &pool)) {
                pool.retire();
            }
            if !pools.iter().any(|kept| kept.spec().name == name) {
                tracing::info!(upstream = &*name, "an upstream was removed");
                self.observer.upstream_gone(&name);
            }
        }
        pools.clone()
    }

    fn begin(&self, spec: &Arc<UpstreamSpec>, before: Option<&Pool>) -> Arc<Pool> {
        let pool = Pool::new(spec, (self.began, &self.handle), Arc::clone(&self.observer), before);
        // The last list of the same registry holds until it sends another.
        let known = pool.membership.lock().endpoints();
        let resolved = if let Source::Fixed(list) = &spec.source {
            self.list(&pool, list.clone())
        } else {
            let kept = self.store.clone().and_then(|store| KnownEndpoints::of(store, spec));
            if !known.is_empty() {
                self.list(&pool, known);
            } else if let Some(entries) = kept.as_ref().and_then(|kept| kept.restore(&pool)) {
                self.enter(&pool, entries);
            }
            self.keep(&pool, discover::follow(Arc::downgrade(&pool), spec.source.clone(), kept));
            false
        };
        if !resolved {
            self.keep(&pool, names::keep_resolved(Arc::downgrade(&pool), Arc::clone(&self.known_names)));
        }
        if spec.health.is_some() {
            self.keep(&pool, checks::keep_checked(Arc::downgrade(&pool)));
        }
        pool
    }

    /// Gives the pool a list, and at once those members whose address is known. True: that is all of them for ever.
    fn list(&self, pool: &Arc<Pool>, list: Vec<(Address, u32)>) -> bool {
        self.enter(pool, list.into_iter().map(|(address, weight)| Entry { address, weight, priority: 0 }).collect())
    }

    fn enter(&self, pool: &Arc<Pool>, entries: Arc<[Entry]>) -> bool {
        let members = names::members(&entries, &self.known_names);
        if !members.is_empty() {
            pool.apply(&members);
        }
        let literal = names::all_literal(&entries);
        pool.listed(entries);
        literal
    }

    fn keep(&self, pool: &Pool, task: impl Future<Output = ()> + Send + 'static) {
        pool.own(self.handle.spawn(task::boxed(task)).abort_handle());
    }

    /// Some pool connects with other certificates than its files hold now.
    pub fn are_outdated(&self) -> bool {
        self.pools.lock().iter().any(|pool| pool.is_outdated())
    }

    /// The upstreams whose certificates or keys cannot be used, but for those that could not be asked before either.
    pub fn newly_unusable(&self, specs: &[Arc<UpstreamSpec>]) -> Vec<(Arc<str>, PeerProblem)> {
        let pools = self.pools.lock();
        let was_unusable = |name: &str| pools.iter().any(|pool| *pool.spec().name == *name && pool.problem().is_some());
        let problem = |spec: &Arc<UpstreamSpec>| {
            let problem = certificate_problem(spec.tls.as_ref()?)?;
            (!was_unusable(&spec.name)).then(|| (Arc::clone(&spec.name), problem))
        };
        specs.iter().filter_map(problem).collect()
    }

    /// Until every pool had a first answer of its source, or the deadline.
    pub async fn first_look(&self, deadline: Duration) {
        let pools = self.pools.lock().clone();
        let all = async {
            for pool in &pools {
                pool.first_answer().await;
            }
        };
        if tokio::time::timeout(deadline, all).await.is_err() {
            tracing::warn!("not every upstream had an answer of its source in time; going on without");
        }
    }

    /// Waits until each of these pools that has just begun had a first answer, or the deadline: a reload that names a new
    /// upstream must not meet it empty. Blocks the thread; not for a runtime's own.
    pub fn wait_for_new(&self, pools: &[Arc<Pool>], deadline: Duration) {
        let new: Vec<_> = pools.iter().filter(|pool| pool.is_new(deadline)).cloned().collect();
        if new.is_empty() {
            return;
        }
        let (done, wait) = std::sync::mpsc::channel();
        self.handle.spawn(task::boxed(async move {
            for pool in &new {
                pool.first_answer().await;
            }
            // The receiver is gone: fine.
            let _ = done.send(());
        }));
        let _ = wait.recv_timeout(deadline);
    }

    /// The body of `GET /api/v1/upstreams`.
    pub fn status(&self) -> Vec<UpstreamStatus> {
        self.pools.lock().iter().map(|pool| status(pool)).collect()
    }
}

impl std::fmt::Debug for Upstreams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstreams").field("pools", &*self.pools.lock()).finish_non_exhaustive()
    }
}

async fn keep_time(upstreams: Weak<Upstreams>) {
    let mut clock = tokio::time::interval(TICK);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for tick in 1_u32.. {
        clock.tick().await;
        let Some(pools) = upstreams.upgrade().map(|upstreams| upstreams.pools.lock().clone()) else { return };
        for pool in pools {
            pool.tick();
            if tick % TICKS_A_SECOND == 0 {
                pool.second_passed();
            }
        }
    }
}

fn status(pool: &Pool) -> UpstreamStatus {
    pool.tick();
    let now = pool.now();
    let seconds_since = |at: u64| Duration::from_millis(now.saturating_sub(at)).as_secs_f64();
    pool.with_members(|members| UpstreamStatus {
        name: pool.spec().name.to_string(),
        target: pool.spec().target.name(),
        source: source_name(&pool.spec().source),
        stale: members.trouble().is_some(),
        trouble: pool.problem().or_else(|| members.trouble().map(str::to_owned)),
        queue: pool.queue().map(|(queue, limit)| {
            let (in_flight, waiting) = queue.counts();
            QueueStatus {
                max_in_flight: limit.most,
                in_flight,
                waiting,
                length: limit.length,
                timeout_seconds: limit.timeout.as_secs_f64(),
            }
        }),
        endpoints: members
            .everyone()
            .iter()
            .map(|endpoint| {
                let health = &endpoint.health;
                let condition = health.condition.lock();
                EndpointStatus {
                    address: endpoint.address().to_owned(),
                    weight: endpoint.weight(),
                    state: condition.state,
                    why: condition.why.clone(),
                    in_flight: endpoint.in_flight(),
                    last_failure: condition
                        .last_failure
                        .map(|(kind, at)| LastFailure { kind: kind.name(), seconds_ago: seconds_since(at) }),
                    seen_seconds_ago: seconds_since(health.seen.load(Relaxed)),
                }
            })
            .collect(),
    })
}

fn source_name(source: &Source) -> &'static str {
    match source {
        Source::Fixed(_) => "fixed",
        Source::Dns { .. } => "dns",
        Source::Srv { .. } => "srv",
        Source::File { .. } => "file",
        Source::Etcd { .. } => "etcd",
        Source::Consul { .. } => "consul",
        Source::Kubernetes(_) => "kubernetes",
        Source::Docker(_) => "docker",
    }
}
