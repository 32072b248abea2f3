//! Pages that redraw themselves are drawn once a second for all their viewers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How long a page is as good as a new one: as often as it is looked whether something moved.
const FRESH: Duration = Duration::from_secs(1);

/// Pages that are kept.
const MOST: usize = 32;

struct Drawn {
    /// Path, query, role and state: all that a page is drawn from, but for figures and times.
    of: String,
    at: Instant,
    text: Arc<str>,
}

#[derive(Default)]
pub struct SharedPages(Mutex<Vec<Drawn>>);

impl SharedPages {
    pub fn find(&self, of: &str, now: Instant) -> Option<Arc<str>> {
        let mut pages = self.0.lock();
        pages.retain(|page| now.saturating_duration_since(page.at) < FRESH);
        pages.iter().find(|page| page.of == of).map(|page| Arc::clone(&page.text))
    }

    pub fn keep(&self, of: String, text: &str, now: Instant) {
        let mut pages = self.0.lock();
        if pages.len() >= MOST {
            pages.remove(0);
        }
        pages.push(Drawn { of, at: now, text: text.into() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_shared_for_a_second_by_those_who_see_the_same() {
        let (pages, now) = (SharedPages::default(), Instant::now());
        pages.keep("/ ann".to_owned(), "board", now);
        assert_eq!(pages.find("/ ann", now + FRESH / 2).as_deref(), Some("board"));
        assert_eq!(pages.find("/ bob", now), None);
        assert_eq!(pages.find("/ ann", now + FRESH), None);
        for number in 0..2 * MOST {
            pages.keep(number.to_string(), "page", now);
        }
        assert_eq!(pages.0.lock().len(), MOST);
    }
}
