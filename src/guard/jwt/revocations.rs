//! The tokens that are no longer valid, as keys of etcd name them: watched away from the request path, kept over reloads and while etcd
//! is away.
//!
//! A key below the prefix is a token or the `jti` of one. Of a token only the part that was signed counts: whoever holds it might spell
//! its signature in another way.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use super::token;
use crate::client::FetchError;
use crate::client::etcd::{Etcd, decoded, not_understood, number};
use crate::route::{EtcdApi, Revoked};

/// A watch without news is given up for a list this often: half-open connections carry no bad news.
const QUIET: Duration = Duration::from_secs(15);
/// etcd in trouble is asked again after 0.5 s, 1 s … 15 s.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// What is known of one prefix. `None` until it was listed for the first time.
#[derive(Debug, Default)]
pub struct Revocations(RwLock<Option<HashSet<Box<str>>>>);

impl Revocations {
    /// Whether a token is revoked; `None`: nothing is known yet. `signed`: its part before the last dot.
    #[must_use]
    pub fn contains(&self, signed: &str, id: Option<&str>) -> Option<bool> {
        let known = self.0.read();
        let known = known.as_ref()?;
        Some(known.contains(signed) || id.is_some_and(|id| known.contains(id)))
    }

    /// The prefix holds these names. After a history that was lost, what was known before may have been lost with it: it stays.
    fn listed(&self, names: impl Iterator<Item = Box<str>>, history_lost: bool) {
        let mut listed: HashSet<_> = names.collect();
        let mut known = self.0.write();
        if history_lost {
            listed.extend(known.take().into_iter().flatten());
        }
        *known = Some(listed);
    }

    fn put(&self, name: Box<str>) {
        if let Some(known) = self.0.write().as_mut() {
            known.insert(name);
        }
    }

    fn gone(&self, name: &str) {
        if let Some(known) = self.0.write().as_mut() {
            known.remove(name);
        }
    }
}

/// All lists in use, by what the file says of them.
#[derive(Debug, Default)]
pub struct RevocationLists(Mutex<HashMap<Revoked, Kept>>);

#[derive(Debug)]
struct Kept {
    list: Arc<Revocations>,
    keeper: AbortHandle,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl RevocationLists {
    /// The list of a route; the same one for all routes and reloads that name it alike. Must be called within the runtime that is to
    /// keep it fresh.
    pub fn list(&self, named: &Revoked) -> Arc<Revocations> {
        let mut kept = self.0.lock();
        let entry = kept.entry(named.clone()).or_insert_with(|| {
            let list = Arc::new(Revocations::default());
            let keeper = Handle::current().spawn(follow(Arc::clone(&list), named.clone()));
            Kept { list, keeper: keeper.abort_handle() }
        });
        Arc::clone(&entry.list)
    }

    /// Forgets the lists that no route names any more.
    pub fn retain(&self, keep: impl Fn(&Revoked) -> bool) {
        self.0.lock().retain(|named, _| keep(named));
    }
}

/// Keeps the list true for ever.
async fn follow(list: Arc<Revocations>, named: Revoked) {
    let prefix = &*named.prefix;
    let etcd = match Etcd::new(&named.endpoints) {
        Ok(etcd) => etcd,
        Err(error) => {
            tracing::error!(prefix, %error, "revoked tokens cannot be read: routes that ask for them answer 503");
            return;
        }
    };
    let mut follower = Follower { list, etcd, prefix, cluster: String::new(), revision: 0, away: false };
    let mut pause = FIRST_PAUSE;
    loop {
        let before = follower.revision;
        let heard = match named.api {
            EtcdApi::V3 => follower.list_and_watch().await,
            EtcdApi::V2 => follower.list_and_wait().await,
        };
        let Err(error) = heard else { continue };
        if follower.revision > before {
            pause = FIRST_PAUSE;
        }
        if !std::mem::replace(&mut follower.away, true) {
            tracing::warn!(prefix, %error, "revoked tokens are not heard of: those that are known stay revoked");
        }
        follower.etcd.turn_to_next();
        sleep(pause.mul_f64(0.9 + 0.2 * fastrand::f64())).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

struct Follower<'a> {
    list: Arc<Revocations>,
    etcd: Etcd,
    prefix: &'a str,
    cluster: String,
    /// Everything up to here is known; 0: nothing yet.
    revision: i64,
    /// It was said that etcd does not answer.
    away: bool,
}

impl Follower<'_> {
    /// Until the watch ends, or says nothing for long: then a list tells what is true.
    async fn list_and_watch(&mut self) -> Result<(), FetchError> {
        let listed = self.etcd.list(self.prefix).await?;
        let lost = self.revision > 0 && (listed.revision < self.revision || listed.cluster != self.cluster);
        let names = listed.entries.iter().filter_map(|entry| self.name(&entry.key));
        self.list.listed(names, lost);
        self.revision = listed.revision;
        self.cluster = listed.cluster;
        let mut watch = self.etcd.watch(self.prefix, self.revision + 1).await?;
        if std::mem::take(&mut self.away) {
            tracing::info!(prefix = self.prefix, "revoked tokens are heard of again");
        }
        while let Ok(message) = timeout(QUIET, watch.next()).await {
            let message = message?.ok_or_else(|| FetchError::Broken("the watch ended".to_owned()))?;
            if !self.hear(&message)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The same by the API v2: a list, and one more after each change. A member that lost its data begins its index anew.
    async fn list_and_wait(&mut self) -> Result<(), FetchError> {
        let listed = self.etcd.list_v2(self.prefix).await?;
        let lost = self.revision > 0 && (listed.index < self.revision || listed.cluster != self.cluster);
        let names = listed.keys.iter().filter_map(|key| self.name(key));
        self.list.listed(names, lost);
        self.revision = listed.index;
        self.cluster = listed.cluster;
        if std::mem::take(&mut self.away) {
            tracing::info!(prefix = self.prefix, "revoked tokens are heard of again");
        }
        self.etcd.wait_v2(self.prefix, self.revision, QUIET).await
    }

    /// False: the watch can tell no more.
    fn hear(&mut self, message: &Value) -> Result<bool, FetchError> {
        let result = &message["result"];
        if result.is_null() {
            return Err(not_understood("the watch reported an error"));
        }
        if result["canceled"].as_bool() == Some(true) {
            let compacted = number(&result["compact_revision"]).is_some_and(|revision| revision > 0);
            let why = result["cancel_reason"].as_str().unwrap_or("the watch was cancelled");
            return if compacted { Ok(false) } else { Err(FetchError::Broken(why.to_owned())) };
        }
        for event in result["events"].as_array().map(Vec::as_slice).unwrap_or_default() {
            let entry = &event["kv"];
            let Some(name) = decoded(&entry["key"]).and_then(|key| self.name(&key)) else { continue };
            self.revision = self.revision.max(number(&entry["mod_revision"]).unwrap_or(0));
            if event["type"].as_str() == Some("DELETE") {
                self.list.gone(&name);
            } else {
                self.list.put(name);
            }
        }
        Ok(true)
    }

    fn name(&self, key: &str) -> Option<Box<str>> {
        let name = key.strip_prefix(self.prefix)?;
        Some(token::signed_part(name).unwrap_or(name).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> impl Iterator<Item = Box<str>> {
        list.iter().map(|name| (*name).into()).collect::<Vec<_>>().into_iter()
    }

    #[test]
    fn a_list_says_nothing_before_it_was_read() {
        let list = Revocations::default();
        list.put("a.b".into());
        assert_eq!(list.contains("a.b", None), None);
        list.listed(names(&[]), false);
        assert_eq!(list.contains("a.b", None), Some(false));
    }

    #[test]
    fn a_token_is_named_by_what_was_signed_or_by_its_id() {
        let list = Revocations::default();
        list.listed(names(&["e30.e30", "id-7"]), false);
        assert_eq!(list.contains("e30.e30", None), Some(true));
        assert_eq!(list.contains("other", Some("id-7")), Some(true));
        assert_eq!(list.contains("other", Some("id-8")), Some(false));
        list.gone("id-7");
        assert_eq!(list.contains("other", Some("id-7")), Some(false));
        assert_eq!(token::signed_part("e30.e30.c2ln"), Some("e30.e30"));
        for id in ["id-7", "a.b.c", "e30.e30", "e30.e30.c2ln.x"] {
            assert_eq!(token::signed_part(id), None, "{id}");
        }
    }

    #[test]
    fn what_was_revoked_stays_so_when_etcd_has_lost_its_history() {
        let list = Revocations::default();
        list.listed(names(&["a"]), false);
        list.listed(names(&["b"]), true);
        assert_eq!((list.contains("a", None), list.contains("b", None)), (Some(true), Some(true)));
        list.listed(names(&[]), false);
        assert_eq!(list.contains("a", None), Some(false));
    }
}
