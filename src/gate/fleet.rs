//! One judgement for many replicas: each tells what it counted, the leader judges by the sums, the others show what it says.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::course::{Course, Finding, State, is_judged, shortest_tick};
use super::{GateReport, Gates, Watched};
use crate::config::Notice;
use crate::fleet::{Fleet, FleetRole, RouteCounts};
use crate::live::{GateCounters, Held};
use crate::migration::gate::{Gate, HandedOn, Obstacle, Rates, Tick, Verdict};
use crate::notify::Message;
use crate::proxy::Generation;

/// A replica that has not reported for this number of its ticks is left out.
const SILENT_TICKS: u32 = 3;
/// For etcd and the clock of the leader.
const SLACK: Duration = Duration::from_secs(3);

/// What was told of this replica's counts.
#[derive(Debug, Default)]
pub(super) struct Reports {
    tick: u64,
    due: Option<Instant>,
    every: Duration,
    /// Etcd has answered since it was last said to be lost.
    was_up: bool,
}

/// Whether this replica judges.
#[derive(Debug, Clone, Copy)]
pub(super) struct Judgement {
    pub(super) elsewhere: bool,
    pub(super) obstacle: Option<Obstacle>,
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
        let Some(fleet) = &self.app.fleet else { return Judgement { elsewhere: false, obstacle: None } };
        let role = fleet.role();
        if role != FleetRole::Cut {
            self.reports.lock().was_up = true;
        }
        match role {
            FleetRole::Follows(_) => Judgement { elsewhere: true, obstacle: None },
            FleetRole::Cut => {
                self.tell_lost(fleet);
                Judgement { elsewhere: true, obstacle: Some(Obstacle::FleetAway) }
            }
            FleetRole::Leads(_) => {
                let heard = fleet.heard(self.reports.lock().every * SILENT_TICKS + SLACK);
                let small = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
                let unheard = Obstacle::Unheard { heard: small(heard.heard), of: small(heard.of) };
                Judgement { elsewhere: false, obstacle: (!heard.enough).then_some(unheard) }
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

    /// What the leader before this one gathered under the dial in force.
    pub(super) fn gathered(&self, route: &str, held: &Held) -> Option<HandedOn> {
        judged(self.app.fleet.as_deref()?, route, held)
    }

    /// What the leader says, on a replica that does not lead.
    pub(super) fn judged_elsewhere(
        &self,
        route: &str,
        held: &Held,
        look: &Finding,
        course: &Course,
        counters: &GateCounters,
    ) -> GateReport {
        let mut report = GateReport::in_short(look.state, None, course.step(), Rates::default());
        let Some(fleet) = &self.app.fleet else { return report };
        // All count late answers by the same limits.
        counters.set_limits(judged(fleet, route, held).as_ref().and_then(HandedOn::limits));
        if look.state == State::Off {
            return report;
        }
        let leader = match fleet.role() {
            FleetRole::Follows(Some(leader)) => leader,
            FleetRole::Follows(None) => {
                "no replica leads the fleet: the gate does nothing".clone_into(&mut report.why);
                return report;
            }
            _ => {
                "etcd of the fleet does not answer: the gate does nothing".clone_into(&mut report.why);
                return report;
            }
        };
        let said = fleet.gate(route).filter(|said| said["seq"].as_u64() == Some(held.standing.seq));
        let Some(said) = said else {
            report.why = format!("`{leader}` judges");
            return report;
        };
        let known = |key: &str| said[key].as_str().unwrap_or_default();
        report.state =
            State::ALL.iter().map(|state| state.as_str()).find(|word| *word == known("state")).unwrap_or(report.state);
        report.verdict = Verdict::ALL
            .iter()
            .map(|verdict| verdict.as_str())
            .find(|word| *word == known("verdict"))
            .unwrap_or(report.verdict);
        report.why = format!("{} (judged by `{leader}`)", known("why"));
        report.waits_for = said["waits_for"].as_str().map(str::to_owned);
        report
    }

    /// The leader says where a route stands: at the end of an interval, and when something changed.
    pub(super) fn say_to_fleet(&self, route: &Arc<str>, held: &Held, watched: &Watched, gate: &Gate, look: &Finding) {
        let Some(fleet) = &self.app.fleet else { return };
        let rates = watched.course.rates(Instant::now());
        let report = GateReport::in_short(look.state, look.ruling.as_deref(), watched.course.step(), rates);
        let said = fleet.gate(route).unwrap_or_default();
        let gathered = watched.course.hand_on();
        let is_news = look.interval
            || said["seq"].as_u64() != Some(held.standing.seq)
            || said["state"] != report.state
            || said["verdict"] != report.verdict
            || said["judge"]["limits"].is_null() != gathered.limits().is_none();
        if is_news {
            let judged = json!({
                "v": 1,
                "seq": held.standing.seq,
                "step": report.step,
                "state": report.state,
                "verdict": report.verdict,
                "why": report.why,
                "waits_for": report.waits_for,
                "resets": held.resets,
                "seen": fleet.used_reports(),
                "tick": watched.course.tick_length(gate).as_secs(),
                "judge": serde_json::to_value(&gathered).unwrap_or(Value::Null),
                "at": super::now(),
            });
            fleet.say_gate(route, &judged);
        }
    }
}

/// A busy fleet is told of each second: its leader knows that it is busy, from the sums of all.
fn told_every(shortest: Duration, said: Option<u64>) -> Duration {
    said.map_or(shortest, |seconds| Duration::from_secs(seconds.max(1)).min(shortest))
}

fn judged(fleet: &Fleet, route: &str, held: &Held) -> Option<HandedOn> {
    let said = fleet.gate(route)?;
    if said["seq"].as_u64() != Some(held.standing.seq) {
        return None;
    }
    serde_json::from_value(said["judge"].clone()).ok()
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
