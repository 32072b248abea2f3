//! Writes moves, in transactions that a replica with older knowledge cannot win; keeps what etcd has not heard of yet.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::record::{ButtonRecord, DialRecord};
use super::rules::{Fate, Unsent, fate, goes_back};
use super::{Fleet, Known, Shared};
use crate::client::FetchError;
use crate::client::etcd::{KeyAction, KeyIs};
use crate::store::Store;

/// Entries of a route's journal that etcd keeps.
const JOURNAL_KEPT: u64 = 1_000;

/// Why a move was not written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NotWrittenToFleet {
    /// Another move came first: this dial is in force.
    #[error("the route was moved meanwhile: #{}", .0.seq)]
    Overtaken(Box<DialRecord>),
    /// Another one leads, or this replica did not keep its lease.
    #[error("this replica does not lead the fleet any more")]
    NotLeader,
    /// Its program is too old for the layout.
    #[error("the fleet is written by a newer program: this replica moves nothing")]
    TooOld,
    /// The region before has not left the step behind; in words.
    #[error("{0}")]
    RegionBefore(String),
    /// etcd did not answer. Whether it took the move is not known.
    #[error("the fleet's etcd cannot be reached: {0}")]
    Away(String),
}

/// An act that the fleet has still to hear of, as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Kept {
    RollBack { record: Box<DialRecord>, base: u64, at: String },
    Button(ButtonRecord),
}

/// Of the process before.
pub(super) fn kept(store: &Store) -> HashMap<Box<str>, Kept> {
    let rows = store.unsent().unwrap_or_else(|error| {
        tracing::error!(%error, "what the fleet had still to hear is not known");
        Vec::new()
    });
    rows.into_iter().filter_map(|(route, text)| Some((route, serde_json::from_str(&text).ok()?))).collect()
}

impl Fleet {
    /// Writes a move behind the dial that is known, or as the first. With `term`: as the leader of that term, or not at all.
    /// Waits for etcd at most `limit`.
    pub fn write(
        &self,
        route: &str,
        record: &DialRecord,
        term: Option<i64>,
        limit: Duration,
    ) -> Result<(), NotWrittenToFleet> {
        self.wait(async {
            let written = timeout(limit, self.shared.write(route, record, term)).await;
            written.unwrap_or_else(|_| Err(NotWrittenToFleet::Away("no answer in time".to_owned())))
        })
    }

    /// Keeps a roll-back that is in force here, for the others to hear.
    pub fn keep_roll_back(&self, route: &str, record: &DialRecord, base: u64) {
        let kept = Kept::RollBack { record: Box::new(record.clone()), base, at: Timestamp::now().to_string() };
        self.shared.keep(route, kept);
    }

    /// The roll-back of this route that the fleet has not heard of yet.
    pub fn unsent(&self, route: &str) -> Option<Unsent> {
        self.shared.unsent(route)
    }

    /// Routes with a roll-back that the fleet has not heard of yet.
    pub fn unsent_routes(&self) -> Vec<Box<str>> {
        self.shared.unsent.lock().keys().filter(|route| !route.is_empty()).cloned().collect()
    }

    /// The fleet has heard of it, or need not any more.
    pub fn sent(&self, route: &str) {
        self.shared.unsent.lock().remove(route);
        self.shared.store.keep_unsent(route, None);
    }

    /// Tells the others that the big red button was set here. Does not wait; what they have not heard is told later.
    pub fn press(&self, button: ButtonRecord) {
        self.shared.keep("", Kept::Button(button));
        let shared = Arc::clone(&self.shared);
        self.shared.spawn(async move { shared.press().await });
    }

    /// Tells of the button what was not heard.
    pub fn press_again(&self) {
        self.wait(self.shared.press());
    }

    /// The button was set here, and the others do not know it yet.
    pub fn has_unsent_button(&self) -> bool {
        self.shared.unsent.lock().contains_key("")
    }
}

impl Shared {
    pub(super) async fn write(
        &self,
        route: &str,
        record: &DialRecord,
        term: Option<i64>,
    ) -> Result<(), NotWrittenToFleet> {
        let base = {
            let seen = self.seen.lock();
            if seen.too_new {
                return Err(NotWrittenToFleet::TooOld);
            }
            seen.dials.get(route).map_or(0, |known| known.modified)
        };
        let (dial, leader) = (self.keys.dial(route), self.keys.key("leader"));
        let (journal, text) = (self.keys.journal(route, record.seq), record.text());
        let mut comparisons = vec![KeyIs::Modified(&dial, base)];
        if let Some(term) = term {
            comparisons.extend([KeyIs::Created(&leader, term), KeyIs::Value(&leader, &self.name)]);
        }
        let mut puts = vec![KeyAction::Put { key: &dial, value: &text, lease: None }];
        // Older entries are in the replicas' own databases.
        let (first, kept) =
            (self.keys.journal(route, 0), self.keys.journal(route, record.seq.saturating_sub(JOURNAL_KEPT - 1)));
        if record.seq > JOURNAL_KEPT {
            puts.push(KeyAction::DeleteRange(&first, &kept));
        }
        if record.seq > 0 {
            puts.push(KeyAction::Put { key: &journal, value: &text, lease: None });
        }
        let away = |error: FetchError| NotWrittenToFleet::Away(error.to_string());
        let outcome = self.etcd.transaction(&comparisons, &puts, &[KeyAction::Get(&dial)]).await.map_err(away)?;
        if outcome.succeeded {
            self.known(route, record, outcome.revision);
            return Ok(());
        }
        let Some(there) = outcome.found.into_iter().flatten().next() else {
            return Err(if term.is_some() { NotWrittenToFleet::NotLeader } else { self.vanished(route) });
        };
        let Some(other) = DialRecord::read(&there.value) else { return Err(NotWrittenToFleet::TooOld) };
        if other.nonce == record.nonce {
            // The answer to the first try was lost.
            self.known(route, record, there.modified);
            return Ok(());
        }
        if there.modified == base {
            return Err(NotWrittenToFleet::NotLeader);
        }
        self.known(route, &other, there.modified);
        Err(NotWrittenToFleet::Overtaken(Box::new(other)))
    }

    /// The dial is not there although it was: it goes back first.
    fn vanished(&self, route: &str) -> NotWrittenToFleet {
        if let Some(known) = self.seen.lock().dials.get_mut(route) {
            known.modified = 0;
            known.goes_back = true;
        }
        NotWrittenToFleet::Away("it has lost this dial, which is being put back".to_owned())
    }

    fn known(&self, route: &str, record: &DialRecord, modified: i64) {
        let mut seen = self.seen.lock();
        if seen.dials.get(route).is_none_or(|known| known.modified <= modified) {
            seen.dials.insert(route.into(), Known { record: record.clone(), modified, goes_back: false });
            seen.kept.insert(route.into(), record.seq);
        }
    }

    /// Puts dials back that the cluster has lost: those of the highest number win, whichever replica is first.
    pub(super) async fn put_back(&self) {
        let lost: Vec<Box<str>> = {
            let seen = self.seen.lock();
            seen.dials.iter().filter(|(_, known)| known.goes_back).map(|(route, _)| route.clone()).collect()
        };
        for route in lost.iter().chain(&lost) {
            // A second time for those that found an older one there.
            let known = self.seen.lock().dials.get(route).filter(|known| known.goes_back).cloned();
            let Some(known) = known else { continue };
            match self.write(route, &known.record, None).await {
                Ok(()) => tracing::warn!(route = &**route, seq = known.record.seq, "a lost dial was put back"),
                Err(NotWrittenToFleet::Overtaken(other)) if !goes_back(&known.record, Some(&other)) => {}
                Err(NotWrittenToFleet::Overtaken(_)) => {
                    if let Some(there) = self.seen.lock().dials.get_mut(route) {
                        there.record = known.record;
                        there.goes_back = true;
                    }
                }
                Err(error) => self.trouble("a lost dial is not put back", &error),
            }
        }
    }

    fn keep(&self, route: &str, kept: Kept) {
        let text = serde_json::to_string(&kept).expect("a record serialises");
        self.unsent.lock().insert(route.into(), kept);
        self.store.keep_unsent(route, Some(&text));
    }

    fn unsent(&self, route: &str) -> Option<Unsent> {
        match self.unsent.lock().get(route)? {
            Kept::RollBack { record, base, at } => {
                // A clock that was set back makes it young: then it is written, which is the safe way.
                let made = at.parse::<Timestamp>().unwrap_or(Timestamp::UNIX_EPOCH);
                let age = Timestamp::now().duration_since(made).try_into().unwrap_or(Duration::ZERO);
                Some(Unsent { record: (**record).clone(), base: *base, age })
            }
            Kept::Button(_) => None,
        }
    }

    /// Sets the button for all, once: a second try must not undo a change made after the first.
    async fn press(&self) {
        let Some(Kept::Button(button)) = self.unsent.lock().get("").cloned() else { return };
        let text = serde_json::to_string(&button).expect("a record serialises");
        let (key, once) = (self.keys.key("button"), self.keys.key(&format!("pressed/{}", button.nonce)));
        let put = |key, value| KeyAction::Put { key, value, lease: None };
        let puts = [put(&*key, &*text), put(&*once, "")];
        let outcome = match self.etcd.transaction(&[KeyIs::Created(&once, 0)], &puts, &[KeyAction::Get(&key)]).await {
            Ok(outcome) => outcome,
            Err(error) => return self.trouble("the others do not know of the big red button yet", &error),
        };
        {
            let mut unsent = self.unsent.lock();
            if matches!(unsent.get(""), Some(Kept::Button(now)) if now.nonce == button.nonce) {
                unsent.remove("");
                self.store.keep_unsent("", None);
            }
        }
        // Changes by others were not listened to while ours was on its way.
        let newer = if outcome.succeeded {
            let seen = self.seen.lock().button.clone();
            seen.filter(|(_, revision)| *revision > outcome.revision).map(|(button, _)| button)
        } else {
            let there = outcome.found.into_iter().flatten().next();
            there.and_then(|there| serde_json::from_str::<ButtonRecord>(&there.value).ok())
        };
        if let (Some(newer), Some(follower)) = (newer.filter(|newer| newer.nonce != button.nonce), self.follower()) {
            drop(self.control.spawn_blocking(move || follower.button(&newer)).await);
        }
    }
}

impl Fleet {
    /// The fate of a roll-back that was made here, after the dial that is known now.
    pub fn fate(&self, route: &str) -> Option<Fate> {
        let unsent = self.unsent(route)?;
        let seen = self.shared.seen.lock();
        Some(fate(&unsent, seen.dials.get(route).map(|known| &known.record)))
    }

    /// A new mark for what is written once.
    pub fn nonce() -> String {
        format!("{:032x}", fastrand::u128(..))
    }
}
