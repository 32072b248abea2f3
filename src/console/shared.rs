//! Pages that redraw themselves are drawn once in two seconds for all their viewers.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::admin::Reply;

/// How long a page is as good as a new one, unless something has moved: its figures are those of minutes.
const FRESH: Duration = Duration::from_secs(2);

/// Pages that are kept.
const MOST: usize = 32;

struct Drawn {
    /// Path, query, role, state and coding: all that a page is drawn from, but for figures and times.
    of: String,
    at: Instant,
    page: Reply,
}

#[derive(Default)]
pub struct SharedPages(Mutex<Vec<Drawn>>);

impl SharedPages {
    pub fn find(&self, of: &str, now: Instant) -> Option<Reply> {
        let mut pages = self.0.lock();
        pages.retain(|drawn| now.saturating_duration_since(drawn.at) < FRESH);
        pages.iter().find(|drawn| drawn.of == of).map(|drawn| drawn.page.clone())
    }

    pub fn keep(&self, of: String, page: Reply, now: Instant) {
        let mut pages = self.0.lock();
        if pages.len() >= MOST {
            pages.remove(0);
        }
        pages.push(Drawn { of, at: now, page });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_shared_for_two_seconds_by_those_who_see_the_same() {
        let (pages, now) = (SharedPages::default(), Instant::now());
        pages.keep("/ ann".to_owned(), Reply::text(200, "board"), now);
        assert_eq!(pages.find("/ ann", now + FRESH / 2), Some(Reply::text(200, "board")));
        assert_eq!(pages.find("/ bob", now), None);
        assert_eq!(pages.find("/ ann", now + FRESH), None);
        for number in 0..2 * MOST {
            pages.keep(number.to_string(), Reply::text(200, "page"), now);
        }
        assert_eq!(pages.0.lock().len(), MOST);
    }
}
