//! The keys of every route that asks for a token: read, fetched and kept fresh away from the request path, kept over reloads.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::{KeySource, Keys, KeysError};
use crate::client::task;
use crate::live::read_secret_file;
use crate::route::{JwtKeys, SecretSource};

/// Issuers announce a new key well before they sign with it; an unknown key is asked for sooner.
const FETCH_EVERY: Duration = Duration::from_secs(300);
/// A file is local and cheap to look at, and after an operator replaces it, it should be read soon.
const READ_EVERY: Duration = Duration::from_secs(2);

/// Where one route's keys come from, and what is known of them now.
#[derive(Debug)]
pub struct KeySet {
    source: Source,
}

#[derive(Debug)]
enum Source {
    Url(Arc<KeySource>),
    File(ArcSwapOption<Keys>),
    Fixed(Option<Arc<Keys>>),
}

impl KeySet {
    /// `None`: there are no keys yet, so no token can be believed.
    pub fn keys(&self) -> Option<Arc<Keys>> {
        match &self.source {
            Source::Url(source) => source.keys(),
            Source::File(keys) => keys.load_full(),
            Source::Fixed(keys) => keys.clone(),
        }
    }

    /// A token named a key that is not there.
    pub fn want(&self) {
        if let Source::Url(source) = &self.source {
            source.want();
        }
    }
}

/// All key sets in use, by what the file says of them.
#[derive(Debug, Default)]
pub struct Keyring(Mutex<HashMap<JwtKeys, Kept>>);

#[derive(Debug)]
struct Kept {
    set: Arc<KeySet>,
    keeper: Option<AbortHandle>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(keeper) = &self.keeper {
            keeper.abort();
        }
    }
}

impl Keyring {
    /// The key set of a route; the same one for all routes and reloads that name it alike. Files are read at once. Must be called
    /// within the runtime that is to keep it fresh.
    pub fn key_set(&self, named: &JwtKeys) -> Arc<KeySet> {
        let mut kept = self.0.lock();
        let entry = kept.entry(named.clone()).or_insert_with(|| begin(named));
        Arc::clone(&entry.set)
    }

    /// Forgets the sets that no route names any more.
    pub fn retain(&self, keep: impl Fn(&JwtKeys) -> bool) {
        self.0.lock().retain(|named, _| keep(named));
    }
}

fn begin(named: &JwtKeys) -> Kept {
    match named {
        JwtKeys::Url(url) => {
            let Ok(read) = url.parse() else {
                tracing::error!(%url, "the keys for tokens have no usable URL: routes that need them answer 503");
                return Kept { set: fixed(None), keeper: None };
            };
            let source = Arc::new(KeySource::new(read));
            let (kept, url) = (Arc::clone(&source), url.clone());
            let keeper = Handle::current().spawn(task::boxed(async move {
                let failed =
                    |error: &super::JwksError| tracing::warn!(%url, %error, "keys for tokens were not fetched");
                kept.keep_fresh(FETCH_EVERY, failed).await;
            }));
            Kept { set: Arc::new(KeySet { source: Source::Url(source) }), keeper: Some(keeper.abort_handle()) }
        }
        JwtKeys::File(path) => file(path, Keys::from_jwks),
        JwtKeys::Key(SecretSource::File(path)) => file(path, Keys::from_text),
        JwtKeys::Key(SecretSource::Value(secret)) => {
            let keys = Keys::from_text(secret.0.as_bytes());
            if let Err(error) = &keys {
                tracing::error!(%error, "the key for tokens cannot be used: routes that need it answer 503");
            }
            Kept { set: fixed(keys.ok()), keeper: None }
        }
    }
}

fn fixed(keys: Option<Keys>) -> Arc<KeySet> {
    Arc::new(KeySet { source: Source::Fixed(keys.map(Arc::new)) })
}

type Reading = fn(&[u8]) -> Result<Keys, KeysError>;

fn file(path: &Path, reading: Reading) -> Kept {
    let mut seen = Vec::new();
    let first = look(path, reading, &mut seen);
    let set = Arc::new(KeySet { source: Source::File(ArcSwapOption::new(first.map(Arc::new))) });
    let keeper = Handle::current().spawn(task::boxed(watch(Arc::clone(&set), path.to_owned(), reading, seen)));
    Kept { set, keeper: Some(keeper.abort_handle()) }
}

/// Reads the file for ever. The last good keys stay in force while it cannot be used.
async fn watch(set: Arc<KeySet>, path: PathBuf, reading: Reading, mut seen: Vec<u8>) {
    loop {
        tokio::time::sleep(READ_EVERY).await;
        let looked = tokio::task::spawn_blocking({
            let path = path.clone();
            move || {
                let keys = look(&path, reading, &mut seen);
                (keys, seen)
            }
        });
        let Ok((keys, read)) = looked.await else { return };
        seen = read;
        if let (Some(keys), Source::File(place)) = (keys, &set.source) {
            place.store(Some(Arc::new(keys)));
        }
    }
}

/// The keys in the file if it is another than `seen`; what is wrong with it is said once.
fn look(path: &Path, reading: Reading, seen: &mut Vec<u8>) -> Option<Keys> {
    let read = read_secret_file(path);
    let now = read.as_ref().map_or_else(|error| error.to_string().into_bytes(), |text| text.as_bytes().to_vec());
    if now == *seen && !seen.is_empty() {
        return None;
    }
    *seen = now;
    let path = path.display();
    match read.as_ref().map(|text| reading(text.as_bytes())) {
        Ok(Ok(keys)) => return Some(keys),
        Ok(Err(error)) => tracing::error!(%path, %error, "the keys for tokens cannot be used"),
        Err(error) => tracing::error!(%path, %error, "the keys for tokens cannot be read"),
    }
    None
}
