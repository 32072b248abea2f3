//! The certificates in force: chosen by name, exchanged while connections go on.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use parking_lot::{Mutex, RwLock};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::read::{Pair, TlsError, read};
use crate::compile::Certificate;

/// The protocol in which an authority asks for a proof (RFC 8737).
pub const ACME_TLS: &[u8] = b"acme-tls/1";

/// Gets the name of each certificate and when it expires, in seconds since 1970; 0: it is ordered, and there is none yet.
type Observer = Box<dyn Fn(&BTreeMap<Box<str>, i64>) + Send + Sync>;

/// The certificates for handshakes.
#[derive(Default)]
pub struct Certificates {
    chosen: ArcSwap<Chosen>,
    sources: Mutex<Sources>,
    /// The proofs that are being asked for, by host.
    challenges: RwLock<HashMap<Box<str>, Arc<CertifiedKey>>>,
    observer: OnceLock<Observer>,
}

/// Where certificates come from.
#[derive(Debug, Default)]
struct Sources {
    files: Vec<Pair>,
    /// Certificates that an authority issued to us, by host.
    issued: BTreeMap<Box<str>, Pair>,
    /// The hosts for which there is to be one.
    ordered: Vec<Box<str>>,
    /// Unknown names get no certificate.
    strict: bool,
}

/// One state of the sources.
#[derive(Debug, Default)]
struct Chosen {
    all: Vec<Arc<CertifiedKey>>,
    /// By name, and by the suffix of a wildcard (`.example.com`).
    exact: HashMap<Box<str>, Vec<Arc<CertifiedKey>>>,
    wildcard: HashMap<Box<str>, Vec<Arc<CertifiedKey>>>,
    strict: bool,
}

/// Reads every pair; all that is wrong with any of them is said.
pub fn read_all(sources: &[Certificate]) -> Result<Vec<Pair>, Vec<TlsError>> {
    let (mut pairs, mut errors) = (Vec::new(), Vec::new());
    for source in sources {
        match read(source) {
            Ok(pair) => pairs.push(pair),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(pairs) } else { Err(errors) }
}

impl Certificates {
    /// Puts the certificates of files in force. Handshakes from now on see them; connections that are open do not notice.
    pub fn put(&self, files: Vec<Pair>, strict: bool) {
        let mut sources = self.sources.lock();
        (sources.files, sources.strict) = (files, strict);
        self.choose_from(&sources);
    }

    /// An authority issued a certificate for this host.
    pub fn issue(&self, host: &str, pair: Pair) {
        let mut sources = self.sources.lock();
        sources.issued.insert(host.into(), pair);
        self.choose_from(&sources);
    }

    /// Sets the hosts for which certificates are ordered. Certificates of other hosts are not shown any more.
    pub fn keep_issued(&self, hosts: &[Box<str>]) {
        let mut sources = self.sources.lock();
        sources.ordered = hosts.to_vec();
        sources.issued.retain(|host, _| hosts.contains(host));
        self.choose_from(&sources);
    }

    /// The authority that asks for this host's proof gets it, until the guard is dropped.
    pub fn challenge(self: &Arc<Self>, host: &str, proof: Arc<CertifiedKey>) -> ChallengeGuard {
        self.challenges.write().insert(host.into(), proof);
        ChallengeGuard { certificates: Arc::clone(self), host: host.into() }
    }

    /// Is told at once, and whenever something changes.
    pub fn when_changed(&self, observer: impl Fn(&BTreeMap<Box<str>, i64>) + Send + Sync + 'static) {
        assert!(self.observer.set(Box::new(observer)).is_ok(), "set once, when the server starts");
        self.tell(&self.sources.lock());
    }

    fn choose_from(&self, sources: &Sources) {
        let mut chosen = Chosen { strict: sources.strict, ..Chosen::default() };
        for pair in sources.files.iter().chain(sources.issued.values()) {
            for name in &pair.names {
                let (map, name) = match name.strip_prefix('*') {
                    Some(suffix) => (&mut chosen.wildcard, suffix),
                    None => (&mut chosen.exact, &**name),
                };
                map.entry(name.into()).or_default().push(Arc::clone(&pair.key));
            }
            chosen.all.push(Arc::clone(&pair.key));
        }
        self.chosen.store(Arc::new(chosen));
        self.tell(sources);
    }

    fn tell(&self, sources: &Sources) {
        let Some(observer) = self.observer.get() else { return };
        let mut expiries = BTreeMap::new();
        for pair in sources.files.iter().chain(sources.issued.values()) {
            let name = pair.names.first().cloned().unwrap_or_else(|| "unnamed".into());
            // Of several for one name, the one that expires first is the one to know of.
            let expiry = expiries.entry(name).or_insert(pair.validity.not_after);
            *expiry = pair.validity.not_after.min(*expiry);
        }
        for host in &sources.ordered {
            // Watched like one that has expired: there is none yet.
            expiries.entry(host.clone()).or_insert(0);
        }
        observer(&expiries);
    }

    fn choose(&self, name: Option<&str>, offered: &[rustls::SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let chosen = self.chosen.load();
        let usable = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(offered).is_some();
        let name = name.map(str::to_ascii_lowercase);
        let named = name.as_deref().and_then(|name| {
            let suffix = name.find('.').map(|dot| &name[dot..]);
            let exact = chosen.exact.get(name).into_iter();
            let wildcard = suffix.and_then(|suffix| chosen.wildcard.get(suffix)).into_iter();
            exact.chain(wildcard).flatten().find(usable)
        });
        if chosen.strict {
            return named.cloned();
        }
        // A client that names an unknown host, or none, gets the first certificate, and can see for which host it is.
        named.or_else(|| chosen.all.iter().find(usable)).cloned()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asks_for_proof = hello.alpn().is_some_and(|mut protocols| protocols.all(|name| name == ACME_TLS));
        if asks_for_proof {
            let host = hello.server_name()?.to_ascii_lowercase();
            return self.challenges.read().get(&*host).cloned();
        }
        self.choose(hello.server_name(), hello.signature_schemes())
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("chosen", &self.chosen).finish_non_exhaustive()
    }
}

/// The proof for a host can be had as long as this lives.
#[derive(Debug)]
pub struct ChallengeGuard {
    certificates: Arc<Certificates>,
    host: Box<str>,
}

impl Drop for ChallengeGuard {
    fn drop(&mut self) {
        self.certificates.challenges.write().remove(&self.host);
    }
}
