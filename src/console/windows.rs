//! The windows of one browser: each that is seen holds a stream, and a browser has six connections for a host.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

/// Streams of one browser that are held: two of its connections stay free for pages and for what is pressed.
const MOST: usize = 4;

/// The end of a stream that is one too many. Its window closes it, says this, and comes back after fifteen seconds; what knows no
/// `rest` comes back by `retry`.
pub const REST: &str = "retry: 15000\nevent: rest\ndata: paused 15 s: many windows\n\n";

/// The streams of all browsers, the oldest first.
#[derive(Default)]
pub struct BrowserStreams(Mutex<Vec<Arc<OpenStream>>>);

struct OpenStream {
    browser: String,
    ended: AtomicBool,
}

/// A stream that is counted as long as it lives.
pub struct HeldStream<'a> {
    all: &'a BrowserStreams,
    own: Arc<OpenStream>,
}

impl BrowserStreams {
    /// One more stream of this browser. Where that is one too many, the oldest ends.
    pub fn hold(&self, browser: String) -> HeldStream<'_> {
        let own = Arc::new(OpenStream { browser, ended: AtomicBool::new(false) });
        let mut all = self.0.lock();
        all.push(Arc::clone(&own));
        let held: Vec<_> = all.iter().filter(|one| one.browser == own.browser && !one.is_ended()).collect();
        for oldest in held.iter().take(held.len().saturating_sub(MOST)) {
            oldest.ended.store(true, Ordering::Relaxed);
        }
        HeldStream { all: self, own }
    }
}

impl OpenStream {
    fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }
}

impl HeldStream<'_> {
    /// A newer window took its place.
    pub fn is_ended(&self) -> bool {
        self.own.is_ended()
    }
}

impl Drop for HeldStream<'_> {
    fn drop(&mut self) {
        self.all.0.lock().retain(|one| !Arc::ptr_eq(one, &self.own));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_stream_of_a_browser_makes_room_for_its_fifth() {
        let all = BrowserStreams::default();
        let other = all.hold("other".to_owned());
        let mut held: Vec<_> = (0..MOST).map(|_| all.hold("own".to_owned())).collect();
        assert!(held.iter().all(|one| !one.is_ended()));
        held.push(all.hold("own".to_owned()));
        held.push(all.hold("own".to_owned()));
        let ended: Vec<_> = held.iter().map(HeldStream::is_ended).collect();
        assert_eq!(ended, [true, true, false, false, false, false]);
        assert!(!other.is_ended());

        drop(held.split_off(3));
        let again = all.hold("own".to_owned());
        assert!(!held[2].is_ended() && !again.is_ended(), "what is closed makes room");
        drop((held, again, other));
        assert!(all.0.lock().is_empty());
    }
}
