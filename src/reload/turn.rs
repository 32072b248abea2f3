//! Moves of one dial: the author, the dial in force, the journal's entry, and the generation that follows.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::asked::{RequestedMove, begins_anew, in_the_journal};
use super::told::{told, wants_a_word};
use super::write::{NotWritten, to_paste};
use super::{Reloader, environment};
use crate::compile::{Compiled, Route, Snapshot, compile_all};
use crate::config::Unwritable;
use crate::diagnostic::{Entry as DiagnosticEntry, Sources, report_all};
use crate::fleet::NotWrittenToFleet;
use crate::gate::{JournalError, LeftRoutes, NewEntry, WrittenDial};
use crate::live::Held;
use crate::migration::dial::{Action, By, DialTurn, NoMove, Standing, promoted, rolled_back};
use crate::migration::gate::Pause;
use crate::migration::{Dial, Stage};
use crate::proxy::{Generation, RouteInForce};

/// A move that was asked for.
#[derive(Debug, Clone)]
pub struct MoveRequest<'a> {
    pub route: &'a str,
    pub asked: RequestedMove,
    pub author: Author<'a>,
    /// Only if this is the last entry of the route.
    pub expect_seq: Option<u64>,
    /// Write the dial into the file, too.
    pub write: bool,
    /// No person was asked whether it is meant: a promotion that a person has to agree to is refused.
    pub unasked: bool,
}

/// The author of a move, and its reason.
#[derive(Debug, Clone)]
pub struct Author<'a> {
    pub by: By,
    /// `gate@REPLICA`, the person, or the file and its generation.
    pub who: &'a str,
    pub reason: &'a str,
    /// The numbers it rests on.
    pub verdict: Option<Value>,
}

/// A move that was made.
#[derive(Debug, Clone, Serialize)]
pub struct MoveMade {
    pub seq: u64,
    pub route: String,
    pub from: WrittenDial,
    pub to: WrittenDial,
    pub by: &'static str,
    pub who: String,
    pub replicas: Replicas,
    /// `false`: it is in force, and a restart will not know of it.
    pub kept: bool,
    /// The route was rolled back: its gate does not advance before a promotion, the file or a new `version` begins anew.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub latched: bool,
    /// The roll-backs of its gate are paused, too.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub paused_all: bool,
    /// It is in force on this replica alone, and the others will be told when etcd of the fleet answers.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub local: bool,
    /// Where it was to be written into the file: whether it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub written: Option<bool>,
    /// Why it was not, and what to paste.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_written: Option<NotInFile>,
    /// The evidence at that time, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
}

/// The move is in force, and the file does not say so.
#[derive(Debug, Clone, Serialize)]
pub struct NotInFile {
    pub why: String,
    pub lines: String,
}

impl NotInFile {
    pub(super) fn because(why: &NotWritten, route: &str, to: Dial) -> Self {
        Self { why: why.message(route), lines: to_paste(to) }
    }
}

/// How many of the replicas have it in force.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Replicas {
    pub in_force: usize,
    pub of: usize,
    /// From the request to when the last of these had it.
    pub after_seconds: f64,
}

/// The effect of an act on its route.
pub(super) struct Intent<'e> {
    pub(super) entry: &'e RouteInForce,
    pub(super) held: Held,
    pub(super) action: Action,
    pub(super) to: Dial,
    /// With the route in its stage after the move.
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) version: Box<str>,
}

fn first_of(diagnostics: &[DiagnosticEntry]) -> &str {
    diagnostics.first().map_or("the file does not allow it", |entry| &entry.message)
}

/// Why a move was not made.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NotMoved {
    #[error("there is no such route")]
    NoRoute,
    /// There is no such move from here.
    #[error("{}", .0.as_str())]
    NoMove(NoMove),
    /// Nothing to pause, or to approve.
    #[error("{0}")]
    Nothing(&'static str),
    /// A person has to agree to it, and was not asked.
    #[error("{}", wants_a_word(*.to))]
    Unasked { seq: u64, to: Dial },
    /// Another move came first.
    #[error("the route was moved meanwhile: #{seq}, {}", .dial)]
    Overtaken { seq: u64, dial: Dial },
    /// The file could not be valid in that stage.
    #[error("the file could not be valid in that stage: {}", first_of(.0))]
    Invalid(Vec<DiagnosticEntry>),
    /// It could not be written down.
    #[error("{0}")]
    Journal(JournalError),
    /// The file has a variable where the dial would be written.
    #[error("{0}")]
    Variable(String),
    /// The others cannot be told, or did not take it.
    #[error("{0}")]
    Fleet(NotWrittenToFleet),
}

impl Reloader {
    /// Makes a move: it is written into the journal, then in force for the next request.
    pub fn turn(&self, request: &MoveRequest<'_>) -> Result<MoveMade, NotMoved> {
        if let Some(fleet) = &self.app.fleet {
            return self.turn_in_fleet(fleet, request);
        }
        let state = self.state.lock();
        let generation = self.app.in_force.load();
        let Intent { entry, held, action, to, snapshot, version } = self.intend(&generation, request)?;
        let from = held.standing.dial;
        let (mut held, kept) =
            self.write(request.route, &request.author, &held, (action, to), (&version, state.generation))?;
        if begins_anew(request.asked) {
            held.resets += 1;
        }
        let seq = held.standing.seq;
        entry.state.hold(held);
        entry.meters.dial_seq(seq);
        if to != from {
            self.put(&state, snapshot, request.author.by.as_str());
        }
        let alone = Replicas { in_force: 1, of: 1, after_seconds: 0.0 };
        Ok(self.made(request, (from, to), seq, alone, kept))
    }

    /// The intent of an act, if it may be done.
    pub(super) fn intend<'e>(
        &self,
        generation: &'e Generation,
        request: &MoveRequest<'_>,
    ) -> Result<Intent<'e>, NotMoved> {
        let entry = generation.named(request.route).ok_or(NotMoved::NoRoute)?;
        let file = entry.state.held().map_or(entry.policy.dial, |held| held.file);
        let held = entry.state.held().unwrap_or_else(|| Held::of_file(file));
        let standing = &held.standing;
        if request.expect_seq.is_some_and(|expected| expected != standing.seq) {
            return Err(NotMoved::Overtaken { seq: standing.seq, dial: standing.dial });
        }
        let gate = entry.policy.gate.as_deref();
        let from = standing.dial;
        let (action, to) = leads_to(generation, entry, standing, request.asked)?;
        let is_left_to_a_person =
            to.stage == Stage::Retired || gate.is_some_and(|gate| gate.approve.contains(&to.stage));
        if request.unasked && action == Action::Promote && to.stage != from.stage && is_left_to_a_person {
            return Err(NotMoved::Unasked { seq: standing.seq, to });
        }
        // Under another stage a route is compiled anew; a file that could not be valid there is refused before anything moves.
        let snapshot = if to.stage == from.stage {
            Arc::clone(&generation.snapshot)
        } else {
            Arc::new(self.recompiled(&generation.snapshot.sources, &|name| (name == request.route).then_some(to))?)
        };
        if let (true, Err(NotWritten::Edit(Unwritable::Variable(key)))) =
            (request.write, self.source.takes_dial(request.route, to))
        {
            return Err(NotMoved::Variable(Unwritable::Variable(key).message(request.route)));
        }
        let version = gate.map_or_else(Box::default, |gate| gate.version.clone());
        Ok(Intent { entry, held, action, to, snapshot, version })
    }

    /// Says what was done, after writing it into the file where that was asked for.
    pub(super) fn made(
        &self,
        request: &MoveRequest<'_>,
        (from, to): (Dial, Dial),
        seq: u64,
        replicas: Replicas,
        kept: bool,
    ) -> MoveMade {
        let written = request.write.then(|| self.source.write_dial(request.route, to));
        let not_written = written
            .as_ref()
            .and_then(|written| written.as_ref().err())
            .map(|why| NotInFile::because(why, request.route, to));
        let standing = self.app.live.held(request.route).map(|held| held.standing);
        MoveMade {
            written: written.map(|written| written.is_ok()),
            not_written,
            seq,
            route: request.route.to_owned(),
            from: from.into(),
            to: to.into(),
            by: request.author.by.as_str(),
            who: request.author.who.to_owned(),
            replicas,
            kept,
            latched: standing.as_ref().is_some_and(|standing| standing.latched),
            paused_all: standing.is_some_and(|standing| standing.pause.is_all()),
            local: false,
            evidence: None,
        }
    }

    /// Into the journal. A move that cannot be written is not made, except for a person's roll-back: safety first.
    pub(super) fn write(
        &self,
        route: &str,
        author: &Author<'_>,
        held: &Held,
        (action, to): (Action, Dial),
        (version, generation): (&str, u64),
    ) -> Result<(Held, bool), NotMoved> {
        let from = held.standing.dial;
        let reason = in_the_journal(action, author.reason);
        let new = NewEntry {
            route,
            action,
            by: author.by,
            who: author.who,
            from,
            to,
            file: held.file,
            version,
            generation,
            reason: &reason,
            verdict: author.verdict.clone(),
        };
        let mut standing = held.standing.clone();
        standing.take(&DialTurn {
            seq: standing.seq,
            action,
            by: author.by,
            to,
            file: held.file,
            version: version.into(),
        });
        let (at, kept, entry) = match self.journal.append(&new, &standing) {
            Ok(entry) => {
                standing.seq = entry.seq;
                (entry.at.clone(), true, serde_json::to_value(&entry).ok())
            }
            Err(error) => {
                self.app.telemetry.metrics.edge().journal_error();
                tracing::error!(route, %error, action = action.as_str(), "a move was not kept");
                if !(author.by == By::Person && action == Action::RollBack) {
                    return Err(NotMoved::Journal(error));
                }
                (crate::gate::now().into(), false, None)
            }
        };
        self.app.notifier.tell(told(&new, &standing, entry));
        let since = if to == from { held.since.clone() } else { Some(at.into()) };
        tracing::info!(
            route,
            by = author.by.as_str(),
            who = author.who,
            from = %from,
            to = %to,
            "{}: {reason}",
            action.as_str()
        );
        Ok((Held { standing, since, ..held.clone() }, kept))
    }

    /// A text in force with every route in its stage in force, and some in another one.
    pub(super) fn recompiled(
        &self,
        sources: &Arc<Sources>,
        moved: &dyn Fn(&str) -> Option<Dial>,
    ) -> Result<Snapshot, NotMoved> {
        let dials = |name: &str| moved(name).or_else(|| self.app.live.held(name).map(|held| held.standing.dial));
        let Compiled { snapshot: compiled, diagnostics } = compile_all(sources, &environment, &dials);
        compiled.ok_or_else(|| {
            let entries = report_all(&diagnostics, sources).diagnostics;
            NotMoved::Invalid(entries.into_iter().filter(|entry| entry.severity == "error").collect())
        })
    }

    /// The dials of a new file: where it says something new of a route, it wins; else what moved stays. `left`: where the
    /// journal has the routes that this process does not know yet.
    pub(super) fn settle(&self, generation: u64, written: &Snapshot, altered: &[Arc<str>], left: &LeftRoutes) {
        if self.app.fleet.is_some() {
            return self.settle_in_fleet(written, altered, left);
        }
        let who = format!("{} #{generation}", self.source.name());
        for route in &written.routes {
            let live = self.app.live.route(&route.name);
            let (file, gate) = (route.policy.dial, route.policy.gate.as_deref());
            let version: &str = gate.map_or("", |gate| &gate.version);
            let held = live.held().or_else(|| {
                let (left, since) = left.get(&*route.name)?;
                let standing = if left.file == file { left.under(file, version) } else { left.standing.clone() };
                let held = Held { standing, file: left.file, since: Some((**since).into()), resets: 0 };
                live.hold(held.clone());
                Some(held)
            });
            let Some(held) = held else {
                live.hold(Held::of_file(file));
                continue;
            };
            let changed = held.file != file;
            let action = match changed {
                true if held.standing.dial == file => Action::Agrees,
                true => Action::File,
                false if gate.is_some() && altered.contains(&route.name) => Action::Reset,
                false => continue,
            };
            let to = if changed { file } else { held.standing.dial };
            let author = Author { by: By::File, who: &who, reason: reason_of(action), verdict: None };
            let held = Held { file, ..held };
            let resets = held.resets + u64::from(action == Action::Reset);
            let next = match self.write(&route.name, &author, &held, (action, to), (version, generation)) {
                Ok((next, _)) => next,
                // The file is in force whether or not it could be written down.
                Err(_) => Held { standing: Standing { dial: to, ..held.standing.clone() }, ..held },
            };
            live.hold(Held { resets, ..next });
        }
    }

    /// The file's snapshot, compiled again where a route is in another stage than it says.
    pub(super) fn in_its_stages(&self, written: &Arc<Snapshot>) -> Arc<Snapshot> {
        let elsewhere = |route: &Arc<Route>| {
            self.app.live.route(&route.name).dial(route.policy.dial).stage != route.policy.dial.stage
        };
        if !written.routes.iter().any(elsewhere) {
            return Arc::clone(written);
        }
        match self.recompiled(&written.sources, &|_| None) {
            Ok(compiled) => Arc::new(compiled),
            Err(why) => {
                tracing::error!(
                    "routes go back to the stage in the file, which does not allow the one they were moved to: {why}"
                );
                for route in written.routes.iter().filter(|route| elsewhere(route)) {
                    self.app.live.route(&route.name).hold(Held::of_file(route.policy.dial));
                }
                Arc::clone(written)
            }
        }
    }
}

/// The effect of an act of this kind on the route as it stands.
pub(super) fn leads_to(
    generation: &Generation,
    entry: &RouteInForce,
    standing: &Standing,
    asked: RequestedMove,
) -> Result<(Action, Dial), NotMoved> {
    let gate = entry.policy.gate.as_deref();
    let steps = gate.unwrap_or(&generation.snapshot.gate_defaults);
    let from = standing.dial;
    let (action, to) = match asked {
        RequestedMove::Promote(wish) => {
            (Action::Promote, promoted(from, wish, steps, gate.is_some()).map_err(NotMoved::NoMove)?)
        }
        RequestedMove::RollBack(wish) => {
            (Action::RollBack, rolled_back(from, wish, steps, gate.is_some()).map_err(NotMoved::NoMove)?)
        }
        RequestedMove::Pause { .. } | RequestedMove::Resume { .. } | RequestedMove::Approve if gate.is_none() => {
            return Err(NotMoved::Nothing("the route has no gate: `promote` and `rollback` move it by hand"));
        }
        RequestedMove::Approve | RequestedMove::Resume { from_start: true } if standing.latched => {
            return Err(NotMoved::Nothing("it was rolled back: `promote` begins anew"));
        }
        RequestedMove::Pause { all } if standing.pause == Pause::read(true, all) => {
            return Err(NotMoved::Nothing(if all { ALL_PAUSED } else { "the gate is paused already" }));
        }
        RequestedMove::Pause { all } => (Action::Pause { all }, from),
        RequestedMove::Resume { from_start: false } if !standing.pause.is_on() => {
            return Err(NotMoved::Nothing("the gate is not paused"));
        }
        RequestedMove::Resume { from_start } => {
            (Action::Resume, if from_start { first_step(from, steps) } else { from })
        }
        RequestedMove::Approve => (Action::Approve, from),
        RequestedMove::Reset => (Action::Reset, from),
        RequestedMove::Gate { action, from: judged, .. } if judged != from || standing.holds(action) => {
            return Err(NotMoved::Overtaken { seq: standing.seq, dial: from });
        }
        RequestedMove::Gate { action, to, .. } => (action, to),
    };
    if to.stage == Stage::Retired && to != from && !has_service(entry) {
        return Err(NotMoved::Nothing(NO_SERVICE));
    }
    Ok((action, to))
}

const ALL_PAUSED: &str = "the gate is paused already, its roll-backs, too";

pub(super) const NO_SERVICE: &str = "the route has no `service`: name one in the file";

/// Whether something beside the monolith could answer: a service, or a redirect in its place.
pub(super) fn has_service(entry: &RouteInForce) -> bool {
    entry.policy.service.is_some() || entry.route.as_ref().is_some_and(|route| route.redirect.is_some())
}

/// Where a canary begins again.
fn first_step(from: Dial, steps: &crate::migration::gate::Gate) -> Dial {
    if from.stage == Stage::Canary { Dial { stage: Stage::Canary, weight: steps.weight_of(0) } } else { from }
}

pub(super) const fn reason_of(action: Action) -> &'static str {
    match action {
        Action::Agrees => "the file says what was in force",
        Action::Reset => "the route was changed in the file: the evidence begins anew",
        _ => "the file was changed",
    }
}
