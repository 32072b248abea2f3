//! Moves in a fleet: written where all replicas see them, then in force. A new dial in the file is proposed once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::asked::{RequestedMove, begins_anew, in_the_journal};
use super::followed::ANEW;
use super::told::told;
use super::turn::{Author, Intent, MoveMade, MoveRequest, NotMoved, Replicas, reason_of};
use super::{Reloader, State};
use crate::compile::{Route, Snapshot};
use crate::config::route_text;
use crate::fleet::{
    DialNews, DialRecord, Fate, FileMove, FileSays, Fleet, FleetRole, LAYOUT, NotWrittenToFleet, by_file,
};
use crate::gate::{LeftRoutes, NewEntry};
use crate::live::Held;
use crate::migration::Dial;
use crate::migration::dial::{Action, By, DialTurn, Standing};

/// The longest wait of a move for etcd.
const WRITTEN: Duration = Duration::from_secs(10);
/// A roll-back is in force here already: the caller is answered soon, the other replicas hear when they can be reached.
const ROLL_BACK: Duration = Duration::from_secs(3);
/// The longest wait for the other replicas.
const CONVERGED: Duration = Duration::from_secs(1);
/// Tries of a move of the file behind others' moves.
const TRIES: usize = 3;

/// The new dials of routes in the file.
#[derive(Debug, Default)]
pub(super) struct Proposals {
    routes: Mutex<HashMap<Arc<str>, NewInFile>>,
    /// One proposes at a time.
    proposing: Mutex<()>,
}

#[derive(Debug, Clone, Copy)]
struct NewInFile {
    /// The file's dial before; `None`: not known.
    before: Option<Dial>,
    /// Another key of the route changed.
    altered: bool,
}

impl Reloader {
    /// This replica's name in its fleet.
    pub fn fleet_name(&self) -> Option<&str> {
        self.app.fleet.as_ref().map(|fleet| fleet.name())
    }

    pub(super) fn turn_in_fleet(&self, fleet: &Arc<Fleet>, request: &MoveRequest<'_>) -> Result<MoveMade, NotMoved> {
        let began = Instant::now();
        // The dial in force here must not be older than the record that the move goes behind.
        if let Some(record) = fleet.dial(request.route) {
            self.follow(vec![news(request.route, record)]);
        }
        let (intent, record) = {
            let state = self.state.lock();
            let generation = self.app.in_force.load();
            let intent = self.intend(&generation, request)?;
            let mut record = record(fleet, request.route, &intent.held, &request.author, (intent.action, intent.to));
            record.version = intent.version.to_string();
            record.generation = state.generation;
            if begins_anew(request.asked) {
                record.more.insert(ANEW.to_owned(), true.into());
            }
            let rolls_back = request.author.by == By::Person && intent.action == Action::RollBack;
            if rolls_back {
                self.roll_back_here(fleet, &state, &intent, &record);
            }
            ((intent.held, intent.action, intent.to, rolls_back), record)
        };
        let (held, action, to, rolls_back) = intent;
        let from = held.standing.dial;
        if rolls_back {
            // Where etcd is known to be away, no caller waits for it.
            let limit = if fleet.role() == FleetRole::Cut { Duration::ZERO } else { ROLL_BACK };
            let sent = self.send_roll_back(fleet, request.route, limit);
            let record = fleet.dial(request.route).filter(|_| sent).unwrap_or(record);
            if !sent {
                self.keep_here(request.route, &record, &held, "the fleet has not heard of it yet");
            }
            self.tell_entry(request.route, &record, &held, action);
            let replicas = replicas(fleet, request.route, record.seq, (sent, began));
            let made = self.made(request, (from, to), record.seq, replicas, true);
            return Ok(MoveMade { local: !sent, ..made });
        }
        let term = match (request.asked, fleet.role()) {
            (RequestedMove::Gate { .. }, FleetRole::Leads(term)) => Some(term),
            (RequestedMove::Gate { .. }, _) => return Err(NotMoved::Fleet(NotWrittenToFleet::NotLeader)),
            _ => None,
        };
        if term.is_some() && action == Action::Advance {
            fleet.let_by_region_before(request.route, to, WRITTEN).map_err(NotMoved::Fleet)?;
        }
        match fleet.write(request.route, &record, term, WRITTEN) {
            Ok(()) => self.follow(vec![news(request.route, record.clone())]),
            Err(NotWrittenToFleet::Overtaken(other)) => {
                let (seq, dial) = (other.seq, other.to.dial().unwrap_or(from));
                self.follow(vec![news(request.route, *other)]);
                return Err(NotMoved::Overtaken { seq, dial });
            }
            Err(why) => return Err(NotMoved::Fleet(why)),
        }
        self.tell_entry(request.route, &record, &held, action);
        let replicas = replicas(fleet, request.route, record.seq, (true, began));
        Ok(self.made(request, (from, to), record.seq, replicas, true))
    }

    /// In force on this replica at once: safety first.
    fn roll_back_here(&self, fleet: &Fleet, state: &State, intent: &Intent<'_>, record: &DialRecord) {
        let base = intent.held.standing.seq;
        let standing = Standing {
            dial: intent.to,
            by: By::Person,
            latched: true,
            approved: false,
            ..intent.held.standing.clone()
        };
        fleet.keep_roll_back(intent.entry.name(), record, base);
        intent.entry.state.hold(Held { standing, since: Some(record.at.as_str().into()), ..intent.held.clone() });
        self.put(state, Arc::clone(&intent.snapshot), By::Person.as_str());
    }

    /// Tells the fleet of a roll-back that is in force here, behind whatever others moved meanwhile. Whether it has heard.
    pub(super) fn send_roll_back(&self, fleet: &Fleet, route: &str, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        while let (Some(fate), Some(unsent)) = (fleet.fate(route), fleet.unsent(route)) {
            let there = fleet.dial(route);
            match (fate, there) {
                (Fate::Send, there) => {
                    let record = behind(&unsent.record, there);
                    let left = until.saturating_duration_since(Instant::now());
                    match fleet.write(route, &record, None, left) {
                        Ok(()) | Err(NotWrittenToFleet::Overtaken(_)) if !left.is_zero() => {}
                        _ => return false,
                    }
                }
                (Fate::Written, there) => {
                    fleet.sent(route);
                    self.follow(there.into_iter().map(|record| news(route, record)).collect());
                    return true;
                }
                (Fate::Superseded, there) => {
                    fleet.sent(route);
                    let Some(there) = there else { return true };
                    tracing::warn!(
                        route,
                        seq = there.seq,
                        "the fleet moved on meanwhile: a roll-back that was made here alone is over"
                    );
                    if let Some(held) = self.app.live.held(route) {
                        let why = format!("#{} of the fleet replaced a roll-back that was made here alone", there.seq);
                        let replaced = DialRecord {
                            action: "replaced".to_owned(),
                            from: held.standing.dial.into(),
                            ..there.clone()
                        };
                        self.keep_here(route, &replaced, &held, &why);
                    }
                    self.follow(vec![news(route, there)]);
                    return true;
                }
            }
        }
        true
    }

    /// Into the journal of this disk alone.
    fn keep_here(&self, route: &str, record: &DialRecord, held: &Held, why: &str) {
        let Some(after) = record.standing() else { return };
        let new = entry_of(route, record, held);
        let reason = if record.reason.is_empty() { why.to_owned() } else { format!("{} ({why})", record.reason) };
        let new = NewEntry { reason: &reason, ..new };
        if let Err(error) = self.journal.append_here(&new, &record.action, &after) {
            self.app.telemetry.metrics.edge().journal_error();
            tracing::error!(route, %error, "a move is in force here, and was not kept");
        }
    }

    /// The replica that writes an entry notifies the recipients of `[notify]`.
    fn tell_entry(&self, route: &str, record: &DialRecord, held: &Held, action: Action) {
        let Some(after) = record.standing() else { return };
        let new = NewEntry { action, ..entry_of(route, record, held) };
        self.app.notifier.tell(told(&new, &after, serde_json::to_value(record).ok()));
    }

    /// The dials of a new file, in a fleet: what was in force stays so, and what the file says anew is proposed.
    pub(super) fn settle_in_fleet(&self, written: &Snapshot, altered: &[Arc<str>], left: &LeftRoutes) {
        let mut proposals = self.proposals.routes.lock();
        for route in &written.routes {
            let live = self.app.live.route(&route.name);
            let (file, is_altered) = (route.policy.dial, route.policy.gate.is_some() && altered.contains(&route.name));
            let known = live.held().or_else(|| {
                let (left, since) = left.get(&*route.name)?;
                Some(Held {
                    standing: left.standing.clone(),
                    file: left.file,
                    since: Some((**since).into()),
                    resets: 0,
                })
            });
            let before = known.as_ref().map(|held| held.file);
            if before != Some(file) || is_altered {
                let new = proposals.entry(Arc::clone(&route.name)).or_insert(NewInFile { before, altered: false });
                new.altered |= is_altered;
            }
            live.hold(known.map_or_else(|| Held::of_file(file), |held| Held { file, ..held }));
        }
    }

    /// Proposes what the file says, on a thread that may wait for etcd.
    pub(super) fn propose_soon(&self) {
        let Some(fleet) = &self.app.fleet else { return };
        fleet.call_again();
    }

    /// A new dial in the file is written by the first replica that has it; the others find it done.
    pub(super) fn propose(&self) {
        let Some(fleet) = self.app.fleet.as_ref().filter(|fleet| fleet.is_listed()) else { return };
        let _alone = self.proposals.proposing.lock();
        let (written, generation) = {
            let state = self.state.lock();
            (Arc::clone(&state.written), state.generation)
        };
        for route in &written.routes {
            for _ in 0..TRIES {
                match self.propose_one(fleet, route, &written, generation) {
                    Ok(()) => {
                        self.proposals.routes.lock().remove(&route.name);
                        break;
                    }
                    Err(NotWrittenToFleet::Overtaken(other)) => self.follow(vec![news(&route.name, *other)]),
                    // Proposed again when etcd answers again.
                    Err(error) => {
                        tracing::warn!(route = &*route.name, %error, "what the file says of the route is not in force yet");
                        return;
                    }
                }
            }
        }
    }

    fn propose_one(
        &self,
        fleet: &Fleet,
        route: &Arc<Route>,
        written: &Snapshot,
        generation: u64,
    ) -> Result<(), NotWrittenToFleet> {
        let new = self.proposals.routes.lock().get(&route.name).copied();
        let there = fleet.dial(&route.name);
        let held = self.app.live.route(&route.name).held().unwrap_or_else(|| Held::of_file(route.policy.dial));
        if there.is_some() && new.is_none() {
            return Ok(());
        }
        let subject = subject(written, &route.name);
        let says = FileSays {
            dial: route.policy.dial,
            before: new.map_or(Some(route.policy.dial), |new| new.before),
            subject: &subject,
            subject_changed: new.is_some_and(|new| new.altered),
        };
        let action = match by_file(says, there.as_ref()) {
            FileMove::Nothing => return Ok(()),
            FileMove::Replaced => {
                tracing::warn!(
                    route = &*route.name,
                    file = %says.dial,
                    in_force = %held.standing.dial,
                    "this replica's file says what a newer one replaced: it is not put in force again; `--write` of a move does that"
                );
                return Ok(());
            }
            FileMove::First => {
                let mut record = DialRecord { subject, nonce: Fleet::nonce(), ..first_record(&held) };
                record.generation = generation;
                fleet.write(&route.name, &record, None, WRITTEN)?;
                return Ok(());
            }
            FileMove::Make(action) => action,
        };
        let who = format!("{} #{generation}", self.source.name());
        let author = Author { by: By::File, who: &who, reason: reason_of(action), verdict: None };
        let to = if action == Action::File { says.dial } else { held.standing.dial };
        let mut record = record(fleet, &route.name, &held, &author, (action, to));
        record.put_file(says.dial);
        record.put_subject(&subject);
        record.version = route.policy.gate.as_deref().map_or_else(String::new, |gate| gate.version.to_string());
        record.generation = generation;
        fleet.write(&route.name, &record, None, WRITTEN)?;
        self.follow(vec![news(&route.name, record.clone())]);
        self.tell_entry(&route.name, &record, &held, action);
        Ok(())
    }
}

fn replicas(fleet: &Fleet, route: &str, seq: u64, (sent, began): (bool, Instant)) -> Replicas {
    let limit = if sent { CONVERGED } else { Duration::ZERO };
    let (in_force, of) = fleet.until_in_force(route, seq, limit);
    Replicas { in_force, of, after_seconds: began.elapsed().as_secs_f64() }
}

/// The entry that follows the one in force.
fn record(fleet: &Fleet, route: &str, held: &Held, author: &Author<'_>, (action, to): (Action, Dial)) -> DialRecord {
    let before = fleet.dial(route);
    let mut standing = held.standing.clone();
    let seq = before.as_ref().map_or(standing.seq, |before| before.seq) + 1;
    standing.take(&DialTurn { seq, action, by: author.by, to, file: held.file, version: Box::default() });
    let base = before.unwrap_or_else(|| first_record(held));
    DialRecord {
        v: LAYOUT,
        to: to.into(),
        seq,
        by: author.by.as_str().to_owned(),
        dial_by: standing.by.as_str().to_owned(),
        who: author.who.to_owned(),
        term: if let FleetRole::Leads(term) = fleet.role() { term } else { 0 },
        latched: standing.latched,
        paused: standing.pause.is_on(),
        paused_all: standing.pause.is_all(),
        approved: standing.approved,
        at: crate::gate::now(),
        action: action.as_str().to_owned(),
        from: held.standing.dial.into(),
        reason: in_the_journal(action, author.reason).into_owned(),
        verdict: author.verdict.clone(),
        nonce: Fleet::nonce(),
        more: base.more.into_iter().filter(|(key, _)| key != ANEW).collect(),
        ..base
    }
}

fn news(route: &str, record: DialRecord) -> DialNews {
    DialNews { route: route.into(), record, missed: Vec::new() }
}

/// A roll-back behind what is there: where it leads stays.
fn behind(record: &DialRecord, there: Option<DialRecord>) -> DialRecord {
    let Some(there) = there else { return record.clone() };
    DialRecord {
        seq: there.seq + 1,
        from: there.to,
        paused: there.paused,
        paused_all: there.paused_all,
        file: there.file,
        was: there.was,
        subject: there.subject,
        subjects: there.subjects,
        more: there.more.into_iter().filter(|(key, _)| key != ANEW).collect(),
        ..record.clone()
    }
}

/// The dial in force here, as the first entry of the fleet. The numbers of a proxy that was alone go on.
fn first_record(held: &Held) -> DialRecord {
    let standing = &held.standing;
    DialRecord {
        v: LAYOUT,
        to: standing.dial.into(),
        seq: standing.seq,
        by: standing.by.as_str().to_owned(),
        dial_by: String::new(),
        who: String::new(),
        term: 0,
        file: held.file.into(),
        version: String::new(),
        latched: standing.latched,
        paused: standing.pause.is_on(),
        paused_all: standing.pause.is_all(),
        approved: standing.approved,
        at: held.since.as_deref().map_or_else(crate::gate::now, str::to_owned),
        action: Action::File.as_str().to_owned(),
        from: standing.dial.into(),
        reason: String::new(),
        generation: 0,
        verdict: None,
        was: Vec::new(),
        subject: String::new(),
        subjects: Vec::new(),
        nonce: String::new(),
        more: serde_json::Map::new(),
    }
}

fn entry_of<'a>(route: &'a str, record: &'a DialRecord, held: &Held) -> NewEntry<'a> {
    NewEntry {
        route,
        action: Action::read(&record.action).unwrap_or(Action::RollBack),
        by: By::read(&record.by).unwrap_or(By::Person),
        who: &record.who,
        from: record.from.dial().unwrap_or(held.standing.dial),
        to: record.to.dial().unwrap_or(held.standing.dial),
        file: held.file,
        version: &record.version,
        generation: record.generation,
        reason: &record.reason,
        verdict: record.verdict.clone(),
    }
}

/// A route's text in the file beside its dial, as a hash.
fn subject(written: &Snapshot, route: &str) -> String {
    let text: String =
        written.sources.files().iter().filter_map(|file| route_text(written.sources.text_of(file), route)).collect();
    let kept = text.lines().filter(|line| {
        let key = line.trim_start();
        !key.starts_with('#') && !key.starts_with("stage") && !key.starts_with("weight")
    });
    let kept: Vec<&str> = kept.map(str::trim).collect();
    format!("{:016x}", xxhash_rust::xxh3::xxh3_64(kept.join("\n").as_bytes()))
}
