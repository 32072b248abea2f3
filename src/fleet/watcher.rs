//! Hears of dials, the button, gates and members: a list, a watch from there on, and a look now and then whether the watch
//! is still one.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::record::{ButtonRecord, DialRecord, FleetKeys, FormatRecord, LAYOUT, MemberRecord};
use super::rules::goes_back;
use super::{DialNews, Known, Shared, keeper};
use crate::client::FetchError;
use crate::client::etcd::{KeyValue, key_value, number};

/// A watch over a connection that swallows what is sent brings no bad news: what changed is asked for this often.
const LOOK: Duration = Duration::from_secs(2);
const AGAIN: Duration = Duration::from_millis(300);
const MOST_AGAIN: Duration = Duration::from_secs(5);

/// A change of one key, from a list or a watch.
enum Event {
    Put(KeyValue),
    Gone(String),
}

/// Keys that are followed together.
trait Heard: Send {
    /// Below the prefix: from the first up to and without the second.
    const RANGE: (&'static str, &'static str);
    /// A look lists everything again: only a whole list tells that something is missing.
    const WHOLE: bool;
    fn hear(&mut self, shared: &Arc<Shared>, events: Vec<Event>) -> impl Future<Output = ()> + Send;
    /// A whole list was taken over. `lost`: of another history than the one before.
    fn listed(
        &mut self,
        shared: &Arc<Shared>,
        all: Vec<KeyValue>,
        lost: bool,
    ) -> impl Future<Output = Result<(), FetchError>> + Send;
}

pub(super) async fn follow_dials(shared: Arc<Shared>) {
    follow(shared, Dials).await;
}

pub(super) async fn follow_gates(shared: Arc<Shared>) {
    follow(shared, Gates).await;
}

pub(super) async fn follow_members(shared: Arc<Shared>) {
    follow(shared, Members).await;
}

pub(super) async fn follow_sealed(shared: Arc<Shared>) {
    follow(shared, Sealed).await;
}

/// A place in a cluster's history.
#[derive(Default)]
struct Place {
    cluster: String,
    revision: i64,
}

async fn follow<H: Heard>(shared: Arc<Shared>, mut heard: H) {
    let mut place = Place::default();
    let mut pause = AGAIN;
    loop {
        let began = Instant::now();
        let Err(error) = follow_once(&shared, &mut heard, &mut place).await;
        shared.trouble("it cannot be listened to", &error);
        shared.etcd.turn_to_next();
        pause = if began.elapsed() > MOST_AGAIN { AGAIN } else { (pause * 2).min(MOST_AGAIN) };
        sleep(pause).await;
    }
}

async fn follow_once<H: Heard>(
    shared: &Arc<Shared>,
    heard: &mut H,
    place: &mut Place,
) -> Result<std::convert::Infallible, FetchError> {
    let (first, end) = (shared.keys.key(H::RANGE.0), shared.keys.key(H::RANGE.1));
    // The whole list has every missed change.
    let range = shared.etcd.range(&first, &end, 0).await?;
    let lost = place.revision > 0 && (range.cluster != place.cluster || range.revision < place.revision);
    if lost {
        tracing::warn!("etcd of the fleet has lost its history: what this replica knows is put back");
    }
    *place = Place { cluster: range.cluster, revision: range.revision };
    heard.listed(shared, range.entries, lost).await?;
    let mut stream = shared.etcd.watch_range(&first, &end, place.revision + 1).await?;
    let mut look = Instant::now() + LOOK;
    loop {
        tokio::select! {
            message = stream.next() => {
                let message = message?.ok_or_else(|| FetchError::Broken("the watch ended".to_owned()))?;
                let events = events(&message)?;
                for event in &events {
                    if let Event::Put(entry) = event {
                        place.revision = place.revision.max(entry.modified);
                    }
                }
                heard.hear(shared, events).await;
            }
            () = sleep_until(look) => {
                let after = if H::WHOLE { 0 } else { place.revision };
                let range = shared.etcd.range(&first, &end, after).await?;
                if range.cluster != place.cluster || range.revision < place.revision {
                    return Err(FetchError::Broken("the history is another one".to_owned()));
                }
                place.revision = range.revision;
                if H::WHOLE {
                    heard.listed(shared, range.entries, false).await?;
                } else {
                    heard.hear(shared, range.entries.into_iter().map(Event::Put).collect()).await;
                }
                look = Instant::now() + LOOK;
            }
        }
    }
}

fn events(message: &serde_json::Value) -> Result<Vec<Event>, FetchError> {
    let result = &message["result"];
    if result.is_null() || result["canceled"].as_bool() == Some(true) {
        // Compacted, or the token is not valid any more: the list that follows knows what was missed.
        let compacted = number(&result["compact_revision"]).is_some_and(|revision| revision > 0);
        let why = if compacted { "the history was compacted" } else { "the watch was cancelled" };
        return Err(FetchError::Broken(result["cancel_reason"].as_str().unwrap_or(why).to_owned()));
    }
    let list = result["events"].as_array().map(Vec::as_slice).unwrap_or_default();
    let read = |event: &serde_json::Value| {
        let entry = key_value(&event["kv"])?;
        Some(if event["type"].as_str() == Some("DELETE") { Event::Gone(entry.key) } else { Event::Put(entry) })
    };
    Ok(list.iter().filter_map(read).collect())
}

/// `button` and `dial/`.
struct Dials;

impl Heard for Dials {
    const RANGE: (&'static str, &'static str) = ("button", "evidence");
    const WHOLE: bool = false;

    async fn hear(&mut self, shared: &Arc<Shared>, events: Vec<Event>) {
        let (mut news, mut button, mut gone) = (Vec::new(), None, false);
        for event in events {
            match event {
                Event::Put(entry) => match shared.keys.name(&entry.key) {
                    Some("button") => button = button_of(&entry),
                    Some(name) => {
                        news.extend(name.strip_prefix("dial/").and_then(|route| shared.dial(route, &entry, false)));
                    }
                    None => {}
                },
                // A missing key is never read as a deletion.
                Event::Gone(key) => {
                    let route = shared.keys.name(&key).and_then(|name| name.strip_prefix("dial/"));
                    let mut seen = shared.seen.lock();
                    if let Some(known) = route.and_then(|route| seen.dials.get_mut(route)) {
                        known.modified = 0;
                        known.goes_back = true;
                        gone = true;
                    }
                }
            }
        }
        shared.hand_up(news, button).await;
        if gone {
            shared.put_back().await;
        }
    }

    async fn listed(&mut self, shared: &Arc<Shared>, all: Vec<KeyValue>, lost: bool) -> Result<(), FetchError> {
        let there: HashSet<&str> = all.iter().filter_map(|entry| shared.keys.name(&entry.key)).collect();
        for (route, known) in &mut shared.seen.lock().dials {
            // A cluster that was made anew at the same addresses has the same name: what is missing tells.
            if lost || !there.contains(&*format!("dial/{route}")) {
                known.modified = 0;
                known.goes_back = true;
            }
        }
        let mut button = None;
        let mut news = Vec::new();
        for entry in &all {
            match shared.keys.name(&entry.key) {
                Some("button") => button = button_of(entry),
                Some(name) => news.extend(name.strip_prefix("dial/").and_then(|route| shared.dial(route, entry, lost))),
                None => {}
            }
        }
        shared.hand_up(news, button).await;
        shared.put_back().await;
        shared.seen.lock().listed = true;
        shared.changed.notify_all();
        if let Some(follower) = shared.follower() {
            // The follower takes its time, which is not that of the watch.
            shared.control.spawn_blocking(move || follower.connected());
        }
        Ok(())
    }
}

impl Shared {
    /// Keeps a dial as etcd has it; gives it where it is news.
    fn dial(&self, route: &str, entry: &KeyValue, lost: bool) -> Option<DialNews> {
        let Some(record) = DialRecord::read(&entry.value) else {
            self.trouble("a dial cannot be understood", &route);
            return None;
        };
        let mut seen = self.seen.lock();
        if let Some(known) = seen.dials.get_mut(route) {
            if !lost && entry.modified <= known.modified {
                return None;
            }
            if goes_back(&known.record, Some(&record)) {
                known.modified = entry.modified;
                known.goes_back = true;
                return None;
            }
        }
        let known = Known { record: record.clone(), modified: entry.modified, goes_back: false };
        seen.dials.insert(route.into(), known);
        Some(DialNews { route: route.into(), record, missed: Vec::new() })
    }

    /// Gives news to the follower, with the entries that were missed in between.
    async fn hand_up(&self, mut news: Vec<DialNews>, button: Option<(ButtonRecord, i64)>) {
        let Some(follower) = self.follower() else { return };
        for one in &mut news {
            // A replica that joins later keeps the history from there on.
            let last = self.seen.lock().kept.get(&one.route).copied();
            if let Some(last) = last.filter(|last| one.record.seq > last + 1) {
                let (first, end) =
                    (self.keys.journal(&one.route, last + 1), self.keys.journal(&one.route, one.record.seq));
                match self.etcd.range(&first, &end, 0).await {
                    Ok(range) => {
                        one.missed = range.entries.iter().filter_map(|entry| DialRecord::read(&entry.value)).collect();
                    }
                    Err(error) => self.trouble("entries of the journal were missed", &error),
                }
            }
            self.seen.lock().kept.insert(one.route.clone(), one.record.seq);
        }
        if button.is_some() {
            self.seen.lock().button.clone_from(&button);
        }
        if news.is_empty() && button.is_none() {
            return;
        }
        let followed = self.control.spawn_blocking(move || {
            if !news.is_empty() {
                follower.dials(news);
            }
            if let Some((button, _)) = &button {
                follower.button(button);
            }
        });
        if followed.await.is_err() {
            tracing::error!("a move of the fleet was not followed: its thread ended in a panic");
        }
    }
}

/// The button as it was set, and the revision that set it.
fn button_of(entry: &KeyValue) -> Option<(ButtonRecord, i64)> {
    Some((serde_json::from_str(&entry.value).ok()?, entry.modified))
}

/// `format` and `gate/`.
struct Gates;

impl Heard for Gates {
    const RANGE: (&'static str, &'static str) = ("format", "journal");
    const WHOLE: bool = false;

    async fn hear(&mut self, shared: &Arc<Shared>, events: Vec<Event>) {
        for event in events {
            let Event::Put(entry) = event else { continue };
            match shared.keys.name(&entry.key) {
                Some("format") => format(shared, &entry),
                Some(name) => {
                    let judged = serde_json::from_str::<serde_json::Value>(&entry.value);
                    if let (Some(route), Ok(judged)) = (name.strip_prefix("gate/"), judged) {
                        shared.seen.lock().gates.insert(route.into(), Arc::new(judged));
                    }
                }
                None => {}
            }
        }
    }

    async fn listed(&mut self, shared: &Arc<Shared>, all: Vec<KeyValue>, _: bool) -> Result<(), FetchError> {
        let has_format = all.iter().any(|entry| shared.keys.name(&entry.key) == Some("format"));
        self.hear(shared, all.into_iter().map(Event::Put).collect()).await;
        if has_format { Ok(()) } else { keeper::agree_on_format(shared).await }
    }
}

/// A newer layout that asks for a newer reader: its dials are obeyed as far as they are understood, and nothing is written.
fn format(shared: &Arc<Shared>, entry: &KeyValue) {
    let Ok(format) = serde_json::from_str::<FormatRecord>(&entry.value) else { return };
    let too_new = format.min_reader > LAYOUT;
    if std::mem::replace(&mut shared.seen.lock().too_new, too_new) != too_new && too_new {
        keeper::resign(shared);
        tracing::error!(
            needed = format.min_reader,
            own = LAYOUT,
            "the fleet is written by a newer program: its dials are obeyed, this replica moves nothing and leads nobody"
        );
    }
}

/// `leader` and `members/`.
struct Members;

impl Heard for Members {
    const RANGE: (&'static str, &'static str) = ("leader", "n");
    const WHOLE: bool = true;

    async fn hear(&mut self, shared: &Arc<Shared>, events: Vec<Event>) {
        for event in events {
            match event {
                Event::Put(entry) => match shared.keys.name(&entry.key) {
                    Some("leader") => leader(shared, Some((entry.value.as_str().into(), entry.created))),
                    Some(name) => {
                        if let Some(name) = name.strip_prefix("members/") {
                            member(shared, name, &entry.value);
                        }
                    }
                    None => {}
                },
                Event::Gone(key) => match shared.keys.name(&key) {
                    Some("leader") => leader(shared, None),
                    Some(name) => {
                        if let Some(name) = name.strip_prefix("members/") {
                            shared.seen.lock().members.remove(name);
                        }
                    }
                    None => {}
                },
            }
        }
        shared.changed.notify_all();
        shared.show();
    }

    async fn listed(&mut self, shared: &Arc<Shared>, all: Vec<KeyValue>, _: bool) -> Result<(), FetchError> {
        let found = all.iter().find(|entry| shared.keys.name(&entry.key) == Some("leader"));
        leader(shared, found.map(|entry| (entry.value.as_str().into(), entry.created)));
        shared.seen.lock().members.clear();
        for entry in &all {
            if let Some(name) = shared.keys.name(&entry.key).and_then(|name| name.strip_prefix("members/")) {
                member(shared, name, &entry.value);
            }
        }
        shared.changed.notify_all();
        shared.show();
        Ok(())
    }
}

/// `sealed/`.
struct Sealed;

impl Heard for Sealed {
    const RANGE: (&'static str, &'static str) = ("sealed/", "sealed0");
    const WHOLE: bool = false;

    async fn hear(&mut self, shared: &Arc<Shared>, events: Vec<Event>) {
        if events.is_empty() {
            return;
        }
        let mut seen = shared.seen.lock();
        for event in events {
            match event {
                Event::Put(entry) => seen.put_sealed(&shared.keys, entry),
                Event::Gone(key) => {
                    if let Some(name) = shared.keys.sealed_name(&key) {
                        seen.sealed.remove(name);
                    }
                }
            }
        }
        drop(seen);
        shared.sealed_changed.send_replace(());
    }

    async fn listed(&mut self, shared: &Arc<Shared>, all: Vec<KeyValue>, _: bool) -> Result<(), FetchError> {
        {
            let mut seen = shared.seen.lock();
            seen.sealed.clear();
            seen.sealed_at = 0;
            for entry in all {
                seen.put_sealed(&shared.keys, entry);
            }
        }
        shared.sealed_changed.send_replace(());
        Ok(())
    }
}

impl super::Seen {
    fn put_sealed(&mut self, keys: &FleetKeys, entry: KeyValue) {
        if let Some(name) = keys.sealed_name(&entry.key) {
            self.sealed_at = self.sealed_at.max(entry.modified);
            self.sealed.insert(name.into(), entry.value.into());
        }
    }
}

fn leader(shared: &Shared, found: Option<(Box<str>, i64)>) {
    let term = found.as_ref().map(|(_, created)| *created);
    {
        let mut held = shared.held.lock();
        if held.lease.term().is_some() && held.lease.term() != term {
            held.lease.lost();
            tracing::warn!("this replica no longer leads the fleet");
        }
    }
    let is_gone = found.is_none();
    shared.seen.lock().leader = found;
    if is_gone {
        shared.leaderless.notify_one();
    }
}

fn member(shared: &Shared, name: &str, text: &str) {
    let Ok(record) = serde_json::from_str::<MemberRecord>(text) else { return };
    if name == &*shared.name && record.life != *shared.life && shared.is_up() {
        shared.trouble("another replica has this one's name; give each its own in `[fleet] name`", &name);
    }
    shared.seen.lock().members.insert(name.into(), record);
}
