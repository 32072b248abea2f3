//! Takes a copy from the request's path, sends it, and hands both answers to the comparing thread.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Method;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::archive::Archive;
use super::ask::{Client, ClientError, Request, Response};
use super::batch_queue::{BatchSender, batch_queue};
use super::budget::{ByteBudget, Held};
use super::capture::{Capture, Seen};
use super::chunks::joined;
use super::comparer::{Comparer, Comparison, Job, Tools, with_request};
use super::copies::{Comparing, Copies, CopyState, Slot};
use super::cpu_share::CpuShare;
use super::evidence::subject;
use super::follow::Side;
use super::hold_up::HoldUp;
use super::recent::Recent;
use super::skipped::Skipped;
use super::tee::Tee;
use super::{HELD_LIMIT, Translate, head, now};
use crate::client::{UpstreamFault, task};
use crate::compare::{Rules, WrittenRules};
use crate::compile::Route;
use crate::endpoint::{Source, UpstreamId, UpstreamSpec};
use crate::guard::identity::{ClientIdentity, Inquiry};
use crate::live::GateCounters;
use crate::message::{ProxiedAddresses, RequestHead};
use crate::migration::{CompareSettings, Percent};
use crate::store::Store;
use crate::telemetry::{CalleeRecord, RequestId, RouteMeters, ShadowRecord, Telemetry, TraceContext};
use crate::upstream::{Busy, Permit, Pool};

/// Everything that copies share, for the whole process.
pub struct ShadowTraffic {
    queue: BatchSender<Box<CopyJob>>,
    client: Arc<Client>,
    budget: Arc<ByteBudget>,
    comparer: Comparer,
    telemetry: Arc<Telemetry>,
    archive: Arc<Archive>,
    runtime: Handle,
    stopping: AtomicBool,
    cpu: Arc<CpuShare>,
    states: Mutex<HashMap<Arc<str>, Arc<CopyState>>>,
    recent: Arc<Recent>,
    hold_up: Mutex<HoldUp>,
}

/// A copy that may be sent once its request is whole.
pub struct CopyJob {
    copies: Arc<Copies>,
    slot: Slot,
    pub tee: Tee,
    pub target: Target,
    /// The client's cleaned head.
    pub head: RequestHead,
    pub translate: Box<dyn Translate>,
    primary: Option<oneshot::Receiver<Seen>>,
    /// The permit for the target, where it has `max_in_flight`.
    permit: Option<Permit>,
    /// Since when the copy could have left.
    ready: Instant,
}

/// Where a copy goes.
pub struct Target {
    pub upstream: UpstreamId,
    pub pool: Arc<Pool>,
    /// For replays.
    pub monolith: Arc<Pool>,
    /// The route's service: this one, or the one that answers the client.
    pub service: (UpstreamId, Arc<Pool>),
    /// The hash of the client's unit, for pools that are balanced by it.
    pub unit: Option<u64>,
    /// The client's connection, for upstreams that are told of it.
    pub client: Option<ProxiedAddresses>,
    /// As the client, the log and both sides know it.
    pub request_id: RequestId,
    /// The place of the copy in the request's trace.
    pub trace: TraceContext,
    /// It changes nothing: the monolith may be asked once more.
    pub safe: bool,
    /// The questions about the client before the copy is sent.
    pub inquiry: Option<Box<Inquiry>>,
}

/// The request, kept for as long as its answers are compared.
pub(super) struct Asked {
    pub(super) head: RequestHead,
    pub(super) body: Vec<Bytes>,
    #[expect(dead_code, reason = "held for its Drop")]
    pub(super) held: Held,
    pub(super) target: Target,
    pub(super) translate: Box<dyn Translate>,
    /// The client's identity for the copy's target.
    pub(super) identity: Option<ClientIdentity>,
}

impl ShadowTraffic {
    /// Evidence is kept in the store; below `state_dir` an older program may have left some. `cpu`: what copies and comparisons may
    /// take of one processor.
    pub fn start(
        runtime: &Handle,
        store: Arc<Store>,
        state_dir: &Path,
        telemetry: Arc<Telemetry>,
        cpu: Option<Percent>,
    ) -> Arc<Self> {
        let archive = Archive::open(store, state_dir.to_owned());
        let client = Arc::new(Client::default());
        let budget = ByteBudget::new(HELD_LIMIT);
        let share = Arc::new(CpuShare::new(cpu));
        let recent = Arc::new(Recent::default());
        let comparer = Comparer::start(Tools {
            cpu: (cpu, Arc::clone(&share)),
            archive: Arc::clone(&archive),
            runtime: runtime.clone(),
            client: Arc::clone(&client),
            budget: Arc::clone(&budget),
            telemetry: Arc::clone(&telemetry),
            recent: Arc::clone(&recent),
        });
        let (queue, mut batches) = batch_queue();
        let shadow = Arc::new(Self {
            queue,
            client,
            budget,
            comparer,
            telemetry,
            archive,
            runtime: runtime.clone(),
            stopping: AtomicBool::new(false),
            cpu: share,
            states: Mutex::default(),
            recent,
            hold_up: Mutex::default(),
        });
        // Ends when the last sender of copies is dropped.
        let sends = Arc::downgrade(&shadow);
        runtime.spawn(task::boxed(async move {
            while let Some(jobs) = batches.next().await {
                for job in jobs {
                    let Some(shadow) = sends.upgrade() else { return };
                    tokio::spawn(async move { shadow.deliver(*job).await });
                }
            }
        }));
        let looked_at = Arc::downgrade(&shadow);
        runtime.spawn(task::boxed(Arc::clone(&shadow.cpu).watch(move || looked_at.strong_count() > 0)));
        shadow
    }

    /// Another file is in force. The weight of copies on a busy machine stays that of the start.
    pub fn limit_cpu(&self, share: Option<Percent>) {
        self.cpu.limit(share);
    }

    /// The copies of a route in a new generation; `None` where the stage sends none. Evidence goes on if it is about the same.
    pub fn route(
        &self,
        route: &Route,
        upstreams: &[Arc<UpstreamSpec>],
        meters: &Arc<RouteMeters>,
        gate: Option<Arc<GateCounters>>,
    ) -> Option<Arc<Copies>> {
        let shadow = route.policy.shadow.as_ref()?;
        let state = Arc::clone(self.states.lock().entry(Arc::clone(&route.name)).or_default());
        let comparison = shadow.compare.as_ref().and_then(|settings| self.comparing(route, upstreams, settings));
        Some(Arc::new(Copies {
            route: Arc::clone(&route.name),
            body_limit: shadow.body_limit,
            timeout: shadow.timeout,
            most_in_flight: shadow.in_flight,
            headers: shadow.headers.clone(),
            turns_back: route.answer.location,
            meters: Arc::clone(meters),
            state,
            comparison,
            gate,
        }))
    }

    fn comparing(
        &self,
        route: &Route,
        upstreams: &[Arc<UpstreamSpec>],
        settings: &CompareSettings,
    ) -> Option<Comparing> {
        match Rules::new(&WrittenRules::from(settings)) {
            Ok(rules) => {
                let noise = rules.noise();
                let about = subject(route, upstreams, &rules);
                let rules = rules.with_hosts(hosts(route, upstreams));
                Some(Comparing { evidence: self.archive.evidence(&route.name, rules, about), noise })
            }
            Err(errors) => {
                for error in errors {
                    tracing::error!(route = &*route.name, %error, "answers are not compared");
                }
                None
            }
        }
    }

    /// Forgets the routes that are no longer in force. Their evidence on disk stays there.
    pub fn retain(&self, keep: impl Fn(&str) -> bool) {
        self.states.lock().retain(|name, _| keep(name));
        self.archive.retain(keep);
    }

    /// A copy may be made of a request whose body has this length, if that is known. The second half takes the answer.
    pub fn order(
        &self,
        copies: &Arc<Copies>,
        length: Option<u64>,
        what: impl FnOnce() -> (Target, RequestHead, Box<dyn Translate>),
    ) -> Result<(CopyJob, Option<Capture>), Skipped> {
        if self.stopping.load(Ordering::Relaxed) {
            return Err(Skipped::Stopping);
        }
        if length.is_some_and(|length| length > copies.body_limit) {
            return Err(Skipped::BodyTooLarge);
        }
        if self.cpu.is_exceeded() {
            return Err(Skipped::Cpu);
        }
        let slot = copies.slot()?;
        let (capture, primary) = match &copies.comparison {
            None => (None, None),
            Some(comparing) => {
                let (to, from) = oneshot::channel();
                let limit = comparing.evidence.rules().body_limit();
                (Some(Capture::new(to, limit, self.budget.hold())), Some(from))
            }
        };
        let (target, head, translate) = what();
        let tee = Tee::new(copies.body_limit, self.budget.hold());
        Ok((
            CopyJob {
                copies: Arc::clone(copies),
                slot,
                tee,
                target,
                head,
                translate,
                primary,
                permit: None,
                ready: Instant::now(),
            },
            capture,
        ))
    }

    /// The request is whole: its copy is sent.
    pub fn send(&self, mut job: Box<CopyJob>) -> Result<(), Skipped> {
        if self.stopping.load(Ordering::Relaxed) {
            return Err(Skipped::Stopping);
        }
        job.ready = Instant::now();
        // Questions that come first may take a while, in which a client could have the permit.
        if job.target.inquiry.is_none() {
            job.permit = job.target.pool.permit_for_copy().map_err(|_: Busy| Skipped::QueueFull)?;
        }
        self.queue.send(job).map_err(|_| Skipped::Stopping)
    }

    pub(super) fn archive(&self) -> &Archive {
        &self.archive
    }

    pub(super) const fn runtime(&self) -> &Handle {
        &self.runtime
    }

    pub(super) const fn budget(&self) -> &Arc<ByteBudget> {
        &self.budget
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Writes what is known now. Blocks.
    pub fn save(&self) {
        self.archive.save();
    }

    /// After another process let go of the store.
    pub fn read_anew(&self) {
        self.archive.read_anew();
    }

    /// No more copies.
    pub fn begin_to_stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Writes what is known. Blocks for as long as the comparisons that wait take, at most this time: then they are left.
    pub fn stop(&self, within: Duration) {
        self.begin_to_stop();
        if !self.comparer.stop(within) {
            self.archive.save();
        }
    }

    pub(super) const fn states(&self) -> &Mutex<HashMap<Arc<str>, Arc<CopyState>>> {
        &self.states
    }

    pub(super) fn recent(&self) -> &Recent {
        &self.recent
    }

    async fn deliver(&self, job: CopyJob) {
        let CopyJob { copies, slot, tee, target, head, translate, primary, mut permit, ready } = job;
        let identity = match &target.inquiry {
            None => None,
            // Boxed: most copies need no identification, and should not carry its size.
            Some(inquiry) => match Box::pin(inquiry.identify(&head)).await {
                Ok(identity) => Some(identity),
                // The target would answer for another client than the monolith did.
                Err(_) => return copies.skip(Skipped::Credentials),
            },
        };
        if identity.is_some() {
            let Ok(own) = target.pool.permit_for_copy() else { return copies.skip(Skipped::QueueFull) };
            permit = own;
        }
        let (body, held) = tee.into_chunks();
        let asked = Asked { head, body, held, target, translate, identity };
        let began = Instant::now();
        let held_up = self.hold_up.lock().leaves(ready, began);
        let limit = copies.comparison.as_ref().map(|comparing| comparing.evidence.rules().body_limit());
        let keep = limit.map(|limit| (limit, self.budget.hold()));
        let result = asked.ask_of(&asked.target.pool, asked.target.upstream, &copies, &self.client, keep).await;
        if matches!(result, Err(ClientError::Unwritable(_))) {
            return copies.skip(Skipped::Target);
        }
        self.account(&copies, &asked, &result, began.elapsed());
        drop(permit);
        let follows = copies.comparison.as_ref().is_some_and(|comparing| comparing.evidence.rules().follow().is_some());
        // A copy that is asked on is bounded as copies are; any other copy is over, however long the client takes to read.
        let slot = follows.then_some(slot);
        let Some(primary) = primary else { return };
        let Ok(Response { seen, .. }) = result else { return self.unanswered(&copies, &asked, primary).await };
        let Some(mut copy) = seen else { return copies.meters.comparison("dropped") };
        copy.waited += held_up;
        // Ends with the primary, at the latest when its exchange is dropped.
        let (Ok(primary), Some(comparing)) = (primary.await, copies.comparison.clone()) else { return };
        let meters = Arc::clone(&copies.meters);
        let (control, candidate) =
            if asked.target.upstream == UpstreamId::MONOLITH { (copy, primary) } else { (primary, copy) };
        let mut comparison =
            Comparison { comparing, copies, asked, control, candidate, asked_on: false, unfinished: false };
        if follows {
            comparison = Box::pin(comparison.followed(&self.client, &self.budget)).await;
        }
        drop(slot);
        if !self.comparer.offer(Job::Compare(Box::new(comparison))) {
            meters.comparison("dropped");
        }
    }

    /// A copy without an answer stands in the table of statuses, against what the client got.
    async fn unanswered(&self, copies: &Copies, asked: &Asked, primary: oneshot::Receiver<Seen>) {
        self.recent.unanswered((&copies.route, asked.target.request_id));
        // Where copies go to the monolith, the primary is the service: its status is not what should have come.
        if asked.target.upstream == UpstreamId::MONOLITH {
            return;
        }
        let (Some(comparing), Ok(primary)) = (&copies.comparison, primary.await) else { return };
        with_request(asked, |request| {
            let code = primary.response.result(request).number();
            comparing.evidence.record_unanswered(request, code, now());
        });
    }

    /// Counts a copy that was sent, and says what became of it.
    fn account(&self, copies: &Copies, asked: &Asked, result: &Result<Response, ClientError>, total: Duration) {
        let outcome = result.as_ref().map_or_else(ClientError::outcome, |_| "answered");
        copies.meters.shadow_sent(outcome, total.as_secs_f64());
        let failure = result.as_ref().err().map(|why| format!("{}: {why}", asked.target.pool.spec().name));
        copies.state.counts.sent(outcome, failure, now());
        let told = result.as_ref().ok();
        let (pool, trace) = (&asked.target.pool, &asked.target.trace);
        let called = trace.is_recorded() && !pool.target().is_http();
        let remote = if called { asked.translate.brief(&asked.head).remote } else { None };
        self.telemetry.emit_shadow(&ShadowRecord {
            trace,
            method: asked.head.method.as_str(),
            callee: CalleeRecord::of(&pool.spec().target, remote.as_ref().map(|remote| &*remote.call)),
            route: &copies.route,
            upstream: &asked.target.pool.spec().name,
            endpoint: told.map_or("", |told| &told.endpoint),
            outcome,
            status: told.map_or(0, |told| told.status),
            verdict: None,
            total,
        });
        if let Err(why) = result {
            report(copies, asked, why);
        }
    }
}

/// The names under which both sides may link to themselves.
fn hosts(route: &Route, upstreams: &[Arc<UpstreamSpec>]) -> Vec<String> {
    let sides = [Some(UpstreamId::MONOLITH), route.policy.service].into_iter().flatten();
    let specs = sides.filter_map(|id| upstreams.get(id.index()));
    let addresses = specs.filter_map(|spec| match &spec.source {
        Source::Fixed(endpoints) => Some(endpoints.iter().map(|(address, _)| address.to_string())),
        _ => None,
    });
    // The service may take itself for what it is told in `Host`.
    let told = route.rewrite.host.as_ref().and_then(|host| host.to_str().ok()).map(str::to_owned);
    addresses.flatten().chain(told).collect()
}

fn report(copies: &Copies, asked: &Asked, why: &ClientError) {
    if let Some(failures) = copies.state.failures.count() {
        let upstream = &*asked.target.pool.spec().name;
        tracing::warn!(route = &*copies.route, upstream, failures, "a copy was not answered: {why}");
    }
}

impl Asked {
    /// Asks a side as it would be asked for a client, with the marker of a copy.
    pub(super) async fn ask_of(
        &self,
        pool: &Arc<Pool>,
        upstream: UpstreamId,
        copies: &Copies,
        client: &Client,
        keep: Option<(u64, Held)>,
    ) -> Result<Response, ClientError> {
        let head = self.written(copies, upstream)?;
        let request = Request {
            pool,
            upstream,
            unit: self.target.unit,
            client: self.target.client,
            head: &head,
            body: &self.body,
            translate: &*self.translate,
        };
        client.ask(&request, copies.timeout, keep).await
    }

    /// Asks a side for another target, by GET and with the client's credentials.
    pub(super) async fn ask_at(
        &self,
        target: &[u8],
        side: &Side<'_>,
        keep: Option<(u64, Held)>,
    ) -> Result<Response, ClientError> {
        let mut head = self.written(side.copies, side.upstream)?;
        head.method = Method::GET;
        head.set_target(target);
        // Fields about the body that was sent, or about a version that the client has already.
        head.fields.retain(|_, name, _| !head::is_about_content(name));
        let request = Request {
            pool: side.pool,
            upstream: side.upstream,
            unit: self.target.unit,
            client: self.target.client,
            head: &head,
            body: &[],
            translate: &*self.translate,
        };
        side.client.ask(&request, side.copies.timeout, keep).await
    }

    /// The head that a side is sent.
    pub(super) fn written(&self, copies: &Copies, upstream: UpstreamId) -> Result<RequestHead, UpstreamFault> {
        let mut head = self.head.clone();
        // A replay is what the monolith was sent for the client, not what the copy says instead.
        let own = upstream == self.target.upstream;
        let edits = own.then_some(&copies.headers);
        let identity = self.identity.as_ref().filter(|_| own);
        head::write(&mut head, &copies.route, (identity, edits), &*self.translate, upstream)?;
        Ok(head)
    }

    pub(super) fn body(&self) -> Bytes {
        joined(self.body.clone())
    }
}
