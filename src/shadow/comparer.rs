//! The thread that compares: it takes what copies hand over, keeps the evidence, and writes it to disk from time to time.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use tokio::runtime::Handle;

use super::archive::Archive;
use super::ask::{Client, Response};
use super::budget::ByteBudget;
use super::capture::Seen;
use super::copies::{Comparing, Copies};
use super::deliver::Asked;
use super::threads::step_back;
use crate::compare::{Millis, Outcome, Request, Took, Verdict, compare};
use crate::endpoint::UpstreamId;
use crate::live::PairSide;
use crate::migration::BUCKETS;
use crate::telemetry::{FieldKind, Telemetry};

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
}

pub(super) enum Job {
    Compare(Box<Comparison>),
    /// The monolith with itself.
    Replay(Box<Comparison>),
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
                step_back();
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

/// What the thread works with.
pub(super) struct Tools {
    pub(super) archive: Arc<Archive>,
    pub(super) runtime: Handle,
    pub(super) client: Arc<Client>,
    pub(super) budget: Arc<ByteBudget>,
    pub(super) telemetry: Arc<Telemetry>,
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
                Ok(Job::Replay(comparison)) => replay(&comparison),
                Ok(Job::Stop(done)) => {
                    self.tools.archive.save();
                    let _ = done.send(());
                    return;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.tools.archive.save(),
            }
            if saved.elapsed() >= SAVE_EVERY {
                self.tools.archive.save();
                saved = Instant::now();
            }
        }
    }

    fn compare(&self, comparison: Comparison) {
        let Comparison { comparing, copies, asked, control, candidate } = &comparison;
        let evidence = &comparing.evidence;
        let now = now();
        let took = Took { control: control.took, candidate: candidate.took };
        let (outcome, verdict) = with_request(asked, |request| {
            let outcome = compare(request, &control.answer, &candidate.answer, evidence.rules());
            let verdict = evidence.record(request, &control.answer, &outcome, took, now);
            (outcome, verdict)
        });
        copies.meters.comparison(verdict.as_str());
        if let Some(gate) = copies.gate.as_ref().filter(|_| matches!(verdict, Verdict::Match | Verdict::Mismatch)) {
            let side = |seen: &Seen| PairSide { failed: seen.answer.status.is_server_error(), took: seen.took };
            gate.compared(verdict == Verdict::Mismatch, side(control), side(candidate));
        }
        for difference in &outcome.differences {
            copies.meters.comparison_field(&difference.field, FieldKind::Raw);
        }
        if verdict == Verdict::Mismatch {
            self.tell(&comparison, &outcome);
        }
        let sample = fastrand::u16(..BUCKETS);
        if outcome.unknown.is_none() && is_safe(asked) && evidence.takes_replay(comparing.noise, sample, now) {
            self.ask_again(comparison);
        }
    }

    /// An event for whoever watches: which fields, and no value of any.
    fn tell(&self, comparison: &Comparison, outcome: &Outcome) {
        let Comparison { copies, asked, control, candidate, .. } = comparison;
        self.tools.telemetry.events.publish("mismatch", &copies.route, || {
            let fields: Vec<_> = outcome.differences.iter().map(|difference| &difference.field).collect();
            let event = serde_json::json!({
                "timestamp": Timestamp::now().to_string(),
                "route": &*copies.route,
                "method": asked.head.method.as_str(),
                "fields": fields,
                "control": { "status": control.answer.status.as_u16(), "ms": control.took.as_secs_f64() * 1e3 },
                "candidate": { "status": candidate.answer.status.as_u16(), "ms": candidate.took.as_secs_f64() * 1e3 },
            });
            event.to_string()
        });
    }

    /// Sends the request to the monolith once more. Its answer comes back as a job.
    fn ask_again(&self, comparison: Comparison) {
        let (client, jobs) = (Arc::clone(&self.tools.client), self.jobs.clone());
        let hold = self.tools.budget.hold();
        self.tools.runtime.spawn(async move {
            let Comparison { comparing, copies, asked, control, candidate } = comparison;
            // Only the monolith's answer is needed from here on.
            drop(candidate);
            let keep = Some((comparing.evidence.rules().body_limit(), hold));
            let again = asked.ask_of(&asked.target.monolith, UpstreamId::MONOLITH, &copies, &client, keep).await;
            if let Ok(Response { seen: Some(candidate), .. }) = again {
                let comparison = Comparison { comparing, copies, asked, control, candidate };
                // Under pressure noise is learnt later.
                drop(jobs.try_send(Job::Replay(Box::new(comparison))));
            }
        });
    }
}

fn replay(comparison: &Comparison) {
    let Comparison { comparing, copies, asked, control, candidate } = comparison;
    let evidence = &comparing.evidence;
    let outcome: Outcome =
        with_request(asked, |request| compare(request, &control.answer, &candidate.answer, evidence.rules()));
    evidence.record_replay(&outcome, now());
    for difference in &outcome.differences {
        copies.meters.comparison_field(&difference.field, FieldKind::Noise);
    }
}

fn with_request<T>(asked: &Asked, look: impl FnOnce(&Request<'_>) -> T) -> T {
    let target = String::from_utf8_lossy(asked.head.target());
    let (headers, body) = (asked.head.fields.to_map(), asked.body());
    look(&Request { method: &asked.head.method, target: &target, headers: &headers, body: &body })
}

fn is_safe(asked: &Asked) -> bool {
    matches!(asked.head.method, http::Method::GET | http::Method::HEAD | http::Method::OPTIONS)
}

/// Milliseconds since 1970.
fn now() -> Millis {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
