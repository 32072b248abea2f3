//! One judgement for many replicas: each tells what it counted, the leader judges by the sums, the others show what it says.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize as _;
use serde_json::{Value, json};

use super::course::{Finding, State, is_judged, shortest_tick};
use super::report::{is_worse, verdict};
use super::{GateReport, Gates, Watched};
use crate::config::Notice;
use crate::fleet::{Fleet, FleetRole, RouteCounts};
use crate::live::{GateCounters, Held};
use crate::migration::gate::{Gate, HandedOn, Obstacle, QUANTILES, QuantileLimit, Rates, Tick, Verdict};
use crate::notify::Message;
use crate::proxy::Generation;

/// A replica that has not reported for this number of its ticks is left out.
const SILENT_TICKS: u32 = 3;
/// For etcd and the clock of the leader.
const SLACK: Duration = Duration::from_secs(3);

/// This replica's reports of its counts.
#[derive(Debug, Default)]
pub(super) struct Reports {
    tick: u64,
    due: Option<Instant>,
    every: Duration,
    /// Etcd has answered since it was last said to be lost.
    was_up: bool,
}

/// Whether this replica judges.
#[derive(Debug, Clone)]
pub(super) struct Judgement {
    /// This replica's role, if another one judges.
    pub(super) elsewhere: Option<FleetRole>,
    pub(super) obstacle: Option<Obstacle>,
}

/// The report of a route that another replica judges.
#[derive(Debug)]
pub(super) struct JudgedElsewhere {
    from: Source,
    pub(super) report: GateReport,
    limits: Option<[QuantileLimit; QUANTILES.len()]>,
}

/// All that the report is made from: of thousands of routes few have another one at the next look.
#[derive(Debug, PartialEq)]
struct Source {
    role: FleetRole,
    /// Of the dial in force.
    said: Option<Arc<Value>>,
    state: State,
    step: (usize, usize),
}

impl Gates {
    /// Tells the leader what was counted here, once a tick.
    pub(super) fn report_to_fleet(&self, generation: &Generation, now: Instant) {
        let Some(fleet) = &self.app.fleet else { return };
        let every = generation.routes.iter().filter_map(|entry| {
            let gate = entry.policy.gate.as_deref()?;
            // Prometheus scrapes at a pace of its own: the leader has to be patient with it.
            let said = if fleet.is_scraped() { None } else { fleet.tick_of(entry.name()) };
            Some(told_every(shortest_tick(gate), said))
        });
        let Some(every) = every.min() else { return fleet.report_nothing() };
        let mut reports = self.reports.lock();
        reports.every = every;
        // The replicas report at different times of the tick.
        let due = reports.due.unwrap_or_else(|| now + every.mul_f64(fastrand::f64())).min(now + every);
        reports.due = Some(due);
        if now < due {
            return;
        }
        reports.due = Some(now + every);
        reports.tick += 1;
        let all = !fleet.is_scraped();
        let counted = generation.routes.iter().filter_map(|entry| {
            let (counters, held) = (entry.gate.as_ref()?, entry.state.held()?);
            let is_told = all || is_judged(held.standing.dial);
            is_told.then(|| (entry.name().to_owned(), RouteCounts::of(held.standing.seq, &counters.totals())))
        });
        fleet.report(reports.tick, counted);
    }

    pub(super) fn judgement(&self) -> Judgement {
        let Some(fleet) = &self.app.fleet else { return Judgement { elsewhere: None, obstacle: None } };
        let role = fleet.role();
        if role != FleetRole::Cut {
            self.reports.lock().was_up = true;
        }
        match role {
            FleetRole::Follows(_) => Judgement { elsewhere: Some(role), obstacle: None },
            FleetRole::Cut => {
                self.tell_lost(fleet);
                Judgement { elsewhere: Some(role), obstacle: Some(Obstacle::FleetAway) }
            }
            FleetRole::Leads(_) => {
                let heard = fleet.heard(self.reports.lock().every * SILENT_TICKS + SLACK);
                let small = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
                let unheard = Obstacle::Unheard { heard: small(heard.heard), of: small(heard.of) };
                Judgement { elsewhere: None, obstacle: (!heard.enough).then_some(unheard) }
            }
        }
    }

    /// Said once each time.
    fn tell_lost(&self, fleet: &Fleet) {
        if !std::mem::take(&mut self.reports.lock().was_up) {
            return;
        }
        let text = format!(
            "etcd of the fleet does not answer `{}`: its last dials stay in force, its gates hold, it does not hear of moves",
            fleet.name()
        );
        tracing::error!("{text}");
        self.app.notifier.tell(Message {
            kind: Some(Notice::FleetLost),
            route: "".into(),
            text,
            command: "multilith fleet".to_owned(),
            by: "".into(),
            entry: None,
            resolves: &[],
            at: jiff::Timestamp::now(),
            link: String::new(),
        });
    }

    pub(super) fn totals(&self, route: &str, counters: &GateCounters) -> Tick {
        self.app.fleet.as_ref().map_or_else(|| counters.totals(), |fleet| fleet.totals(route))
    }

    /// The evidence that the leader before this one gathered under the dial in force.
    pub(super) fn gathered(&self, route: &str, held: &Held) -> Option<HandedOn> {
        judged(self.app.fleet.as_deref()?, route, held)
    }

    /// The leader's report, on a replica that does not lead. `true`: it is news.
    pub(super) fn hear_judged(
        &self,
        route: &str,
        held: &Held,
        (look, role): (&Finding, &FleetRole),
        watched: &mut Watched,
        counters: &GateCounters,
    ) -> bool {
        let said = self.app.fleet.as_ref().and_then(|fleet| fleet.gate(route));
        let said = said.filter(|said| said["seq"].as_u64() == Some(held.standing.seq));
        let from = Source { role: role.clone(), said, state: look.state, step: watched.course.step() };
        let known = watched.elsewhere.take().filter(|known| known.from == from);
        let is_news = known.is_none();
        let judged = known.unwrap_or_else(|| JudgedElsewhere::of(from));
        // All count late answers by the same limits.
        counters.set_limits(judged.limits.as_ref());
        watched.elsewhere = Some(judged);
        is_news
    }

    /// The leader says where a route stands: at the end of an interval, and when something changed.
    pub(super) fn say_to_fleet(&self, route: &Arc<str>, held: &Held, watched: &Watched, gate: &Gate, look: &Finding) {
        let Some(fleet) = &self.app.fleet else { return };
        let verdict = verdict(look.state, look.ruling.as_deref()).as_str();
        let is_news = look.interval
            || fleet.gate(route).is_none_or(|said| {
                said["seq"].as_u64() != Some(held.standing.seq)
                    || said["state"] != look.state.as_str()
                    || said["verdict"] != verdict
                    || said["worse"] != is_worse(look.ruling.as_deref())
                    || said["judge"]["limits"].is_null() != watched.course.limits().is_none()
            });
        if !is_news {
            return;
        }
        let rates = watched.course.rates(Instant::now());
        let report = GateReport::in_short(look.state, look.ruling.as_deref(), watched.course.step(), rates);
        let judged = json!({
            "v": 1,
            "seq": held.standing.seq,
            "step": report.step,
            "state": report.state,
            "verdict": report.verdict,
            "worse": report.worse,
            "why": report.why,
            "waits_for": report.waits_for,
            "resets": held.resets,
            "seen": fleet.used_reports(),
            "tick": watched.course.tick_length(gate).as_secs(),
            "judge": serde_json::to_value(watched.course.hand_on()).unwrap_or(Value::Null),
            "at": super::now(),
        });
        fleet.say_gate(route, judged);
    }
}

impl JudgedElsewhere {
    fn of(from: Source) -> Self {
        let mut report = GateReport::in_short(from.state, None, from.step, Rates::default());
        let limits = from.said.as_deref().and_then(judge).and_then(|judge| judge.limits().copied());
        if from.state != State::Off {
            from.tell(&mut report);
        }
        Self { from, report, limits }
    }
}

impl Source {
    fn tell(&self, report: &mut GateReport) {
        let leader = match &self.role {
            FleetRole::Follows(Some(leader)) => leader,
            FleetRole::Follows(None) => {
                "no replica leads the fleet: the gate does nothing".clone_into(&mut report.why);
                return;
            }
            _ => {
                "etcd of the fleet does not answer: the gate does nothing".clone_into(&mut report.why);
                return;
            }
        };
        let Some(said) = &self.said else {
            report.why = format!("`{leader}` judges");
            return;
        };
        let known = |key: &str| said[key].as_str().unwrap_or_default();
        let find = |word: &str, words: &[&'static str]| words.iter().copied().find(|known| *known == word);
        report.state = find(known("state"), &State::ALL.map(State::as_str)).unwrap_or(report.state);
        report.verdict = find(known("verdict"), &Verdict::ALL.map(Verdict::as_str)).unwrap_or(report.verdict);
        // A leader of an earlier version does not say it where its gate must not act.
        report.worse = said["worse"].as_bool().unwrap_or(report.verdict == Verdict::RollBack.as_str());
        report.why = format!("{} (judged by `{leader}`)", known("why"));
        report.waits_for = said["waits_for"].as_str().map(str::to_owned);
    }
}

/// A busy fleet is told of each second: its leader knows that it is busy, from the sums of all.
fn told_every(shortest: Duration, said: Option<u64>) -> Duration {
    said.map_or(shortest, |seconds| Duration::from_secs(seconds.max(1)).min(shortest))
}

fn judged(fleet: &Fleet, route: &str, held: &Held) -> Option<HandedOn> {
    let said = fleet.gate(route)?;
    judge(&said).filter(|_| said["seq"].as_u64() == Some(held.standing.seq))
}

fn judge(said: &Value) -> Option<HandedOn> {
    HandedOn::deserialize(&said["judge"]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_tell_their_counts_as_often_as_the_leader_looks() {
        let seconds = Duration::from_secs;
        for (shortest, said, expected) in
            [(10, None, 10), (10, Some(1), 1), (10, Some(10), 10), (2, Some(10), 2), (10, Some(0), 1)]
        {
            assert_eq!(told_every(seconds(shortest), said), seconds(expected), "{shortest} {said:?}");
        }
    }
}
