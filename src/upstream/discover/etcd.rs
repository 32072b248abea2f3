//! Endpoints from etcd v3 by its JSON gateway: a list, then a watch from there on.
//!
//! A watch that broke is taken up again from the revision after the last one seen, so that deletions in between are heard
//! as such. Before that a list is asked for: it tells whether the history is still the same one.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use super::sink::{Carried, Sink};
use super::{Patience, SECOND_LOOK};
use crate::client::FetchError;
use crate::client::etcd::{EtcdClient, KeyValue, decoded, not_understood, number};
use crate::endpoint::{Listing, Look, read_value};

/// A watch without news is checked by a list this often: half-open connections carry no bad news.
const QUIET: Duration = Duration::from_secs(15);

/// How a watch ended.
enum End {
    Gone,
    /// The revision to begin with was compacted, or is of another history: a new list is needed.
    Compacted,
    Trouble(FetchError),
}

pub(super) async fn follow(sink: Sink, endpoints: &[Box<str>], prefix: &str) {
    let etcd = match EtcdClient::new(endpoints) {
        Ok(etcd) => etcd,
        Err(error) => {
            let _ = sink.trouble(&error);
            return;
        }
    };
    let mut follower = Follower { sink, etcd, prefix: prefix.to_owned(), cluster: String::new(), revision: 0 };
    let mut patience = Patience::new();
    loop {
        match follower.list_and_watch(&mut patience).await {
            End::Gone => return,
            End::Compacted => {}
            End::Trouble(error) => {
                if follower.sink.trouble(&format!("etcd: {error}")).is_break() {
                    return;
                }
                follower.etcd.turn_to_next();
                patience.pause().await;
            }
        }
    }
}

struct Follower {
    sink: Sink,
    etcd: EtcdClient,
    prefix: String,
    cluster: String,
    /// Everything up to here is known; 0: nothing yet.
    revision: i64,
}

impl Follower {
    async fn list_and_watch(&mut self, patience: &mut Patience) -> End {
        let mut listed = match self.list().await {
            Ok(listed) => listed,
            Err(end) => return end,
        };
        let mut stream = match self.etcd.watch(&self.prefix, listed.watch_from).await {
            Ok(stream) => stream,
            Err(error) => return End::Trouble(error),
        };
        patience.reset();
        let mut look = Instant::now() + if self.sink.in_doubt() { SECOND_LOOK } else { QUIET };
        loop {
            tokio::select! {
                message = stream.next() => {
                    let carried = match message {
                        Ok(Some(message)) => self.hear(&message, &listed),
                        Ok(None) => return End::Trouble(FetchError::Broken("the watch ended".to_owned())),
                        Err(error) => return End::Trouble(error),
                    };
                    if let Err(end) = carried {
                        return end;
                    }
                }
                () = sleep_until(look) => {
                    match self.list().await {
                        // The watch goes on in a history that is no more.
                        Ok(again) if again.history_lost => return End::Compacted,
                        Ok(again) => listed = again,
                        Err(end) => return end,
                    }
                    look = Instant::now() + if self.sink.in_doubt() { SECOND_LOOK } else { QUIET };
                }
            }
        }
    }

    /// Takes the list over.
    async fn list(&mut self) -> Result<AtRevision, End> {
        let listed = self.etcd.list(&self.prefix).await.map_err(End::Trouble)?;
        let known = self.revision > 0;
        let lost = known && (listed.revision < self.revision || listed.cluster != self.cluster);
        let at = AtRevision {
            revision: listed.revision,
            watch_from: if known && !lost { self.revision + 1 } else { listed.revision + 1 },
            keys: listed.entries.iter().map(|entry| entry.key.clone()).collect(),
            history_lost: lost,
        };
        let mut readable = Vec::new();
        for KeyValue { key, value, .. } in listed.entries {
            match read_value(&value) {
                Ok((address, weight)) => readable.push(Listing { key: key.into(), address, weight }),
                // It is there nevertheless: it must not be missing from the list.
                Err(why) => match self.sink.unreadable(&key, &why) {
                    ControlFlow::Continue(known) => readable.extend(known),
                    ControlFlow::Break(()) => return Err(End::Gone),
                },
            }
        }
        carried(self.sink.listed(readable, if lost { Look::HistoryLost } else { Look::Afresh }))?;
        if !known || lost {
            self.revision = listed.revision;
            self.cluster = listed.cluster;
        }
        Ok(at)
    }

    fn hear(&mut self, message: &Value, listed: &AtRevision) -> Result<(), End> {
        let result = &message["result"];
        if result["canceled"].as_bool() == Some(true) {
            if number(&result["compact_revision"]).is_some_and(|revision| revision > 0) {
                // The watch begins anew after the list.
                self.revision = 0;
                return Err(End::Compacted);
            }
            let why = result["cancel_reason"].as_str().unwrap_or("the watch was cancelled").to_owned();
            return Err(End::Trouble(FetchError::Broken(why)));
        }
        if result.is_null() {
            return Err(End::Trouble(not_understood("the watch reported an error")));
        }
        for event in result["events"].as_array().map(Vec::as_slice).unwrap_or_default() {
            let entry = &event["kv"];
            let (Some(key), Some(revision)) = (decoded(&entry["key"]), number(&entry["mod_revision"])) else {
                continue;
            };
            self.revision = self.revision.max(revision);
            let deleted = event["type"].as_str() == Some("DELETE");
            // The list knew better already: this is history.
            if revision <= listed.revision && (!deleted || listed.keys.contains(&key)) {
                continue;
            }
            if deleted {
                carried(self.sink.gone(&key))?;
                continue;
            }
            match read_value(&decoded(&entry["value"]).unwrap_or_default()) {
                Ok((address, weight)) => carried(self.sink.put(Listing { key: key.into(), address, weight }))?,
                Err(why) => {
                    if self.sink.unreadable(&key, &why).is_break() {
                        return Err(End::Gone);
                    }
                }
            }
        }
        Ok(())
    }
}

/// The content of a list.
struct AtRevision {
    revision: i64,
    watch_from: i64,
    history_lost: bool,
    keys: HashSet<String>,
}

fn carried(carried: Carried) -> Result<(), End> {
    if carried.is_break() { Err(End::Gone) } else { Ok(()) }
}
