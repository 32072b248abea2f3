//! The `Date` of responses that have none (RFC 9110, 6.6.1), written once a second.

use std::cell::Cell;
use std::time::{SystemTime, UNIX_EPOCH};

const LENGTH: usize = 29;

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
#[derive(Debug, Clone, Copy)]
pub struct Date([u8; LENGTH]);

impl Date {
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; LENGTH] {
        &self.0
    }
}

/// The date now. Each thread keeps the text of the second that it is.
#[must_use]
pub fn now() -> Date {
    thread_local! {
        static LAST: Cell<(u64, Date)> = const { Cell::new((u64::MAX, Date([0; LENGTH]))) };
    }
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (second, date) = LAST.get();
    if second == seconds {
        return date;
    }
    let date = at(seconds);
    LAST.set((seconds, date));
    date
}

fn at(seconds: u64) -> Date {
    let stamp = jiff::Timestamp::from_second(i64::try_from(seconds).unwrap_or(0)).unwrap_or_default();
    let text = stamp.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    Date(text.into_bytes().try_into().unwrap_or([b' '; LENGTH]))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_second_is_written_as_http_writes_it() {
        assert_eq!(super::at(784_111_777).as_bytes(), b"Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(super::now().as_bytes().len(), super::LENGTH);
    }
}
