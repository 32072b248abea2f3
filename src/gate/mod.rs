//! The clock of the gates: looks at every gated route once a second, tells what it finds, and moves the dial.
//!
//! The rule itself is pure ([`crate::migration::gate`]); a `Course` has the route's time. What moves a dial
//! lies above this layer and is handed in.

mod course;
mod fleet;
mod journal;
mod report;

pub use course::State;
pub use journal::{Journal, JournalEntry, JournalError, JournalPage, LeftRoutes, NewEntry, WrittenDial, now};
pub use report::{GateReport, Numbers, numbers};

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock, Weak};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::config::Notice;
use crate::migration::Dial;
use crate::migration::dial::Action;
use crate::migration::gate::{Obstacle, Verdict};
use crate::notify::Message;
use crate::proxy::{App, Generation, RouteInForce};
use course::{Course, Finding, RouteNow};

/// A gate that waits for a person says so again after so long.
const REMINDED_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);

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
    looking: OnceLock<Thread>,
}

struct Watched {
    course: Course,
    report: GateReport,
    /// The last move that was refused: said once.
    refused: Option<NotMade>,
    warned_slow: bool,
    /// When it was last told that the gate waits for a person.
    told_waiting: Option<Instant>,
}

impl Gates {
    pub fn new(app: Arc<App>, journal: Arc<Journal>) -> Arc<Self> {
        Arc::new(Self {
            app,
            journal,
            reports: Mutex::default(),
            mover: OnceLock::new(),
            routes: Mutex::default(),
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

    /// A dial moved: who asks for a report after this should get one of where the route stands now.
    pub fn look_now(&self) {
        if let Some(looking) = self.looking.get() {
            looking.unpark();
        }
    }

    /// What a gate says now; `None`: the route has none.
    pub fn report(&self, route: &str) -> Option<GateReport> {
        self.routes.lock().get(route).map(|watched| watched.report.clone())
    }

    /// The same without its evidence.
    pub fn report_in_short(&self, route: &str) -> Option<GateReport> {
        self.routes.lock().get(route).map(|watched| watched.report.in_short())
    }

    /// Whether the gate asks a person for something.
    pub fn needs_somebody(&self, route: &str) -> bool {
        self.routes.lock().get(route).is_some_and(|watched| watched.report.needs_somebody())
    }

    /// One look at every gated route.
    pub fn look(&self, now: Instant) {
        let generation = self.app.in_force.load();
        self.report_to_fleet(&generation, now);
        let judgement = self.judgement();
        let obstacle = self.obstacle(&generation).or(judgement.obstacle);
        let mut wanted = Vec::new();
        {
            let mut routes = self.routes.lock();
            let gated: HashMap<&str, &RouteInForce> = generation
                .routes
                .iter()
                .filter(|entry| entry.gate.is_some())
                .map(|entry| (entry.name(), entry))
                .collect();
            routes.retain(|name, _| gated.contains_key(&**name));
            for entry in gated.into_values() {
                let (Some(counters), Some(gate), Some(route)) = (&entry.gate, &entry.policy.gate, &entry.route) else {
                    continue;
                };
                let Some(held) = entry.state.held() else { continue };
                let obstacle = obstacle.or_else(|| route.fault.map(|_| Obstacle::Fault));
                let breaker_open = entry.has_breaker() && entry.state.breaker.is_open();
                let totals = || self.totals(&route.name, counters);
                let seen = RouteNow {
                    now,
                    held: &held,
                    policy: &entry.policy,
                    gate,
                    counters,
                    breaker_open,
                    obstacle,
                    totals: &totals,
                    elsewhere: judgement.elsewhere,
                };
                let watched = routes.entry(Arc::clone(&route.name)).or_insert_with(|| Watched {
                    course: Course::new(&seen),
                    report: GateReport::default(),
                    refused: None,
                    warned_slow: false,
                    told_waiting: None,
                });
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
                if seen.elsewhere {
                    watched.report = self.judged_elsewhere(&route.name, &held, &look, &watched.course, counters);
                    entry.meters.gate_shown(watched.report.shown());
                    continue;
                }
                self.say_to_fleet(&route.name, &held, watched, gate, &look);
                if look.interval
                    && let Some(fleet) = &self.app.fleet
                {
                    fleet.say_region(&route.name, &held.standing, gate.interval);
                }
                self.tell(&route.name, watched, &look, now, entry);
                if let Some(want) = look.wanted {
                    let action = if want.verdict == Verdict::RollBack { Action::RollBack } else { Action::Advance };
                    wanted.push(GateMove {
                        route: Arc::clone(&route.name),
                        action,
                        from: watched.course.dial(),
                        to: want.to,
                        why: want.ruling.why.clone(),
                        numbers: numbers(&want.ruling, watched.course.step()),
                    });
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

    fn tell(&self, route: &Arc<str>, watched: &mut Watched, look: &Finding, now: Instant, entry: &RouteInForce) {
        let mut report = GateReport::of(look, watched.course.step(), watched.course.rates(now));
        if let Some(why) = &watched.refused {
            let said = if matches!(why, NotMade::Waits(_)) { "it waits" } else { "the last move failed" };
            report.why = format!("{}; {said}: {why}", report.why);
        }
        let changed = watched.report.verdict != report.verdict || watched.report.state != report.state;
        if changed && report.state != State::Off.as_str() {
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
        if report.is_slow() && !watched.warned_slow {
            watched.warned_slow = true;
            tracing::warn!(
                code = "gate-slow",
                route = &**route,
                "the gate {} at the present traffic: begin with a larger step, in `shadow`, or with a wider margin",
                report.wait()
            );
            self.notify(Notice::Slow, route, &format!("the gate {} at the present traffic", report.wait()));
        }
        if report.state != State::Waiting.as_str() {
            watched.told_waiting = None;
        } else if watched.told_waiting.is_none_or(|told| now.saturating_duration_since(told) >= REMINDED_AFTER) {
            watched.told_waiting = Some(now);
            self.notify(Notice::Waiting, route, &report.why);
        }
        entry.meters.gate_shown(report.shown());
        watched.report = report;
    }
}

impl Gates {
    /// Tells those whom the file names.
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
