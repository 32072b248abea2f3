//! The thread that compares: it takes what copies hand over, keeps the evidence, and writes it to disk from time to time.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use http::HeaderValue;
use jiff::Timestamp;
use tokio::runtime::Handle;

use super::archive::Archive;
use super::ask::{Client, Response};
use super::budget::ByteBudget;
use super::capture::Seen;
use super::copies::{Comparing, Copies};
use super::cpu_share::CpuShare;
use super::deliver::Asked;
use super::follow::{Followed, Side, follow};
use super::now;
use super::recent::Recent;
use super::threads::lower_priority_for;
use crate::compare::{ComparedRequest, ComparisonResult, Learned, Outcome, Rules, Took, compare};
use crate::endpoint::UpstreamId;
use crate::live::PairSide;
use crate::migration::{BUCKETS, Percent};
use crate::telemetry::{FieldKind, Telemetry};
use crate::upstream::Pool;

/// Comparisons that wait; more are dropped and counted.
const MOST_WAITING: usize = 256;

/// Between two looks at what has to be written.
const SAVE_EVERY: Duration = Duration::from_secs(3);

/// Two answers to one request.
pub(super) struct Comparison {
    pub(super) comparing: Comparing,
    pub(super) copies: Arc<Copies>,
    pub(super) asked: Asked,
    /// The monolith's.
    pub(super) control: Seen,
    /// The service's, or in a replay the monolith's second one.
    pub(super) candidate: Seen,
    /// A side had only accepted what was asked: its outcome is compared, not its first answer.
    pub(super) asked_on: bool,
    /// No outcome came that could be compared.
    pub(super) unfinished: bool,
}

impl Comparison {
    /// Asks both sides on, as far as they only accepted what was asked.
    pub(super) async fn followed(self, client: &Client, budget: &Arc<ByteBudget>) -> Self {
        let Self { comparing, copies, asked, control, candidate, .. } = self;
        let (rules, of) = (comparing.evidence.rules(), (&*copies, client, budget));
        let (monolith, service) = (&asked.target.monolith, &asked.target.service);
        let (control, candidate) = tokio::join!(
            followed(control, &asked, rules, (monolith, UpstreamId::MONOLITH), of),
            followed(candidate, &asked, rules, (&service.1, service.0), of),
        );
        let asked_on = control.asked_on || candidate.asked_on;
        // A service that does not come to an end while the monolith does differs from it by its last answer.
        let unfinished = control.unfinished || candidate.unfinished && !candidate.asked_on;
        let (control, candidate) = (control.seen, candidate.seen);
        Self { comparing, copies, asked, control, candidate, asked_on, unfinished }
    }
}

async fn followed(
    seen: Seen,
    asked: &Asked,
    rules: &Rules,
    (pool, upstream): (&Arc<Pool>, UpstreamId),
    (copies, client, budget): (&Copies, &Client, &Arc<ByteBudget>),
) -> Followed {
    let Some(settings) = rules.follow() else { return Followed { seen, asked_on: false, unfinished: false } };
    follow(seen, asked, settings, rules.body_limit(), &Side { pool, upstream, copies, client, budget }).await
}

pub(super) enum Job {
    Compare(Box<Comparison>),
    /// A side with itself.
    Replay(Box<Comparison>, Learned),
    /// The last one: everything before it is compared and written, then the thread ends.
    Stop(SyncSender<()>),
}

/// The way to the thread.
#[derive(Clone)]
pub(super) struct Comparer {
    jobs: SyncSender<Job>,
}

impl Comparer {
    pub(super) fn start(tools: Tools) -> Self {
        let (jobs, waiting) = sync_channel(MOST_WAITING);
        let comparer = Self { jobs };
        let work = Work { tools, jobs: comparer.jobs.clone() };
        thread::Builder::new()
            .name("compare".to_owned())
            .spawn(move || {
                lower_priority_for(work.tools.cpu.0);
                work.run(&waiting);
            })
            .expect("a process that starts can start a thread");
        comparer
    }

    /// False: too many wait already.
    pub(super) fn offer(&self, job: Job) -> bool {
        !matches!(self.jobs.try_send(job), Err(TrySendError::Full(_) | TrySendError::Disconnected(_)))
    }

    /// Compares what waits and writes everything. False: not within this time.
    pub(super) fn stop(&self, within: Duration) -> bool {
        const LOOK: Duration = Duration::from_millis(10);
        let (done, wait) = sync_channel(1);
        let end = Instant::now() + within;
        let mut stop = Job::Stop(done);
        // The thread lets others go first: on a busy machine its queue may stay full.
        while let Err(TrySendError::Full(unsent)) = self.jobs.try_send(stop) {
            if Instant::now() >= end {
                return false;
            }
            stop = unsent;
            thread::sleep(LOOK);
        }
        wait.recv_timeout(end.saturating_duration_since(Instant::now())).is_ok()
    }
}

/// The parts that the thread works with.
pub(super) struct Tools {
    /// The share of copies when the program starts, and the account that comparisons add their processor time to.
    pub(super) cpu: (Option<Percent>, Arc<CpuShare>),
    pub(super) archive: Arc<Archive>,
    pub(super) runtime: Handle,
    pub(super) client: Arc<Client>,
    pub(super) budget: Arc<ByteBudget>,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) recent: Arc<Recent>,
}

struct Work {
    tools: Tools,
    jobs: SyncSender<Job>,
}

impl Work {
    fn run(self, waiting: &Receiver<Job>) {
        let mut saved = Instant::now();
        loop {
            let left = SAVE_EVERY.saturating_sub(saved.elapsed());
            match waiting.recv_timeout(left) {
                Ok(Job::Compare(comparison)) => self.compare(*comparison),
                Ok(Job::Replay(comparison, at)) => replay(&comparison, at),
                Ok(Job::Stop(done)) => {
                    self.tools.archive.save();
                    let _ = done.send(());
                    return;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.tools.archive.save(),
            }
            self.tools.cpu.1.compared();
            if saved.elapsed() >= SAVE_EVERY {
                self.tools.archive.save();
                saved = Instant::now();
            }
        }
    }

    fn compare(&self, comparison: Comparison) {
        let Comparison { comparing, copies, asked, control, candidate, asked_on, unfinished } = &comparison;
        let evidence = &comparing.evidence;
        let now = now();
        let took = Took { control: control.took, candidate: candidate.took };
        // An unsafe request is copied to a sandbox alone, which may be asked again as well.
        let learns = comparing.noise.replay.buckets() > 0 && comparing.noise.per_second > 0;
        let (outcome, verdicts, failed) = with_request(asked, |request| {
            let outcome = if *unfinished {
                Outcome::unfinished()
            } else {
                let outcome = compare(request, &control.response, &candidate.response, evidence.rules());
                Outcome { asked_on: *asked_on, ..outcome }
            };
            let verdicts = evidence.record(request, &control.response, &outcome, took, learns, now);
            let failed = [control, candidate].map(|seen| seen.response.result(request).is_failure());
            (outcome, verdicts, failed)
        });
        let of = (&copies.route, asked.target.request_id);
        self.tools.recent.compared(of, &outcome, [took.control, took.candidate], &verdicts);
        count(copies, &verdicts);
        if let Some(gate) = copies.gate.as_ref().filter(|_| outcome.unknown.is_none()) {
            let side = |seen: &Seen, failed| PairSide { failed, took: seen.took, waited: seen.waited };
            gate.paired(side(control, failed[0]), side(candidate, failed[1]));
        }
        for difference in &outcome.differences {
            copies.meters.comparison_field(&difference.field, FieldKind::Raw);
        }
        if verdicts == [ComparisonResult::Mismatch] {
            self.tell(&comparison, &outcome);
        }
        let sample = fastrand::u16(..BUCKETS);
        if outcome.unknown.is_none() && evidence.takes_replay(comparing.noise, sample, now) {
            self.ask_again(comparison);
        }
    }

    /// An event for the live stream: the names of the fields, without values.
    fn tell(&self, comparison: &Comparison, outcome: &Outcome) {
        let Comparison { copies, asked, control, candidate, .. } = comparison;
        self.tools.telemetry.events.publish("mismatch", &copies.route, || {
            let fields: Vec<_> = outcome.differences.iter().map(|difference| &difference.field).collect();
            let event = serde_json::json!({
                "timestamp": Timestamp::now().to_string(),
                "route": &*copies.route,
                "method": asked.head.method.as_str(),
                "fields": fields,
                "control": { "status": control.response.status.as_u16(), "ms": control.took.as_secs_f64() * 1e3 },
                "candidate": { "status": candidate.response.status.as_u16(), "ms": candidate.took.as_secs_f64() * 1e3 },
            });
            event.to_string()
        });
    }

    /// Sends the request once more: a safe one to the monolith, a write to the sandbox that got the copy. The answer
    /// comes back as a job.
    fn ask_again(&self, comparison: Comparison) {
        let (client, jobs) = (Arc::clone(&self.tools.client), self.jobs.clone());
        let (hold, budget) = (self.tools.budget.hold(), Arc::clone(&self.tools.budget));
        self.tools.runtime.spawn(async move {
            let Comparison { comparing, copies, asked, control, candidate, .. } = comparison;
            let keep = Some((comparing.evidence.rules().body_limit(), hold));
            let (first, at) =
                if asked.target.safe { (control, Learned::Monolith) } else { (candidate, Learned::Sandbox) };
            let (pool, upstream) = match at {
                Learned::Monolith => (Arc::clone(&asked.target.monolith), UpstreamId::MONOLITH),
                Learned::Sandbox => (Arc::clone(&asked.target.pool), asked.target.upstream),
            };
            // Clients come first: noise is learnt later.
            let Ok(permit) = pool.permit_for_copy() else { return };
            let again = asked.ask_of(&pool, upstream, &copies, &client, keep).await;
            drop(permit);
            if let Ok(Response { seen: Some(second), .. }) = again {
                let (rules, of) = (comparing.evidence.rules(), (&*copies, &*client, &budget));
                let second = followed(second, &asked, rules, (&pool, upstream), of).await;
                if second.unfinished {
                    return;
                }
                let (asked_on, unfinished) = (second.asked_on, false);
                let (control, candidate) = (first, second.seen);
                let comparison = Comparison { comparing, copies, asked, control, candidate, asked_on, unfinished };
                // Under pressure noise is learnt later.
                drop(jobs.try_send(Job::Replay(Box::new(comparison), at)));
            }
        });
    }
}

fn replay(comparison: &Comparison, at: Learned) {
    let Comparison { comparing, copies, asked, control, candidate, .. } = comparison;
    let evidence = &comparing.evidence;
    let outcome: Outcome =
        with_request(asked, |request| compare(request, &control.response, &candidate.response, evidence.rules()));
    let verdicts = evidence.record_replay(&outcome, at, now());
    count(copies, &verdicts);
    for difference in &outcome.differences {
        copies.meters.comparison_field(&difference.field, FieldKind::Noise);
    }
}

pub(super) fn with_request<T>(asked: &Asked, look: impl FnOnce(&ComparedRequest<'_>) -> T) -> T {
    let target = String::from_utf8_lossy(asked.head.target());
    let (mut headers, body) = (asked.head.fields.to_map(), asked.body());
    // The one that logs and both sides know, whatever the client sent.
    if let Ok(id) = HeaderValue::from_bytes(asked.target.request_id.as_bytes()) {
        headers.insert("x-request-id", id);
    }
    look(&ComparedRequest { method: &asked.head.method, target: &target, headers: &headers, body: &body })
}

/// Counts what was judged; the gate hears of what was decided.
fn count(copies: &Copies, verdicts: &[ComparisonResult]) {
    for verdict in verdicts {
        copies.meters.comparison(verdict.as_str());
        if let (Some(gate), ComparisonResult::Match | ComparisonResult::Mismatch) = (copies.gate.as_ref(), verdict) {
            gate.judged(*verdict == ComparisonResult::Mismatch);
        }
    }
}
