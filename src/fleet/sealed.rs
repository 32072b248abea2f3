//! Values that only the replicas can read, below `sealed/`: written by the replica whose turn it is, followed by all.

use std::sync::Arc;
use std::time::Duration;

use ring::aead::NONCE_LEN;
use ring::rand::{SecureRandom as _, SystemRandom};

use super::{Fleet, Shared};
use crate::client::FetchError;
use crate::client::etcd::{KeyAction, KeyIs};

/// Why something was not shared.
#[derive(Debug, thiserror::Error)]
pub enum NotShared {
    #[error("the fleet's etcd cannot be reached: {0}")]
    Away(#[from] FetchError),
    #[error("what another replica sealed cannot be opened: every replica needs the same `secret` in `[fleet]`")]
    Foreign,
    #[error("`[fleet]` has no `secret`")]
    NoSecret,
    #[error("this replica is not listed in its fleet yet")]
    NotListed,
    #[error("another replica has the turn by now")]
    TurnOver,
    #[error("the fleet is written by a newer program: this replica writes nothing")]
    TooOld,
}

/// The right to do something that one replica does at a time, until it is dropped, or until the replica's lease ends.
pub struct FleetTurn {
    shared: Arc<Shared>,
    key: String,
    /// The revision that gave it.
    since: i64,
}

/// A value that the others have as long as this lives, and the replica that wrote it.
pub struct SharedWhile {
    shared: Arc<Shared>,
    key: String,
    /// The revision that wrote it.
    pub revision: i64,
}

/// One value below `sealed/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Below `sealed/`.
    pub name: String,
    pub value: Vec<u8>,
}

impl Fleet {
    /// There is a secret to seal with.
    pub fn is_sealing(&self) -> bool {
        self.shared.seal.is_some()
    }

    /// Takes a turn; `None`: another replica has it. A turn that this process still holds ends by it.
    pub async fn turn(&self, name: &str) -> Result<Option<FleetTurn>, NotShared> {
        let shared = &self.shared;
        if shared.seen.lock().too_new {
            return Err(NotShared::TooOld);
        }
        let lease = shared.held.lock().id.clone().ok_or(NotShared::NotListed)?;
        let key = shared.keys.key(&format!("turns/{name}"));
        let put = [KeyAction::Put { key: &key, value: &shared.name, lease: Some(&lease.id) }];
        let outcome = shared.etcd.transaction(&[KeyIs::Created(&key, 0)], &put, &[KeyAction::Get(&key)]).await?;
        let since = if outcome.succeeded {
            outcome.revision
        } else {
            // One whose answer was lost, or that is over and not removed yet, hangs on this replica's own lease.
            let there = outcome.found.into_iter().flatten().next();
            let Some(own) = there.filter(|there| there.lease.as_deref() == Some(&*lease.id)) else { return Ok(None) };
            let again = shared.etcd.transaction(&[KeyIs::Modified(&key, own.modified)], &put, &[]).await?;
            if !again.succeeded {
                return Ok(None);
            }
            again.revision
        };
        Ok(Some(FleetTurn { shared: Arc::clone(shared), key, since }))
    }

    /// The value that etcd has now.
    pub async fn sealed(&self, name: &str) -> Result<Option<Vec<u8>>, NotShared> {
        let Some(entry) = self.shared.etcd.get(&self.shared.keys.sealed(name)).await? else { return Ok(None) };
        self.shared.seal()?.open(name, &entry.value).map(Some).ok_or(NotShared::Foreign)
    }

    /// Everything below `sealed/` that can be opened, as it was seen last, and the revision at which it stood so; 0: not known
    /// whole.
    pub fn all_sealed(&self) -> (i64, Vec<Opened>) {
        let Ok(seal) = self.shared.seal() else { return (0, Vec::new()) };
        let seen = self.shared.seen.lock();
        let open = |name: &str, text: &str| Some(Opened { name: name.to_owned(), value: seal.open(name, text)? });
        let opened: Vec<Opened> = seen.sealed.iter().filter_map(|(name, text)| open(name, text)).collect();
        let (is_whole, revision) = (opened.len() == seen.sealed.len(), seen.sealed_at);
        drop(seen);
        if !is_whole {
            self.say_not_shared("what the replicas share is not known whole", &NotShared::Foreign);
        }
        (if is_whole { revision } else { 0 }, opened)
    }

    /// Wakes whenever something below `sealed/` changes.
    pub fn sealed_changes(&self) -> tokio::sync::watch::Receiver<()> {
        self.shared.sealed_changed.subscribe()
    }

    /// Tells the others that everything below `sealed/` up to this revision is in force here.
    pub fn say_sealed(&self, revision: i64) {
        let mut own = self.shared.own.lock();
        if own.sealed != revision {
            own.sealed = revision;
            drop(own);
            self.shared.publish.notify_one();
        }
    }

    /// Waits until what this revision wrote is in force everywhere, at most `limit`: how many have it, of how many.
    pub fn until_sealed(&self, revision: i64, limit: Duration) -> (usize, usize) {
        self.shared.until_members(|record| record.sealed >= revision, limit)
    }

    /// Said once, not at each try; anew after something was shared.
    pub fn say_not_shared(&self, what: &str, error: &NotShared) {
        let said = format!("{what}: {error}");
        let mut last = self.shared.unshared.lock();
        if last.as_ref() != Some(&said) {
            tracing::warn!("{said}");
            *last = Some(said);
        }
    }
}

impl FleetTurn {
    /// Writes a value, as long as the turn lasts.
    pub async fn put(&self, name: &str, value: &[u8]) -> Result<(), NotShared> {
        self.write(name, value, None).await.map(drop)
    }

    /// Writes a value that goes with this replica at the latest.
    pub async fn put_while(&self, name: &str, value: &[u8]) -> Result<SharedWhile, NotShared> {
        let lease = self.shared.held.lock().id.clone().ok_or(NotShared::NotListed)?;
        let revision = self.write(name, value, Some(&lease.id)).await?;
        let key = self.shared.keys.sealed(name);
        Ok(SharedWhile { shared: Arc::clone(&self.shared), key, revision })
    }

    pub async fn remove(&self, name: &str) -> Result<(), NotShared> {
        let key = self.shared.keys.sealed(name);
        self.act(KeyAction::Delete(&key)).await.map(drop)
    }

    async fn write(&self, name: &str, value: &[u8], lease: Option<&str>) -> Result<i64, NotShared> {
        let key = self.shared.keys.sealed(name);
        let sealed = self.shared.seal()?.close(name, value, nonce());
        self.act(KeyAction::Put { key: &key, value: &sealed, lease }).await
    }

    /// Another replica that has the turn by now is not written over.
    async fn act(&self, action: KeyAction<'_>) -> Result<i64, NotShared> {
        let is_ours = [KeyIs::Modified(&self.key, self.since)];
        let outcome = self.shared.etcd.transaction(&is_ours, &[action], &[]).await?;
        if !outcome.succeeded {
            return Err(NotShared::TurnOver);
        }
        *self.shared.unshared.lock() = None;
        Ok(outcome.revision)
    }
}

impl Drop for FleetTurn {
    fn drop(&mut self) {
        remove_later(&self.shared, std::mem::take(&mut self.key), self.since);
    }
}

impl Drop for SharedWhile {
    fn drop(&mut self) {
        remove_later(&self.shared, std::mem::take(&mut self.key), self.revision);
    }
}

/// Without a wait, unless another revision wrote it meanwhile; a key that is left there goes with its lease.
fn remove_later(shared: &Arc<Shared>, key: String, revision: i64) {
    let task = Arc::clone(shared);
    shared.spawn(async move {
        let unchanged = [KeyIs::Modified(&key, revision)];
        if let Err(error) = task.etcd.transaction(&unchanged, &[KeyAction::Delete(&key)], &[]).await {
            task.trouble("a turn that is over is still held", &error);
        }
    });
}

impl Shared {
    fn seal(&self) -> Result<&super::seal::Seal, NotShared> {
        self.seal.as_ref().ok_or(NotShared::NoSecret)
    }
}

/// With a few writes a day the same 96 bits do not come twice.
fn nonce() -> [u8; NONCE_LEN] {
    let mut nonce = [0; NONCE_LEN];
    SystemRandom::new().fill(&mut nonce).expect("the kernel has random numbers");
    nonce
}
