//! The budget of a client on one connection: a bucket of credit that time fills slowly and that responses fill fast.
//!
//! Honest clients come nowhere near its end. A browser that opens a page sends a few hundred small frames; a client that
//! acknowledges each frame of an answer twice, for the stream and for the connection, and measures the way with a PING beside,
//! is paid more for the frame than that costs. A client with nothing to read has 500 small frames a second, and 5 000 at once.

use super::frames::{Frame, FrameKind};

/// In thousandths of a small frame.
const ONE: u64 = 1000;
/// Time fills the bucket up to this.
const AT_REST: u64 = 5000 * ONE;
/// Responses fill it up to this: credit for data that is on its way and will be acknowledged later.
const MOST: u64 = 131_072 * ONE;
/// 500 small frames a second.
const EACH_MILLISECOND: u64 = 500 * ONE / 1000;

/// The credit of one client.
#[derive(Debug)]
pub struct Budget {
    credit: u64,
    /// Milliseconds.
    at: u64,
}

impl Budget {
    /// `now`: milliseconds, from any beginning.
    pub const fn new(now: u64) -> Self {
        Self { credit: AT_REST, at: now }
    }

    /// The frame costs nothing: the clock need not be asked.
    pub fn is_free(frame: Frame) -> bool {
        cost(frame) == 0
    }

    /// A frame came from the client. `false`: it has asked for too much.
    #[must_use]
    pub fn received(&mut self, frame: Frame, now: u64) -> bool {
        let since = now.saturating_sub(self.at);
        self.at = self.at.max(now);
        if self.credit < AT_REST {
            self.credit = self.credit.saturating_add(since.saturating_mul(EACH_MILLISECOND)).min(AT_REST);
        }
        let cost = cost(frame);
        let affordable = self.credit >= cost;
        self.credit = self.credit.saturating_sub(cost);
        affordable
    }

    /// A frame went to the client.
    pub fn sent(&mut self, frame: Frame) {
        self.credit = self.credit.saturating_add(earnings(frame)).min(MOST).max(self.credit);
    }
}

fn cost(frame: Frame) -> u64 {
    let length = u64::from(frame.length);
    match frame.kind {
        // Requests and bodies have limits of their own.
        FrameKind::Headers | FrameKind::PushPromise => 0,
        FrameKind::Data if length > 0 || frame.ends_stream() => 0,
        // A request was begun for nothing.
        FrameKind::Reset => 2 * ONE,
        // Each may change every stream of the connection.
        FrameKind::Settings if !frame.acknowledges() => (8 + length / 6) * ONE,
        // They are read and thrown away.
        FrameKind::Unknown => ONE + length,
        _ => ONE,
    }
}

/// Data pays by its length. In pieces of a few bytes it pays next to nothing: a client that opens its window byte by byte
/// makes a frame of each.
fn earnings(frame: Frame) -> u64 {
    let length = u64::from(frame.length);
    match frame.kind {
        FrameKind::Data => length.min(64) * ONE / 16 + length * ONE / 1024,
        FrameKind::Headers => 4 * ONE,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn frame(kind: FrameKind, length: u32) -> Frame {
        Frame { kind, flags: 0, length, stream: 1, reason: 0 }
    }

    /// How many of these frames are taken at once.
    fn taken(frame: Frame) -> u32 {
        let mut budget = Budget::new(7);
        (0..1_000_000).take_while(|_| budget.received(frame, 7)).count().try_into().unwrap()
    }

    #[test]
    fn frames_that_carry_nothing_are_limited_and_the_others_are_not() {
        for (kind, length, most) in [
            (FrameKind::Ping, 8, 5000),
            (FrameKind::WindowUpdate, 4, 5000),
            (FrameKind::Priority, 5, 5000),
            (FrameKind::GoAway, 8, 5000),
            (FrameKind::Continuation, 0, 5000),
            (FrameKind::Continuation, 16_384, 5000),
            (FrameKind::Data, 0, 5000),
            (FrameKind::Reset, 4, 2500),
            (FrameKind::Settings, 0, 625),
            (FrameKind::Settings, 6 * 2000, 2),
            (FrameKind::Unknown, 0, 5000),
            (FrameKind::Unknown, 16_384, 287),
            (FrameKind::Headers, 100, 1_000_000),
            (FrameKind::Data, 1, 1_000_000),
        ] {
            assert_eq!(taken(frame(kind, length)), most, "{kind:?} of {length}");
        }
        let last = Frame { kind: FrameKind::Data, flags: 1, length: 0, stream: 1, reason: 0 };
        assert_eq!(taken(last), 1_000_000, "the end of a body");
        for kind in [FrameKind::Settings, FrameKind::Ping] {
            assert_eq!(taken(Frame { kind, flags: 1, length: 0, stream: 1, reason: 0 }), 5000, "acknowledgements");
        }
    }

    #[test]
    fn time_gives_credit_up_to_what_was_there_at_first() {
        let mut budget = Budget::new(0);
        let ping = frame(FrameKind::Ping, 8);
        let mut all = |now: u64| (0..1_000_000).take_while(|_| budget.received(ping, now)).count();
        assert_eq!((all(0), all(0), all(1000), all(1010), all(3_600_000)), (5000, 0, 500, 5, 5000));
        // A clock that goes back gives nothing.
        assert_eq!((all(0), all(3_600_002)), (0, 1));
    }

    #[test]
    fn a_client_that_reads_may_acknowledge_every_frame_twice_and_ping_beside() {
        for length in [48, 100, 1000, 16_384] {
            let mut budget = Budget::new(0);
            for number in 0..100_000 {
                budget.sent(frame(FrameKind::Data, length));
                for kind in [FrameKind::WindowUpdate, FrameKind::WindowUpdate, FrameKind::Ping] {
                    assert!(budget.received(frame(kind, 4), 0), "{kind:?} for frame {number} of {length}");
                }
            }
        }
    }

    #[test]
    fn acknowledgements_may_be_late() {
        let mut budget = Budget::new(0);
        (0..50_000).for_each(|_| budget.sent(frame(FrameKind::Data, 16_384)));
        assert!((0..100_000).all(|_| budget.received(frame(FrameKind::WindowUpdate, 4), 0)));
        assert!(!(0..50_000).all(|_| budget.received(frame(FrameKind::WindowUpdate, 4), 0)), "but not without end");
    }

    #[test]
    fn an_answer_that_is_drawn_out_byte_by_byte_pays_for_nothing() {
        let mut budget = Budget::new(0);
        let drawn = (0..1_000_000).take_while(|_| {
            let affordable = budget.received(frame(FrameKind::WindowUpdate, 4), 0);
            budget.sent(frame(FrameKind::Data, 1));
            affordable
        });
        assert!(drawn.count() < 6000);
    }

    #[test]
    fn a_call_that_was_answered_may_be_reset_and_measured() {
        let mut budget = Budget::new(0);
        for _ in 0..100_000 {
            budget.sent(frame(FrameKind::Headers, 60));
            assert!(
                budget.received(frame(FrameKind::Reset, 4), 0) && budget.received(frame(FrameKind::WindowUpdate, 4), 0)
            );
        }
    }
}
