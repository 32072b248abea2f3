//! Visitors of the console and their roles: sessions, one-time links, and the words that forms carry.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::{digest, hmac};

use crate::compile::Role;
use crate::live::{AdminKey, AdminKeys};

/// Sessions that are open at once, a hundred open consoles among them; the one that was silent longest makes room.
const MOST: usize = 128;
const LONGEST: Duration = Duration::from_secs(12 * 3600);
const LONGEST_SILENCE: Duration = Duration::from_secs(30 * 60);
/// A one-time link that was not followed yet.
const LINK: Duration = Duration::from_secs(60);
/// Bytes of a cookie's value.
const BYTES: usize = 16;

type Hash = [u8; 32];

/// The sessions. They end with the process.
pub struct Sessions {
    random: SystemRandom,
    key: hmac::Key,
    open: Mutex<Vec<Session>>,
    links: Mutex<Vec<Link>>,
}

/// The holder of a session.
#[derive(Debug, Clone)]
pub struct Holder {
    pub name: Arc<str>,
    pub role: Role,
    /// The token that it was opened by: without it the session is gone. `None`: none was needed.
    pub key: Option<Arc<AdminKey>>,
}

struct Session {
    /// Of the cookie: what is here opens nothing.
    hash: Hash,
    holder: Holder,
    began: Instant,
    seen: Instant,
}

struct Link {
    hash: Hash,
    holder: Holder,
    until: Instant,
}

impl Sessions {
    pub fn new() -> Self {
        let random = SystemRandom::new();
        let mut key = [0; 32];
        random.fill(&mut key).expect("the system has random numbers");
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, &key), random, open: Mutex::default(), links: Mutex::default() }
    }

    /// 128 random bits as text.
    pub fn value(&self) -> String {
        let mut bytes = [0; BYTES];
        self.random.fill(&mut bytes).expect("the system has random numbers");
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Opens a session, and gives its cookie's value.
    pub fn open(&self, holder: Holder, now: Instant) -> String {
        let value = self.value();
        let mut open = self.open.lock();
        open.retain(|session| session.lives(now));
        if open.len() >= MOST
            && let Some(oldest) = (0..open.len()).min_by_key(|at| open[*at].seen)
        {
            open.swap_remove(oldest);
        }
        open.push(Session { hash: hash(&value), holder, began: now, seen: now });
        value
    }

    /// The holder of this session. `touch`: it counts as used, which a page that redraws itself does not.
    pub fn find(&self, value: &str, keys: &AdminKeys, now: Instant, touch: bool) -> Option<(Arc<str>, Role)> {
        let hash = hash(value);
        let mut open = self.open.lock();
        open.retain(|session| session.lives(now) && keys.has(session.holder.key.as_ref()));
        let session = open.iter_mut().find(|session| session.hash == hash)?;
        if touch {
            session.seen = now;
        }
        Some((Arc::clone(&session.holder.name), session.holder.role))
    }

    pub fn close(&self, value: &str) {
        let hash = hash(value);
        self.open.lock().retain(|session| session.hash != hash);
    }

    /// A word that opens one session within a minute.
    pub fn link(&self, holder: Holder, now: Instant) -> String {
        let value = self.value();
        let mut links = self.links.lock();
        links.retain(|link| link.until > now);
        if links.len() >= MOST {
            links.remove(0);
        }
        links.push(Link { hash: hash(&value), holder, until: now + LINK });
        value
    }

    /// Uses the word up.
    pub fn follow(&self, value: &str, now: Instant) -> Option<Holder> {
        let hash = hash(value);
        let mut links = self.links.lock();
        links.retain(|link| link.until > now);
        let at = links.iter().position(|link| link.hash == hash)?;
        Some(links.swap_remove(at).holder)
    }

    /// The token in a form of this cookie for this act: another site cannot know it.
    pub fn word(&self, cookie: &str, act: &str) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.key, format!("{cookie}\0{act}").as_bytes()))
    }

    pub fn is_word(&self, cookie: &str, act: &str, word: &str) -> bool {
        let Ok(given) = URL_SAFE_NO_PAD.decode(word) else { return false };
        hmac::verify(&self.key, format!("{cookie}\0{act}").as_bytes(), &given).is_ok()
    }
}

impl Session {
    fn lives(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.began) < LONGEST
            && now.saturating_duration_since(self.seen) < LONGEST_SILENCE
    }
}

/// A cookie of ours: 16 bytes.
pub fn is_value(text: &str) -> bool {
    URL_SAFE_NO_PAD.decode(text).is_ok_and(|bytes| bytes.len() == BYTES)
}

fn hash(value: &str) -> Hash {
    digest::digest(&digest::SHA256, value.as_bytes()).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(role: Role) -> Holder {
        Holder { name: "ops".into(), role, key: None }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_session_ends_after_silence_and_after_half_a_day() {
        let (sessions, start) = (Sessions::new(), Instant::now());
        let value = sessions.open(holder(Role::Operate), start);
        assert!(is_value(&value));
        assert!(sessions.find(&value, &AdminKeys::default(), start + seconds(1799), false).is_some());
        assert!(sessions.find(&value, &AdminKeys::default(), start + seconds(1799), true).is_some());
        assert!(
            sessions.find(&value, &AdminKeys::default(), start + seconds(3500), true).is_some(),
            "it was used in between"
        );
        assert!(
            sessions.find(&value, &AdminKeys::default(), start + seconds(5400), true).is_none(),
            "half an hour of silence"
        );
        let value = sessions.open(holder(Role::Read), start);
        for minute in 0..720 {
            assert!(
                sessions.find(&value, &AdminKeys::default(), start + seconds(minute * 60), true).is_some(),
                "{minute}"
            );
        }
        assert!(sessions.find(&value, &AdminKeys::default(), start + seconds(12 * 3600), true).is_none());
    }

    #[test]
    fn the_longest_silent_of_too_many_makes_room_and_one_that_is_closed_is_gone() {
        let (sessions, start) = (Sessions::new(), Instant::now());
        let values: Vec<_> = (0..129).map(|n| sessions.open(holder(Role::Read), start + seconds(n))).collect();
        let now = start + seconds(129);
        assert!(sessions.find(&values[0], &AdminKeys::default(), now, false).is_none());
        assert!(sessions.find(&values[1], &AdminKeys::default(), now, false).is_some());
        sessions.close(&values[1]);
        assert!(sessions.find(&values[1], &AdminKeys::default(), now, false).is_none());
    }

    #[test]
    fn a_link_opens_once_and_within_a_minute() {
        let (sessions, start) = (Sessions::new(), Instant::now());
        let link = sessions.link(holder(Role::Operate), start);
        assert!(sessions.follow(&link, start).is_some());
        assert!(sessions.follow(&link, start).is_none(), "used up");
        let late = sessions.link(holder(Role::Operate), start);
        assert!(sessions.follow(&late, start + seconds(61)).is_none());
    }

    #[test]
    fn the_word_of_a_form_belongs_to_one_cookie_and_one_act() {
        let sessions = Sessions::new();
        let (one, other) = (sessions.value(), sessions.value());
        let word = sessions.word(&one, "act");
        assert!(sessions.is_word(&one, "act", &word));
        assert!(!sessions.is_word(&one, "login", &word) && !sessions.is_word(&other, "act", &word));
        assert!(!sessions.is_word(&one, "act", "") && !Sessions::new().is_word(&one, "act", &word));
    }
}
