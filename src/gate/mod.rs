//! The clock of the gates: looks at every gated route once a second, tells what it finds, and moves the dial.
//!
//! The rule itself is pure ([`crate::migration::gate`]); a `Course` has the route's time. The code that moves the dial lies above this
//! layer and is handed in.

mod course;
mod fleet;
mod journal;
mod report;
mod said;
mod watched;

pub use course::State;
pub use journal::{Journal, JournalEntry, JournalError, JournalPage, LeftRoutes, NewEntry, WrittenDial, now};
pub use report::{GateReport, Numbers, numbers};
pub use said::{Asks, GateSaid};

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock, Weak};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

use crate::app::App;
use crate::config::Notice;
use crate::migration::Dial;
use crate::migration::dial::{Action, Standing};
use crate::migration::gate::{Obstacle, Tick, Verdict};
use crate::notify::Message;
use crate::proxy::{Generation, RouteInForce};
use course::{Finding, RouteNow};
use watched::Watched;

/// The interval of reminders from a gate that waits for a person.
const REMINDED_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// A step that takes longer is said to be slow, in seconds.
const DAY: f64 = 86_400.0;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// The number of routes after which a look lets readers in: a look at ten thousand takes longer than a page should.
const AT_ONCE: usize = 32;

/// A move that a gate wants.
#[derive(Debug, Clone)]
pub struct GateMove {
    pub route: Arc<str>,
    pub action: Action,
    /// The dial that was judged: the move is made only if it is still in force.
    pub from: Dial,
    pub to: Dial,
    pub why: String,
    pub numbers: Numbers,
}

/// Makes a move, or says why not.
pub type Mover = Box<dyn Fn(&GateMove) -> Result<(), NotMade> + Send + Sync>;

/// Why a gate's move was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotMade {
    #[error("the server does not run")]
    NotStarted,
    #[error("the server is stopping")]
    Stopping,
    /// The region before this one comes first; in words.
    #[error("{0}")]
    Waits(String),
    /// The mover's reason, in words.
    #[error("{0}")]
    Refused(String),
}

/// All gates of the process.
pub struct Gates {
    app: Arc<App>,
    journal: Arc<Journal>,
    reports: Mutex<fleet::Reports>,
    mover: OnceLock<Mover>,
    routes: Mutex<HashMap<Arc<str>, Watched>>,
    /// Beside the routes, for callers that read thousands of them.
    said: Mutex<HashMap<Arc<str>, GateSaid>>,
    looks: AtomicU64,
    looking: OnceLock<Thread>,
}

impl Gates {
    pub fn new(app: Arc<App>, journal: Arc<Journal>) -> Arc<Self> {
        Arc::new(Self {
            app,
            journal,
            reports: Mutex::default(),
            mover: OnceLock::new(),
            routes: Mutex::default(),
            said: Mutex::default(),
            looks: AtomicU64::new(0),
            looking: OnceLock::new(),
        })
    }

    /// Begins to look. The thread ends when the last `Arc` of the gates is dropped.
    pub fn start(self: &Arc<Self>, mover: Mover) {
        assert!(self.mover.set(mover).is_ok(), "started once, with the server");
        let gates = Arc::downgrade(self);
        let looking = thread::Builder::new().name("gates".to_owned()).spawn(move || look_again_and_again(&gates));
        match looking {
            Ok(looking) => self.looking.set(looking.thread().clone()).expect("started once, with the server"),
            Err(error) => tracing::error!(%error, "no thread for the gates: no route moves by itself"),
        }
    }

    /// A dial moved: a report that is read after this should show where the route stands now.
    pub fn look_now(&self) {
        if let Some(looking) = self.looking.get() {
            looking.unpark();
        }
    }

    /// The gate's present report; `None`: the route has none.
    pub fn report(&self, entry: &RouteInForce) -> Option<GateReport> {
        let gate = entry.policy.gate.as_deref()?;
        let looked = self.routes.lock().get(entry.name()).map(Watched::report);
        Some(looked.unwrap_or_else(|| GateReport::unlooked(&standing(entry), gate)))
    }

    /// The same of several routes at once, without their evidence.
    pub fn reports_in_short<'r>(&self, entries: impl Iterator<Item = &'r RouteInForce>) -> Vec<Option<GateReport>> {
        let routes = self.routes.lock();
        let report = |entry: &RouteInForce| {
            let gate = entry.policy.gate.as_deref()?;
            let looked = routes.get(entry.name()).map(Watched::report_in_short);
            Some(looked.unwrap_or_else(|| GateReport::unlooked(&standing(entry), gate)))
        };
        entries.map(report).collect()
    }

    /// State and verdict of a gate; `None`: the route has none.
    pub fn says(&self, entry: &RouteInForce) -> Option<GateSaid> {
        let gate = entry.policy.gate.as_deref()?;
        let said = self.said.lock().get(entry.name()).copied();
        Some(said.unwrap_or_else(|| GateSaid {
            state: State::unlooked(&standing(entry), gate).as_str(),
            verdict: Verdict::Hold.as_str(),
            worse: false,
        }))
    }

    /// The routes whose gates ask a person for something.
    pub fn asking(&self) -> HashMap<Arc<str>, Asks> {
        let said = self.said.lock();
        said.iter().filter_map(|(name, said)| Some((Arc::clone(name), said.asks()?))).collect()
    }

    /// One look at every gated route.
    pub fn look(&self, now: Instant) {
        let generation = self.app.in_force.load();
        self.report_to_fleet(&generation, now);
        let judgement = self.judgement();
        let obstacle = self.obstacle(&generation).or(judgement.obstacle);
        let this = self.looks.fetch_add(1, Relaxed) + 1;
        let (mut wanted, mut gated) = (Vec::new(), 0);
        {
            let mut routes = self.routes.lock();
            for (number, entry) in generation.routes.iter().enumerate() {
                if number % AT_ONCE == 0 {
                    MutexGuard::bump(&mut routes);
                }
                let (Some(counters), Some(gate), Some(route)) = (&entry.gate, &entry.policy.gate, &entry.route) else {
                    continue;
                };
                let Some(held) = entry.state.held() else { continue };
                let obstacle = obstacle.or_else(|| route.fault.map(|_| Obstacle::Fault));
                let breaker_open = entry.has_breaker() && entry.state.breaker.is_open();
                let totals = || self.totals(&route.name, counters);
                // Counts of other replicas are not told apart.
                let counted = |before: &Tick| self.app.fleet.is_some() || counters.counted_since(before);
                let seen = RouteNow {
                    now,
                    held: &held,
                    policy: &entry.policy,
                    gate,
                    counters,
                    breaker_open,
                    obstacle,
                    totals: &totals,
                    counted: &counted,
                    elsewhere: judgement.elsewhere.is_some(),
                };
                let watched = routes.entry(Arc::clone(&route.name)).or_insert_with(|| Watched::new(&seen));
                (watched.look, gated) = (this, gated + 1);
                if watched.course.takes_over(&seen) {
                    let gathered = self.gathered(&route.name, &held);
                    watched.course.take_over(&seen, gathered.as_ref());
                }
                let measured = watched.course.measured_anew();
                let look = watched.course.look(&seen);
                if watched.course.measured_anew() > measured {
                    tracing::info!(
                        route = &*route.name,
                        "the monolith's own times changed: the gate measured its limits of time anew"
                    );
                }
                if let Some(role) = &judgement.elsewhere {
                    watched.found(&look, now);
                    let is_news = self.hear_judged(&route.name, &held, (&look, role), watched, counters);
                    self.says_now(&route.name, watched);
                    if is_news || !entry.meters.shows_gate() {
                        entry.meters.gate_shown(watched.shown());
                    }
                    continue;
                }
                watched.elsewhere = None;
                self.say_to_fleet(&route.name, &held, watched, gate, &look);
                if look.interval
                    && let Some(fleet) = &self.app.fleet
                {
                    fleet.say_region(&route.name, &held.standing, gate.interval);
                }
                self.tell(&route.name, watched, &look, now, entry);
                wanted.extend(watched.wanted(&route.name, &look));
            }
            if routes.len() > gated {
                routes.retain(|_, watched| watched.look == this);
                self.said.lock().retain(|name, _| routes.contains_key(name));
                // A gate left the file, its route need not have: alerts would go by what it said last.
                for entry in generation.routes.iter().filter(|entry| entry.gate.is_none() && entry.meters.shows_gate())
                {
                    entry.meters.gate_left();
                }
            }
        }
        for want in wanted {
            self.make(&want);
        }
    }

    fn obstacle(&self, generation: &Generation) -> Option<Obstacle> {
        if self.app.live.monolith_only(generation.snapshot.server.monolith_only) {
            return Some(Obstacle::MonolithOnly);
        }
        if !self.journal.is_writable() {
            return Some(Obstacle::Store);
        }
        self.app.live.is_file_refused().then_some(Obstacle::BrokenFile)
    }

    fn make(&self, want: &GateMove) {
        let made = self.mover.get().map_or_else(|| Err(NotMade::NotStarted), |mover| mover(want));
        let mut routes = self.routes.lock();
        let Some(watched) = routes.get_mut(&want.route) else { return };
        match made {
            Ok(()) => watched.refused = None,
            Err(why) if watched.refused.as_ref() != Some(&why) => {
                let (route, action) = (&*want.route, want.action.as_str());
                if matches!(why, NotMade::Waits(_)) {
                    tracing::info!(route, action, "the gate waits: {why}");
                } else {
                    tracing::error!(route, action, "the gate could not move its route: {why}");
                }
                watched.refused = Some(why);
            }
            Err(_) => {}
        }
    }

    /// Keeps state and verdict for readers. `true`: they have changed.
    fn says_now(&self, route: &Arc<str>, watched: &mut Watched) -> bool {
        let says = watched.says();
        let changed = watched.told.replace(says) != Some(says);
        if changed {
            self.said.lock().insert(Arc::clone(route), says);
        }
        changed
    }

    fn tell(&self, route: &Arc<str>, watched: &mut Watched, look: &Finding, now: Instant, entry: &RouteInForce) {
        watched.found(look, now);
        let changed = self.says_now(route, watched);
        if changed && look.state != State::Off {
            let report = watched.report_in_short();
            tracing::info!(route = &**route, state = report.state, verdict = report.verdict, "{}", report.why);
            self.app.telemetry.events.publish("verdict", route, || {
                serde_json::json!({
                    "timestamp": jiff::Timestamp::now().to_string(),
                    "route": &**route,
                    "state": report.state,
                    "verdict": report.verdict,
                    "why": &report.why,
                })
                .to_string()
            });
        }
        if look.interval {
            let verdict = look.ruling.as_ref().map(|ruling| ruling.verdict.as_str());
            entry.meters.gate_verdict(verdict.unwrap_or(Verdict::Hold.as_str()));
        }
        if !watched.warned_slow && watched.missing_for().is_some_and(|seconds| seconds > DAY) {
            watched.warned_slow = true;
            let wait = watched.report_in_short().waits_for.unwrap_or_default();
            tracing::warn!(
                code = "gate-slow",
                route = &**route,
                "the gate {wait} at the present traffic: begin with a larger step, in `shadow`, or with a wider margin"
            );
            self.notify(Notice::Slow, route, &format!("the gate {wait} at the present traffic"));
        }
        if look.state != State::Waiting {
            watched.told_waiting = None;
        } else if watched.told_waiting.is_none_or(|told| now.saturating_duration_since(told) >= REMINDED_AFTER) {
            watched.told_waiting = Some(now);
            self.notify(Notice::Waiting, route, &watched.report_in_short().why);
        }
        if changed || look.is_new || !entry.meters.shows_gate() {
            entry.meters.gate_shown(watched.shown());
        }
    }
}

impl Gates {
    /// Tells the receivers that the file names.
    fn notify(&self, kind: Notice, route: &Arc<str>, why: &str) {
        let verb = if kind == Notice::Waiting { "approve" } else { "gate" };
        self.app.notifier.tell(Message {
            kind: Some(kind),
            route: (&**route).into(),
            text: format!("{route}: {why}"),
            command: format!("multilith {verb} {route}"),
            by: "".into(),
            entry: None,
            resolves: &[],
            at: jiff::Timestamp::now(),
            link: String::new(),
        });
    }
}

fn standing(entry: &RouteInForce) -> Standing {
    entry.state.held().map_or_else(|| Standing::of_file(entry.policy.dial), |held| held.standing)
}

fn look_again_and_again(gates: &Weak<Gates>) {
    loop {
        thread::park_timeout(LOOK);
        let Some(gates) = gates.upgrade() else { return };
        // A bug here must not end all gates: the next look may be fine, and it is said.
        if catch_unwind(AssertUnwindSafe(|| gates.look(Instant::now()))).is_err() {
            tracing::error!("a look at the gates ended in a panic");
        }
    }
}
