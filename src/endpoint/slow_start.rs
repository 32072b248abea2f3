//! An endpoint that comes back takes its share step by step: caches are cold, connections are few.

/// How long it takes to the full share, in milliseconds.
pub const RAMP: u64 = 10_000;
/// Shares grow in this many steps, so that the balance is not computed anew all the time.
const STEPS: u64 = 10;

/// The weight in tenths of its full size, `since` milliseconds after the endpoint came back.
pub fn tenths(since: u64) -> u32 {
    u32::try_from((since * STEPS / RAMP + 1).min(STEPS)).expect("at most ten")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_grows_from_a_tenth_to_the_whole_in_ten_seconds() {
        for (since, expected) in
            [(0, 1), (999, 1), (1_000, 2), (5_500, 6), (9_000, 10), (10_000, 10), (u64::MAX / 100, 10)]
        {
            assert_eq!(tenths(since), expected, "{since}");
        }
    }
}
