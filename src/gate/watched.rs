//! The state of one gated route between two looks. Reports are written when they are asked for: of thousands few ever are.

use std::sync::Arc;
use std::time::Instant;

use super::course::{Course, Finding, RouteNow, State};
use super::fleet::JudgedElsewhere;
use super::report::{GateReport, is_worse, shown, verdict};
use super::{GateMove, GateSaid, NotMade, numbers};
use crate::migration::dial::Action;
use crate::migration::gate::{Ruling, Verdict, words};
use crate::telemetry::GateShown;

pub(super) struct Watched {
    pub(super) course: Course,
    /// The finding of the last look, and its time.
    state: State,
    ruling: Option<Arc<Ruling>>,
    looked: Instant,
    /// The number of the last look at it: a route that is passed over has no gate any more.
    pub(super) look: u64,
    /// The report of the replica that judges; `None`: this one does.
    pub(super) elsewhere: Option<JudgedElsewhere>,
    /// As it was told last; `None`: not yet.
    pub(super) told: Option<GateSaid>,
    /// The last move that was refused: said once.
    pub(super) refused: Option<NotMade>,
    pub(super) warned_slow: bool,
    /// When it was last told that the gate waits for a person.
    pub(super) told_waiting: Option<Instant>,
}

impl Watched {
    pub(super) fn new(seen: &RouteNow<'_>) -> Self {
        Self {
            course: Course::new(seen),
            state: State::Off,
            ruling: None,
            looked: seen.now,
            look: 0,
            elsewhere: None,
            told: None,
            refused: None,
            warned_slow: false,
            told_waiting: None,
        }
    }

    /// Takes what a look found.
    pub(super) fn found(&mut self, look: &Finding, now: Instant) {
        self.state = look.state;
        self.ruling.clone_from(&look.ruling);
        self.looked = now;
    }

    /// In words, without the evidence.
    pub(super) fn report_in_short(&self) -> GateReport {
        if let Some(judged) = &self.elsewhere {
            return judged.report.clone();
        }
        let rates = self.course.rates(self.looked);
        let mut report = GateReport::in_short(self.state, self.ruling.as_deref(), self.course.step(), rates);
        if let Some(why) = &self.refused {
            let said = if matches!(why, NotMade::Waits(_)) { "it waits" } else { "the last move failed" };
            report.why = format!("{}; {said}: {why}", report.why);
        }
        report
    }

    /// With all that it rests on.
    pub(super) fn report(&self) -> GateReport {
        let report = self.report_in_short();
        match &self.ruling {
            Some(ruling) if self.elsewhere.is_none() => report.with_evidence(ruling),
            _ => report,
        }
    }

    pub(super) fn says(&self) -> GateSaid {
        match &self.elsewhere {
            Some(JudgedElsewhere { report, .. }) => report.said(),
            None => GateSaid {
                state: self.state.as_str(),
                verdict: verdict(self.state, self.ruling.as_deref()).as_str(),
                worse: is_worse(self.ruling.as_deref()),
            },
        }
    }

    /// Seconds until the missing evidence is there, at the present rate.
    pub(super) fn missing_for(&self) -> Option<f64> {
        let ruling = self.ruling.as_deref().filter(|_| self.state != State::Latched)?;
        words::seconds(ruling.needs, self.course.rates(self.looked))
    }

    /// For the metrics.
    pub(super) fn shown(&self) -> GateShown {
        shown(self.says().state, self.state, self.ruling.as_deref())
    }

    /// The move that a look wants.
    pub(super) fn wanted(&self, route: &Arc<str>, look: &Finding) -> Option<GateMove> {
        let want = look.wanted.as_ref()?;
        Some(GateMove {
            route: Arc::clone(route),
            action: if want.verdict == Verdict::RollBack { Action::RollBack } else { Action::Advance },
            from: self.course.dial(),
            to: want.to,
            why: want.ruling.why.clone(),
            numbers: numbers(&want.ruling, self.course.step()),
        })
    }
}
