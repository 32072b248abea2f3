//! The tokens of the admin listener, as they were read last.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::read_secret;
use crate::compile::{AdminToken, Role};
use crate::route::SecretSource;

/// A token, and what may be done with it.
#[derive(Debug, PartialEq)]
pub struct AdminKey {
    pub name: Arc<str>,
    pub role: Role,
    token: Arc<str>,
}

/// Why an admin token cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadToken {
    #[error("cannot read the admin token `{name}` from `{path}`: {error}", path = .path.display())]
    Unread { name: Arc<str>, path: PathBuf, error: io::Error },
    #[error("the admin token `{name}` is empty")]
    Empty { name: Arc<str>, path: PathBuf },
}

impl BadToken {
    /// Empty: the token stands in a variable.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Unread { path, .. } | Self::Empty { path, .. } => path,
        }
    }
}

/// The tokens in force. None: every client that reaches the listener may use it.
#[derive(Default)]
pub struct AdminKeys(ArcSwap<Vec<Arc<AdminKey>>>);

impl AdminKeys {
    /// Reads the tokens that a file names.
    pub fn read(written: &[AdminToken]) -> Result<Vec<AdminKey>, BadToken> {
        written.iter().map(read).collect()
    }

    /// Puts tokens in force. One that is as it was is the same key: its sessions go on.
    pub fn put(&self, keys: Vec<AdminKey>) {
        let before = self.0.load();
        let same =
            |key: AdminKey| before.iter().find(|known| ***known == key).cloned().unwrap_or_else(|| Arc::new(key));
        self.0.store(Arc::new(keys.into_iter().map(same).collect()));
    }

    pub fn is_empty(&self) -> bool {
        self.0.load().is_empty()
    }

    /// Whether the key is still good. `None`: whether none is needed.
    pub fn has(&self, key: Option<&Arc<AdminKey>>) -> bool {
        let keys = self.0.load();
        key.map_or(keys.is_empty(), |key| keys.iter().any(|known| Arc::ptr_eq(known, key)))
    }

    /// The key of a token. All are looked at, so that the time does not tell which one was nearly right.
    pub fn find(&self, token: &str) -> Option<Arc<AdminKey>> {
        let keys = self.0.load();
        let fits = |key: &&Arc<AdminKey>| same(token.as_bytes(), key.token.as_bytes());
        keys.iter().filter(fits).fold(None, |_, key| Some(Arc::clone(key)))
    }
}

fn read(written: &AdminToken) -> Result<AdminKey, BadToken> {
    let AdminToken { name, role, token } = written;
    let path = if let SecretSource::File(path) = token { path.clone() } else { PathBuf::new() };
    let name = Arc::clone(name);
    match read_secret(token) {
        Err(error) => Err(BadToken::Unread { name, path, error }),
        Ok(text) if text.is_empty() => Err(BadToken::Empty { name, path }),
        Ok(token) => Ok(AdminKey { name, role: *role, token }),
    }
}

/// Takes as long for the first differing byte as for the last.
fn same(given: &[u8], wanted: &[u8]) -> bool {
    let differs = given.iter().zip(wanted).fold(0_u8, |sum, (a, b)| sum | (a ^ b));
    std::hint::black_box(differs) == 0 && given.len() == wanted.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_as_it_was_stays_good_and_another_is_gone() {
        let key = |name: &str, token: &str| AdminKey { name: name.into(), role: Role::Read, token: token.into() };
        let keys = AdminKeys::default();
        assert!(keys.has(None));
        keys.put(vec![key("ops", "first"), key("board", "second")]);
        let (ops, board) = (keys.find("first").expect("known"), keys.find("second").expect("known"));
        assert!(keys.has(Some(&ops)) && !keys.has(None));
        keys.put(vec![key("ops", "third"), key("board", "second")]);
        assert!(!keys.has(Some(&ops)) && keys.has(Some(&board)));
        assert!(keys.find("first").is_none() && keys.find("third").is_some() && keys.find("thir").is_none());
    }
}
