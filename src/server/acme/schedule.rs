//! When a certificate is renewed, and how long a failure is waited for.

use std::time::Duration;

use crate::listener::tls::Validity;

/// After the first failure; each further one waits three times as long. Let's Encrypt lets five proofs of a host fail in an hour.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(6 * 3600);

/// An authority is asked again for the window that it suggests no sooner and no later than this (RFC 9773, 4.3.2).
const SOONEST_LOOK: Duration = Duration::from_secs(60);
const LATEST_LOOK: Duration = Duration::from_secs(24 * 3600);

/// When to renew, in seconds since 1970: at two thirds of the lifetime, give or take a thirtieth of it, so that certificates that
/// were issued together are not renewed together. `chance` is from 0 to 1.
pub(super) fn renewal(validity: Validity, chance: f64) -> i64 {
    validity.not_before + part(validity, 2.0 / 3.0 + (chance - 0.5) / 15.0)
}

/// The same in the window that the authority suggests, unless that leaves less than a tenth of the lifetime for a second try.
pub(super) fn suggested(validity: Validity, (start, end): (i64, i64), chance: f64) -> i64 {
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a span of seconds")]
    let within = start + ((end - start).max(0) as f64 * chance) as i64;
    within.min(validity.not_before + part(validity, 0.9))
}

/// Between two orders for one host, whatever the authority suggests: one that always says `now` would get thousands.
pub(super) fn shortest(validity: Validity) -> Duration {
    const ENOUGH: Duration = Duration::from_secs(3600);
    Duration::from_secs(part(validity, 0.1).unsigned_abs()).min(ENOUGH)
}

/// How long to wait after a number of failures in a row, give or take a tenth.
pub(super) fn pause(failures: u32, chance: f64) -> Duration {
    let pause = FIRST_PAUSE.saturating_mul(3_u32.saturating_pow(failures.saturating_sub(1))).min(LONGEST_PAUSE);
    pause.mul_f64(0.9 + chance / 5.0)
}

/// When to ask again for the window, where the authority says this.
pub(super) fn next_look(asked: Duration) -> Duration {
    asked.clamp(SOONEST_LOOK, LATEST_LOOK)
}

#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a span of seconds")]
fn part(validity: Validity, share: f64) -> i64 {
    ((validity.not_after - validity.not_before).max(0) as f64 * share) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 3600;
    const NINETY_DAYS: Validity = Validity { not_before: 1_800_000_000, not_after: 1_800_000_000 + 90 * DAY };

    #[test]
    fn a_certificate_is_renewed_around_two_thirds_of_its_lifetime() {
        let day = |chance| (renewal(NINETY_DAYS, chance) - NINETY_DAYS.not_before) / DAY;
        assert_eq!((day(0.0), day(0.5001), day(1.0)), (57, 60, 63));
        let short = Validity { not_before: 100, not_after: 130 };
        assert_eq!((renewal(short, 0.0), renewal(short, 0.5), renewal(short, 1.0)), (119, 120, 121));
    }

    #[test]
    fn the_authoritys_window_counts_unless_it_comes_too_late() {
        let at = |from: i64, to: i64, chance| {
            let window = (NINETY_DAYS.not_before + from * DAY, NINETY_DAYS.not_before + to * DAY);
            (suggested(NINETY_DAYS, window, chance) - NINETY_DAYS.not_before) / DAY
        };
        assert_eq!((at(10, 20, 0.0), at(10, 20, 0.5), at(10, 20, 1.0)), (10, 15, 20));
        assert_eq!(at(85, 95, 0.5), 81);
        assert_eq!(at(-5, -4, 0.5), -4, "revoked: at once");
        assert_eq!(at(20, 10, 0.5), 20, "a window that ends before it begins");
    }

    #[test]
    fn a_certificate_is_not_ordered_again_at_once() {
        assert_eq!(shortest(NINETY_DAYS), Duration::from_secs(3600));
        assert_eq!(shortest(Validity { not_before: 100, not_after: 130 }), Duration::from_secs(3));
    }

    #[test]
    fn each_failure_is_waited_for_longer_up_to_six_hours() {
        let seconds: Vec<_> = (1..=9).map(|failures| pause(failures, 0.5).as_secs()).collect();
        assert_eq!(seconds, [30, 90, 270, 810, 2430, 7290, 21600, 21600, 21600]);
        assert_eq!((pause(1, 0.0).as_secs(), pause(1, 1.0).as_secs()), (27, 33));
        assert_eq!(pause(u32::MAX, 1.0).as_secs(), 23760);
        let within_an_hour = seconds.iter().scan(0, |sum, pause| Some(std::mem::replace(sum, *sum + pause)));
        assert_eq!(within_an_hour.take_while(|at| *at < 3600).count(), 5);
    }

    #[test]
    fn an_authority_is_not_asked_all_the_time() {
        assert_eq!(next_look(Duration::ZERO), SOONEST_LOOK);
        assert_eq!(next_look(Duration::from_secs(6 * 3600)), Duration::from_secs(6 * 3600));
        assert_eq!(next_look(Duration::from_secs(1_000_000)), LATEST_LOOK);
    }
}
