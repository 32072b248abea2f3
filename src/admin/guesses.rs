//! Wrong tokens: a form takes few of one address in a minute. Those of programs are logged, too.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::Parts;
use super::reply::Reply;

/// Wrong tokens from one address in a minute; then it waits.
const MOST: u32 = 5;
const WITHIN: Duration = Duration::from_secs(60);
/// Addresses that are remembered for that.
const ADDRESSES: usize = 1024;

/// How many wrong tokens came from where.
#[derive(Debug, Default)]
pub struct Guesses {
    of: Mutex<Vec<(IpAddr, Instant, u32)>>,
}

impl Guesses {
    /// Whether this address may try a token now.
    pub fn may_guess(&self, address: IpAddr, now: Instant) -> bool {
        let of = self.of.lock();
        !of.iter().any(|(known, began, count)| *known == address && *began + WITHIN > now && *count >= MOST)
    }

    fn guessed_wrong(&self, address: IpAddr, now: Instant) {
        let mut of = self.of.lock();
        of.retain(|(_, began, _)| *began + WITHIN > now);
        if let Some((_, _, count)) = of.iter_mut().find(|(known, _, _)| *known == address) {
            *count += 1;
            return;
        }
        if of.len() >= ADDRESSES {
            of.remove(0);
        }
        of.push((address, now, 1));
    }
}

/// A wrong token came into the form from there: it counts, and can be seen.
pub fn guessed_wrong(parts: &Parts, address: Option<IpAddr>) {
    count(parts, &parts.guesses, address, "token");
}

fn count(parts: &Parts, guesses: &Guesses, address: Option<IpAddr>, by: &'static str) {
    if let Some(address) = address {
        guesses.guessed_wrong(address, Instant::now());
    }
    tell_failure(parts, address, by);
}

/// Logs and publishes a failed sign-in. `by`: the kind of credential that was given.
pub fn tell_failure(parts: &Parts, address: Option<IpAddr>, by: &'static str) {
    let from = address.map_or_else(|| "unknown".to_owned(), |from| from.to_string());
    tracing::warn!(from, by, "what was given to sign in is wrong");
    let events = &parts.app.telemetry.events;
    events.publish("sign_in", "", || serde_json::json!({ "failed": true, "from": from, "by": by }).to_string());
}

/// The answer to a program with a wrong token. It does not wait as a user's sign-in does: one with the right token may share its address.
/// The first few of a minute are logged.
pub fn refused_bearer(parts: &Parts, address: Option<IpAddr>) -> Reply {
    let told = &parts.refused_bearers;
    if address.is_none_or(|address| told.may_guess(address, Instant::now())) {
        count(parts, told, address, "bearer");
    }
    Reply::problem(401, "this token is not known: send the admin token: `Authorization: Bearer TOKEN`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sixth_guess_of_a_minute_waits() {
        let (guesses, start, address) = (Guesses::default(), Instant::now(), [10, 0, 0, 1].into());
        for _ in 0..5 {
            assert!(guesses.may_guess(address, start));
            guesses.guessed_wrong(address, start);
        }
        assert!(!guesses.may_guess(address, start + Duration::from_secs(59)));
        assert!(guesses.may_guess([10, 0, 0, 2].into(), start));
        assert!(guesses.may_guess(address, start + Duration::from_secs(61)));
    }
}
