//! Puts the fleet's decisions in force here: dials, and the big red button.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use super::{Reloader, State};
use crate::compile::Route;
use crate::fleet::{ButtonRecord, DialNews, DialRecord, Fate, Follower};
use crate::gate::NewEntry;
use crate::live::{Held, keep_pressed};
use crate::migration::dial::{Action, By};

/// Said in a record that begins the evidence anew although nothing moves.
pub(super) const ANEW: &str = "anew";

impl Follower for Reloader {
    fn dials(&self, news: Vec<DialNews>) {
        self.follow(news);
    }

    fn button(&self, record: &ButtonRecord) {
        let Some(fleet) = &self.app.fleet else { return };
        // A press of the button here is about to be told to the others.
        let generation = self.app.in_force.load();
        let is_on = self.app.live.monolith_only(generation.snapshot.server.monolith_only);
        if fleet.has_unsent_button() || is_on == record.on {
            return;
        }
        self.app.live.set_monolith_only(record.on);
        self.app.telemetry.metrics.edge().monolith_only(record.on);
        tracing::warn!(
            on = record.on,
            by = record.who,
            reason = record.reason,
            "the big red button was set, for the whole fleet"
        );
        if let Err(error) = keep_pressed(&generation.snapshot.server.state_dir, record.on) {
            tracing::error!(%error, "the big red button is in force, but a restart without etcd will not know of it");
        }
        if let Err(error) = self.journal.append_button(record.on, &record.who, &record.reason, generation.number) {
            self.app.telemetry.metrics.edge().journal_error();
            tracing::error!(%error, "the big red button is in force, but the journal does not have it");
        }
    }

    fn connected(&self) {
        let Some(fleet) = &self.app.fleet else { return };
        if fleet.has_unsent_button() {
            fleet.press_again();
        } else if fleet.button().is_none() && self.app.live.monolith_only(false) {
            // Pressed before there was a fleet.
            fleet.press(ButtonRecord {
                on: true,
                who: format!("multilith@{}", fleet.name()),
                reason: "pressed before this replica joined".to_owned(),
                at: crate::gate::now(),
                nonce: crate::fleet::Fleet::nonce(),
            });
        }
        for route in fleet.unsent_routes() {
            self.send_roll_back(fleet, &route, Duration::from_secs(10));
        }
        self.propose();
        let state = self.state.lock();
        self.say(&state);
    }
}

impl Reloader {
    /// Puts dials in force as the fleet has them.
    pub(super) fn follow(&self, news: Vec<DialNews>) {
        let state = self.state.lock();
        let mut by = None;
        for one in news {
            let found = state.written.routes.binary_search_by(|route| (*route.name).cmp(&*one.route));
            // A route that this replica's file does not have: the dial waits for it in etcd.
            let Ok(found) = found else { continue };
            let route = Arc::clone(&state.written.routes[found]);
            if self.follow_one(&route, &one) {
                by = Some(By::read(&one.record.by).unwrap_or(By::File).as_str());
            }
        }
        if let Some(by) = by {
            let snapshot = self.in_its_stages(&state.written);
            self.put(&state, snapshot, by);
        }
        self.say(&state);
    }

    /// Whether the dial moved by it.
    fn follow_one(&self, route: &Arc<Route>, news: &DialNews) -> bool {
        let DialNews { record, missed, .. } = news;
        let live = self.app.live.route(&route.name);
        let held = live.held().unwrap_or_else(|| Held::of_file(route.policy.dial));
        let Some(standing) = record.standing() else { return false };
        // A roll-back here stays until the others have heard of it.
        if self.app.fleet.as_ref().and_then(|fleet| fleet.fate(&route.name)) == Some(Fate::Send) {
            return false;
        }
        if standing.seq < held.standing.seq || standing == held.standing {
            return false;
        }
        for one in missed {
            self.keep_followed(route, one, &held);
        }
        if standing.seq > held.standing.seq {
            self.keep_followed(route, record, &held);
        }
        let from = held.standing.dial;
        let moved = standing.dial != from;
        let since = if moved { Some(record.at.as_str().into()) } else { held.since.clone() };
        let anew = record.action == Action::Reset.as_str() || record.more.contains_key(ANEW);
        tracing::info!(
            route = &*route.name,
            seq = record.seq,
            by = record.by,
            who = record.who,
            from = %from,
            to = %standing.dial,
            "{}: {}",
            record.action,
            record.reason
        );
        live.hold(Held { standing, since, resets: held.resets + u64::from(anew), file: held.file });
        moved
    }

    /// Into the journal of this disk, under the fleet's number.
    fn keep_followed(&self, route: &Arc<Route>, record: &DialRecord, held: &Held) {
        let (Some(after), Some(from)) = (record.standing(), record.from.dial()) else { return };
        let new = NewEntry {
            route: &route.name,
            action: Action::read(&record.action).unwrap_or(Action::File),
            by: By::read(&record.by).unwrap_or(By::File),
            who: &record.who,
            from,
            to: after.dial,
            file: held.file,
            version: &record.version,
            generation: record.generation,
            reason: &record.reason,
            verdict: record.verdict.clone(),
        };
        if let Err(error) = self.journal.append_of_fleet(&new, &after, &record.at) {
            self.app.telemetry.metrics.edge().journal_error();
            tracing::error!(route = &*route.name, %error, "a move of the fleet is in force, and was not kept here");
        }
    }

    /// Tells the others what is in force here.
    pub(super) fn say(&self, state: &State) {
        let Some(fleet) = &self.app.fleet else { return };
        let generation = self.app.in_force.load();
        let mut seq = std::collections::BTreeMap::new();
        for entry in &generation.routes {
            let number = entry.state.held().map_or(0, |held| held.standing.seq);
            entry.meters.dial_seq(number);
            seq.insert(entry.name().to_owned(), number);
        }
        fleet.say(state.generation, dials_hash(&state.written.routes), seq);
    }
}

/// Of the stages and weights in a file.
fn dials_hash(routes: &[Arc<Route>]) -> String {
    let mut text = String::new();
    for route in routes {
        let dial = route.policy.dial;
        writeln!(text, "{}\0{}\0{}", route.name, dial.stage, dial.weight).expect("writing to a string");
    }
    format!("{:016x}", xxhash_rust::xxh3::xxh3_64(text.as_bytes()))
}
