//! The tokens that are no longer valid, as keys of etcd name them: watched away from the request path, kept over reloads and while etcd
//! is away.
//!
//! A key below the prefix is a token or the `jti` of one. Of a token only the part that was signed counts: a holder might spell
//! its signature in another way. Of an id, the spelling counts under which its API of etcd keeps the key.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use super::token;
use crate::client::etcd::{EtcdClient, decoded, not_understood, number};
use crate::client::{FetchError, task};
use crate::route::{EtcdApi, Revoked, etcd_v2_path};

/// A watch without news is given up for a list this often: half-open connections carry no bad news.
const QUIET: Duration = Duration::from_secs(15);
/// etcd in trouble is asked again after 0.5 s, 1 s … 15 s.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// The known revocations below one prefix.
#[derive(Debug)]
pub struct Revocations {
    api: EtcdApi,
    /// `None` until the prefix was listed for the first time.
    known: RwLock<Option<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    /// With the revision that wrote each.
    listed: HashMap<Box<str>, i64>,
    /// Listed before etcd lost its history: etcd can say no more that one of these is not revoked, so they stay.
    before: HashSet<Box<str>>,
}

impl Revocations {
    const fn new(api: EtcdApi) -> Self {
        Self { api, known: RwLock::new(None) }
    }

    /// Whether a token is revoked; `None`: nothing is known yet. `signed`: its part before the last dot.
    #[must_use]
    pub fn contains(&self, signed: &str, id: Option<&str>) -> Option<bool> {
        let known = self.known.read();
        let known = known.as_ref()?;
        let holds = |name: &str| known.listed.contains_key(name) || known.before.contains(name);
        Some(holds(signed) || id.is_some_and(|id| holds(&name_of(id, self.api))))
    }

    /// The prefix holds these names.
    fn listed(&self, names: HashMap<Box<str>, i64>, history_lost: bool) {
        let mut known = self.known.write();
        let known = known.get_or_insert_default();
        let last = std::mem::replace(&mut known.listed, names);
        if history_lost {
            known.before.extend(last.into_keys());
        }
    }

    /// Whether these names, listed at `revision`, can have come out of those that were known at `last`: what is new was written later,
    /// and nothing goes without a revision of its own. A cluster that was made anew may have the old one's id.
    fn continues(&self, names: &HashMap<Box<str>, i64>, last: i64, revision: i64) -> bool {
        let known = self.known.read();
        let Some(known) = known.as_ref() else { return true };
        let is_known = |name: &str, written: i64| known.listed.get(name) == Some(&written);
        names.iter().all(|(name, written)| *written > last || is_known(name, *written))
            && (revision > last || names.len() == known.listed.len())
    }

    fn put(&self, name: Box<str>, revision: i64) {
        if let Some(known) = self.known.write().as_mut() {
            known.listed.insert(name, revision);
        }
    }

    fn gone(&self, name: &str) {
        if let Some(known) = self.known.write().as_mut() {
            known.listed.remove(name);
            known.before.remove(name);
        }
    }
}

/// A key below the prefix, or an id, as one name. A prefix may lack its last slash.
fn name_of(written: &str, api: EtcdApi) -> Cow<'_, str> {
    let name = written.trim_start_matches('/');
    match api {
        EtcdApi::V3 => Cow::Borrowed(name),
        EtcdApi::V2 => etcd_v2_path(name),
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
            let list = Arc::new(Revocations::new(named.api));
            let keeper = Handle::current().spawn(task::boxed(follow(Arc::clone(&list), named.clone())));
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
    let etcd = match EtcdClient::new(&named.endpoints) {
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
    etcd: EtcdClient,
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
        let entries = listed.entries.iter().map(|entry| (&*entry.key, entry.modified));
        self.take(entries, listed.revision, listed.cluster);
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

    /// The same by the API v2: a list, and one more after each change.
    async fn list_and_wait(&mut self) -> Result<(), FetchError> {
        let listed = self.etcd.list_v2(self.prefix).await?;
        let entries = listed.keys.iter().map(|(key, modified)| (&**key, *modified));
        self.take(entries, listed.index, listed.cluster);
        if std::mem::take(&mut self.away) {
            tracing::info!(prefix = self.prefix, "revoked tokens are heard of again");
        }
        self.etcd.wait_v2(self.prefix, self.revision, QUIET).await
    }

    /// Takes what was listed. A cluster that lost its data numbers its changes anew.
    fn take<'k>(&mut self, entries: impl Iterator<Item = (&'k str, i64)>, revision: i64, cluster: String) {
        let mut names = HashMap::new();
        for (key, written) in entries {
            if let Some(name) = self.name(key) {
                let latest = names.entry(name).or_insert(written);
                *latest = (*latest).max(written);
            }
        }
        let goes_on = revision >= self.revision
            && cluster == self.cluster
            && self.list.continues(&names, self.revision, revision);
        let lost = self.revision > 0 && !goes_on;
        if lost {
            tracing::warn!(
                prefix = self.prefix,
                "etcd has lost its history: the tokens that were revoked before stay so"
            );
        }
        self.list.listed(names, lost);
        self.revision = revision;
        self.cluster = cluster;
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
            let revision = number(&entry["mod_revision"]).unwrap_or(self.revision);
            self.revision = self.revision.max(revision);
            if event["type"].as_str() == Some("DELETE") {
                self.list.gone(&name);
            } else {
                self.list.put(name, revision);
            }
        }
        Ok(true)
    }

    fn name(&self, key: &str) -> Option<Box<str>> {
        let name = name_of(key.strip_prefix(self.prefix)?, self.list.api);
        let name = token::signed_part(&name).unwrap_or(&name);
        // The key that is the prefix itself names nothing.
        (!name.is_empty()).then(|| name.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> HashMap<Box<str>, i64> {
        list.iter().zip(1..).map(|(name, revision)| ((*name).into(), revision)).collect()
    }

    fn v3() -> Revocations {
        Revocations::new(EtcdApi::V3)
    }

    #[test]
    fn a_list_says_nothing_before_it_was_read() {
        let list = v3();
        list.put("a.b".into(), 1);
        assert_eq!(list.contains("a.b", None), None);
        list.listed(names(&[]), false);
        assert_eq!(list.contains("a.b", None), Some(false));
    }

    #[test]
    fn a_token_is_named_by_what_was_signed_or_by_its_id() {
        let list = v3();
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
        let list = v3();
        list.listed(names(&["a"]), false);
        list.listed(names(&["b"]), true);
        assert_eq!((list.contains("a", None), list.contains("b", None)), (Some(true), Some(true)));
        // The new history goes on without what it never knew.
        list.listed(names(&["c"]), false);
        let revoked = ["a", "b", "c"].map(|name| list.contains(name, None));
        assert_eq!(revoked, [Some(true), Some(false), Some(true)]);
        list.put("a".into(), 9);
        list.gone("a");
        assert_eq!(list.contains("a", None), Some(false), "the new history says so");
    }

    #[test]
    fn a_history_that_began_anew_is_seen_by_its_revisions() {
        let list = v3();
        list.listed(names(&["a", "b"]), false);
        let at = |listed: &[(&str, i64)], revision| {
            let listed = listed.iter().map(|(name, written)| ((*name).into(), *written)).collect();
            list.continues(&listed, 5, revision)
        };
        assert!(at(&[("a", 1), ("b", 2)], 5), "nothing happened");
        assert!(at(&[("a", 1)], 6), "a name went");
        assert!(at(&[("a", 6), ("b", 2), ("c", 7)], 7), "one was written again, one is new");
        assert!(!at(&[("a", 1)], 5), "a name went without a revision");
        assert!(!at(&[("a", 1), ("b", 2), ("c", 4)], 6), "what is new should have been known");
        assert!(!at(&[("a", 2), ("b", 2)], 6), "it was written before, and otherwise");
    }

    #[test]
    fn a_key_and_an_id_are_one_name_in_the_spelling_of_the_api() {
        for (api, key, id, same) in [
            (EtcdApi::V3, "a/b", "a/b", true),
            (EtcdApi::V3, "/a", "a", true),
            (EtcdApi::V3, "a", "/a", true),
            (EtcdApi::V3, "a/b", "a//b", false),
            (EtcdApi::V2, "a/b", "a//b", true),
            (EtcdApi::V2, "a/b", "a/./c/../b/", true),
            (EtcdApi::V2, "a", "../a", true),
            (EtcdApi::V2, "a.b", "a.b", true),
            (EtcdApi::V2, "a", "b", false),
        ] {
            assert_eq!(name_of(key, api) == name_of(id, api), same, "{key} {id}");
        }
    }
}
