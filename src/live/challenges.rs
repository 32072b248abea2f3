//! The challenges of http-01 that an authority asks for right now (RFC 8555, 8.3).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use parking_lot::RwLock;

const PREFIX: &[u8] = b"/.well-known/acme-challenge/";

/// Tokens, and what the authority has to find under each. Most of the time there are none, and asking costs one load.
#[derive(Debug, Default)]
pub struct Challenges {
    any: AtomicBool,
    proofs: RwLock<HashMap<Box<str>, Arc<str>>>,
}

impl Challenges {
    /// The response to a request for this path; `None`: it goes its way.
    pub fn proof(&self, path: &[u8]) -> Option<Arc<str>> {
        if !self.any.load(Relaxed) {
            return None;
        }
        let token = std::str::from_utf8(path.strip_prefix(PREFIX)?).ok()?;
        self.proofs.read().get(token).cloned()
    }

    /// The proof can be had from now on, until the guard is dropped.
    pub fn expect(self: &Arc<Self>, token: &str, proof: &str) -> Expected {
        let mut proofs = self.proofs.write();
        proofs.insert(token.into(), proof.into());
        self.any.store(true, Relaxed);
        Expected { challenges: Arc::clone(self), token: token.into() }
    }
}

/// A challenge that is being asked for as long as this lives.
#[derive(Debug)]
pub struct Expected {
    challenges: Arc<Challenges>,
    token: Box<str>,
}

impl Drop for Expected {
    fn drop(&mut self) {
        let mut proofs = self.challenges.proofs.write();
        proofs.remove(&self.token);
        self.challenges.any.store(!proofs.is_empty(), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_can_be_had_only_while_it_is_expected() {
        let challenges = Arc::new(Challenges::default());
        let ask = |token: &str| challenges.proof(format!("/.well-known/acme-challenge/{token}").as_bytes());
        assert_eq!(ask("a"), None);
        let (one, two) = (challenges.expect("a", "a.key"), challenges.expect("b", "b.key"));
        assert_eq!(ask("a").as_deref(), Some("a.key"));
        assert_eq!(challenges.proof(b"/a"), None);
        assert_eq!(ask("c"), None, "what nobody asked us to prove");
        drop(one);
        assert_eq!((ask("a"), ask("b").as_deref()), (None, Some("b.key")));
        drop(two);
        assert_eq!(ask("b"), None);
    }
}
