//! One upstream's endpoints, kept true to the world, and the pick among them.
//!
//! Why not pingora-load-balancing: there an endpoint is its address and weight together, so that a new weight forgets its
//! health; it has no passive ejection, no slow start, no draining and no choice by load; its weighted rotation gives bursts
//! and panics when all weights are 0; each pick allocates; discovery errors vanish; and a balancer cannot be added to a
//! running server, which a reload must do. The rest of it would be smaller than the adapter around it.
//!
//! A pick reads one immutable `EndpointSet` and one counter. All that changes rarely (members, ejections, checks) is
//! behind one lock that no request takes unless its failure ejects an endpoint, and ends in a new set.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

use super::endpoint::{Endpoint, Lease};
use super::endpoint_health::{EndpointFailure, EndpointHealth, EndpointKey};
use super::endpoint_set::{EndpointSet, NoEndpoint};
use super::members::Members;
use super::observer::{EndpointStates, Observer};
use super::peers::{PeerMaker, PeerProblem, Place, certificate_problem};
use super::queue::{Busy, Permit, RequestQueue};
use crate::client::Protocol;
use crate::endpoint::{Address, CheckState, InFlightLimit, Membership, RetryBudget, Source, UpstreamSpec};

/// An entry of a source: an address, perhaps still a name, and a weight.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) address: Address,
    pub(super) weight: u32,
    /// Endpoints of a higher number are used only when all of the lower ones are down.
    pub(super) priority: u16,
}

/// An entry with its name resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) place: Place,
    pub(super) authority: Box<str>,
    pub(super) weight: u32,
    pub(super) priority: u16,
}

/// The part that reports trouble: the list and the names in it come from different places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Informant {
    Source,
    Names,
}

/// Failures in a row after which an endpoint is `failing`, where no rule of ejection says how many.
const FAILING: u32 = 5;

pub struct Pool {
    spec: Arc<UpstreamSpec>,
    target: Protocol,
    maker: Result<PeerMaker, PeerProblem>,
    set: ArcSwap<EndpointSet>,
    step: AtomicUsize,
    budget: RetryBudget,
    /// `None`: no limit of requests at once.
    queue: Option<Arc<RequestQueue>>,
    began: Instant,
    created: Instant,
    pub(super) observer: Arc<dyn Observer>,
    /// The source answered at least once.
    answered: watch::Sender<bool>,
    /// The source has not answered since the start: the endpoints are those that were kept by the process before.
    restored: AtomicBool,
    /// The source answered, or failed to. False only while the endpoints are those that were kept by the process before.
    heard: watch::Sender<bool>,
    /// The current list of the source, for the resolver of its names.
    pub(super) entries: watch::Sender<Option<Arc<[Entry]>>>,
    /// A connection could not be made: names may mean other addresses by now.
    pub(super) names_doubted: Arc<Notify>,
    /// A member joined or left.
    pub(super) members_changed: Arc<Notify>,
    /// The last list of a registry, kept for the pool that follows this one.
    pub(super) membership: Mutex<Membership>,
    /// The clock has something to do here.
    attention: AtomicBool,
    members: Mutex<Members>,
    tasks: Mutex<Vec<AbortHandle>>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("name", &self.spec.name).field("set", &self.set.load()).finish_non_exhaustive()
    }
}

impl Pool {
    /// `began` is the beginning of the process's clock. `heir_of` is the pool of the same name before: endpoints whose
    /// address stays keep their health, the others drain here. Tasks of a target that is not a server of HTTP run on `runtime`.
    pub(super) fn new(
        spec: &Arc<UpstreamSpec>,
        (began, runtime): (Instant, &Handle),
        observer: Arc<dyn Observer>,
        heir_of: Option<&Self>,
    ) -> Arc<Self> {
        let maker = PeerMaker::new(spec);
        if let Err(problem) = &maker {
            tracing::error!(upstream = &*spec.name, %problem, "an upstream cannot be used");
        }
        // Only what the same registry said means anything to this pool.
        let same_source = heir_of.filter(|old| old.spec.source == spec.source);
        let membership = same_source.map_or_else(Membership::default, |old| old.membership.lock().clone());
        let leaving = heir_of.map_or_else(Vec::new, |old| old.members.lock().everyone());
        // Its connections and credentials outlive a reload that does not change it.
        let same_target =
            heir_of.filter(|old| old.spec.target == spec.target && old.spec.tls == spec.tls && old.is_current());
        let target = same_target.map(|old| old.target.clone());
        let tls = maker.as_ref().ok().and_then(PeerMaker::broker_tls);
        let target = target.unwrap_or_else(|| Protocol::start(&spec.target, tls, runtime));
        Arc::new(Self {
            spec: Arc::clone(spec),
            target,
            maker,
            set: ArcSwap::from_pointee(EndpointSet::default()),
            step: AtomicUsize::new(0),
            budget: RetryBudget::default(),
            queue: queue(spec, heir_of),
            began,
            created: Instant::now(),
            observer,
            answered: watch::Sender::new(false),
            restored: AtomicBool::new(false),
            heard: watch::Sender::new(true),
            entries: watch::Sender::new(None),
            names_doubted: Arc::default(),
            members_changed: Arc::default(),
            membership: Mutex::new(membership),
            attention: AtomicBool::new(!leaving.is_empty()),
            members: Mutex::new(Members::draining(leaving)),
            tasks: Mutex::default(),
        })
    }

    pub fn spec(&self) -> &Arc<UpstreamSpec> {
        &self.spec
    }

    /// It connects with the certificates and keys that the files of its table hold now.
    fn is_current(&self) -> bool {
        self.maker.as_ref().is_ok_and(PeerMaker::is_current)
    }

    /// The files hold other certificates or keys than it connects with, and those can be used.
    pub(super) fn is_outdated(&self) -> bool {
        let Some(tls) = &self.spec.tls else { return false };
        !self.is_current() && certificate_problem(tls).is_none()
    }

    /// In which protocol its endpoints are asked.
    pub const fn target(&self) -> &Protocol {
        &self.target
    }

    /// An endpoint for one attempt. `unit` is the hash of the sticky unit, if the client has one; `avoid` are the endpoints
    /// that this request tried already: a retry does not move the balancer's turn.
    pub fn pick(&self, unit: Option<u64>, avoid: &[EndpointKey]) -> Result<Lease, NoEndpoint> {
        let set = self.set.load();
        match set.pick(self.spec.balance, &self.step, unit, avoid) {
            Ok(endpoint) => {
                if avoid.is_empty() {
                    self.budget.request();
                }
                Ok(Lease::new(endpoint))
            }
            Err(_) if self.maker.is_err() => Err(NoEndpoint::Unusable),
            Err(NoEndpoint::NoneListed) if !*self.answered.borrow() => Err(NoEndpoint::NotKnownYet),
            Err(none) => Err(none),
        }
    }

    /// Takes one retry out of the budget (a fifth of the requests). False: the failure goes to the client, or to the fallback.
    pub fn may_retry(&self) -> bool {
        self.budget.take()
    }

    /// True when a request that failed at all of `avoid` has another endpoint to go to.
    pub fn has_other(&self, avoid: &[EndpointKey]) -> bool {
        self.set.load().has_other(avoid)
    }

    /// A lease on the endpoint whose connections have this key, if it is still one of these: a connection that belongs to one client
    /// is used as long as it lives, however its endpoint is.
    pub fn lease_on(&self, connection_key: u64) -> Option<Lease> {
        self.set.load().with_connections(connection_key).map(Lease::new)
    }

    /// Where requests wait beyond the limit of requests at once, and that limit; `None`: there is none.
    pub fn queue(&self) -> Option<(&Arc<RequestQueue>, &InFlightLimit)> {
        self.queue.as_ref().zip(self.spec.limit.as_ref())
    }

    /// The right to send a copy, which may need a permit.
    pub fn permit_for_copy(&self) -> Result<Option<Permit>, Busy> {
        self.queue.as_ref().map(RequestQueue::enter_copy).transpose()
    }

    /// The number of endpoints in each state.
    pub fn counts(&self) -> EndpointStates {
        self.members.lock().counts
    }

    /// Why the upstream cannot be used at all.
    pub fn problem(&self) -> Option<String> {
        self.maker.as_ref().err().map(ToString::to_string)
    }

    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn with_members<T>(&self, look: impl FnOnce(&Members) -> T) -> T {
        look(&self.members.lock())
    }

    /// Makes these the endpoints. The list counts as an answer of the source.
    pub(super) fn apply(self: &Arc<Self>, resolved: &[Member]) {
        let Ok(maker) = &self.maker else { return };
        let now = self.now();
        let mut members = self.members.lock();
        let late = !members.listed.is_empty();
        let known = members.take_everyone();
        // Endpoints are counted in 16 bits.
        for member in resolved.iter().take(usize::from(u16::MAX)) {
            let old = known.get(&member.place);
            let health = old.map_or_else(|| EndpointHealth::new(now), |old| Arc::clone(&old.health));
            health.seen.store(now, Relaxed);
            if old.is_none() {
                let mut condition = health.condition.lock();
                condition.late = late;
                condition.returned = (late && self.spec.health.is_none()).then_some(now);
            }
            let own = old.filter(|old| std::ptr::eq(old.pool.as_ptr(), Arc::as_ptr(self)));
            let peers = own.map_or_else(|| Arc::new(maker.make(&member.place)), |old| Arc::clone(&old.peers));
            members.listed.push(Endpoint::new(
                member.place.clone(),
                member.authority.clone(),
                (member.weight, member.priority),
                peers,
                health,
                Arc::downgrade(self),
            ));
        }
        members.leave(known);
        self.refresh(&mut members, now);
        let well = members.trouble().is_none();
        drop(members);
        self.members_changed.notify_one();
        let first = self.answered.send_if_modified(|answered| !std::mem::replace(answered, true));
        let discovered = !matches!(self.spec.source, Source::Fixed(_));
        if first && discovered && well {
            // Told from the start, so that a source that falls silent is a step and not a first sample.
            self.observer.discovery_changed(&self.spec.name, true);
        }
    }

    /// The source lists these now.
    pub(super) fn listed(&self, entries: Arc<[Entry]>) {
        self.entries.send_replace(Some(entries));
    }

    /// The endpoints that come next were kept by the process before; the source has not been asked yet.
    pub(super) fn begin_restored(&self) {
        self.restored.store(true, Relaxed);
        self.heard.send_replace(false);
        let said = "it has not answered since the start; the endpoints are those it named last".to_owned();
        self.members.lock().set_trouble(Informant::Source, Some(said));
        self.observer.discovery_changed(&self.spec.name, false);
    }

    pub(super) fn is_restored(&self) -> bool {
        self.restored.load(Relaxed)
    }

    /// The source confirmed the list.
    pub(super) fn confirmed(&self) {
        self.restored.store(false, Relaxed);
        self.heard.send_replace(true);
        let now = self.now();
        for endpoint in &self.members.lock().listed {
            endpoint.health.seen.store(now, Relaxed);
        }
    }

    /// The source (or the names) cannot be asked, or can again.
    pub(super) fn trouble(&self, from: Informant, trouble: Option<String>) {
        if from == Informant::Source {
            self.heard.send_replace(true);
        }
        let mut members = self.members.lock();
        let was = members.trouble().is_some();
        let changed = members.set_trouble(from, trouble);
        let now = members.trouble().map(str::to_owned);
        drop(members);
        if !changed {
            return;
        }
        let upstream = &*self.spec.name;
        if let Some(trouble) = &now {
            tracing::warn!(upstream, trouble, "the source of endpoints did not answer; the last known are kept");
        } else {
            tracing::info!(upstream, "the source of endpoints answered again");
        }
        if was != now.is_some() {
            self.observer.discovery_changed(upstream, now.is_none());
        }
    }

    /// Something was learnt of an endpoint: it is judged anew at the next tick.
    pub(super) fn look_again(&self) {
        self.attention.store(true, Relaxed);
    }

    pub(super) fn copy_failed(&self, endpoint: &Endpoint, kind: EndpointFailure) {
        endpoint.health.condition.lock().last_failure = Some((kind, self.now()));
        self.look_again();
    }

    /// An attempt failed; `in_a_row` counts this one.
    pub(super) fn endpoint_failed(&self, endpoint: &Endpoint, kind: EndpointFailure, in_a_row: u32) {
        let now = self.now();
        endpoint.health.condition.lock().last_failure = Some((kind, now));
        self.look_again();
        if kind == EndpointFailure::Connect {
            endpoint.health.closes.refused(Instant::now());
            endpoint.health.doubted.notify_one();
            self.names_doubted.notify_one();
        }
        let rule = self.spec.eject.rule(kind == EndpointFailure::Connect);
        let Some(rule) = rule.filter(|rule| in_a_row >= rule.failures.max(1)) else { return };
        let mut members = self.members.lock();
        if !members.can_spare(endpoint.key(), rule.last) {
            return;
        }
        {
            let mut condition = endpoint.health.condition.lock();
            if condition.ejection.is_out() {
                return;
            }
            let length = condition.ejection.eject(now, rule);
            condition.ejected_for =
                format!("ejected for {} s after {in_a_row} failures in a row ({})", length.as_secs_f64(), kind.name());
        }
        self.refresh(&mut members, now);
        drop(members);
        self.observer.ejected(&self.spec.name, endpoint.address(), kind);
    }

    /// An active check ended: `None` it answered, or why not. True when it agrees with the verdict.
    pub(super) fn checked(&self, endpoint: &Endpoint, complaint: Option<String>) -> bool {
        let Some(rule) = &self.spec.health else { return true };
        let now = self.now();
        let mut members = self.members.lock();
        let (changed, settled) = {
            let mut condition = endpoint.health.condition.lock();
            (condition.checked(complaint, rule, now), condition.checkup.is_settled())
        };
        if changed {
            endpoint.health.failures.store(0, Relaxed);
            self.refresh(&mut members, now);
        }
        settled
    }

    /// As far as is known, requests to this address are answered.
    pub(super) fn works(&self, address: &Address) -> bool {
        let authority = address.to_string();
        self.members.lock().listed.iter().filter(|e| *e.authority == *authority || *e.address() == *authority).any(
            |e| {
                let condition = e.health.condition.lock();
                condition.checkup.state() != CheckState::Ill
                    && !condition.ejection.is_out()
                    && e.health.failures.load(Relaxed) == 0
            },
        )
    }

    /// Looks at what time alone changes: ejections that end, shares that grow, endpoints that have drained.
    pub(super) fn tick(&self) {
        if !self.attention.load(Relaxed) {
            return;
        }
        let now = self.now();
        let mut members = self.members.lock();
        members.readmit(now);
        self.refresh(&mut members, now);
    }

    /// About once a second.
    pub(super) fn second_passed(&self) {
        self.budget.second_passed();
        let now = Instant::now();
        for endpoint in &self.members.lock().listed {
            endpoint.health.closes.second_passed(now);
        }
    }

    /// Waits for the first answer of the source; with kept endpoints also for its first failure.
    pub(super) async fn first_answer(&self) {
        if self.maker.is_ok() {
            // An error means that the pool is gone.
            let _ = self.answered.subscribe().wait_for(|answered| *answered).await;
            let _ = self.heard.subscribe().wait_for(|heard| *heard).await;
        }
    }

    /// It began not longer ago than this, and its source has not answered.
    pub(super) fn is_new(&self, age: Duration) -> bool {
        (!*self.answered.borrow() || !*self.heard.borrow()) && self.created.elapsed() < age
    }

    pub(super) fn own(&self, task: AbortHandle) {
        self.tasks.lock().push(task);
    }

    /// No snapshot names it any more: it learns nothing new, requests that began with it end with it.
    pub(super) fn retire(&self) {
        for task in self.tasks.lock().drain(..) {
            task.abort();
        }
    }

    /// Judges every endpoint anew and arranges them for picking.
    fn refresh(&self, members: &mut Members, now: u64) {
        // Before the look: what is learnt meanwhile must not be forgotten behind it.
        self.attention.store(false, Relaxed);
        let eject = &self.spec.eject;
        let failures = eject.rule(false).map_or(FAILING, |rule| rule.failures.max(1));
        let weights = members.judge(self.spec.health.is_some(), eject.ejects_last(), failures, now);
        if members.needs_attention() {
            self.look_again();
        }
        self.set.store(Arc::new(EndpointSet::new(&members.listed, &weights, self.spec.balance)));
        members.report(&self.spec.name, &*self.observer);
    }
}

/// The queue of the pool before goes on, under the limits of the new specification.
fn queue(spec: &UpstreamSpec, heir_of: Option<&Pool>) -> Option<Arc<RequestQueue>> {
    let before = heir_of.and_then(|old| old.queue.clone());
    if let Some(before) = &before {
        before.set(spec.limit.as_ref());
    }
    let limit = spec.limit.as_ref()?;
    Some(before.unwrap_or_else(|| RequestQueue::new(limit)))
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.retire();
    }
}

/// A pool that a task works for, as long as it is there.
pub(super) type PoolRef = Weak<Pool>;
