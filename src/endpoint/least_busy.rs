//! The power of two choices: of two endpoints drawn at random, the one with less to do.

/// Two different places below `count`, each pair equally likely, from one random number. With one place both are the same.
pub fn draw_two(random: u64, count: usize) -> (usize, usize) {
    if count < 2 {
        return (0, 0);
    }
    let first = scale(random >> 32, count);
    let second = scale(random & 0xffff_ffff, count - 1);
    (first, if second >= first { second + 1 } else { second })
}

/// A 32-bit random number to `0..count`, without a division.
fn scale(random: u64, count: usize) -> usize {
    let wide = (u128::from(random) * (count as u128)) >> 32;
    usize::try_from(wide).expect("below count")
}

/// True when the second has less to do for its weight. One more request is added to both, so that among idle ones the heavier wins.
pub fn second_is_freer(first: (u32, u32), second: (u32, u32)) -> bool {
    let ((busy_1, weight_1), (busy_2, weight_2)) = (first, second);
    (u64::from(busy_2) + 1) * u64::from(weight_1) < (u64::from(busy_1) + 1) * u64::from(weight_2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_draws_are_never_the_same_place_and_reach_all() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut seen = [[0_u32; 5]; 5];
        for _ in 0..20_000 {
            let (a, b) = draw_two(random.u64(..), 5);
            assert_ne!(a, b);
            seen[a][b] += 1;
        }
        for (a, row) in seen.iter().enumerate() {
            for (b, &times) in row.iter().enumerate() {
                // 20 pairs, 1000 each; five standard deviations.
                assert!(a == b || (850..1150).contains(&times), "{a},{b}: {times}");
            }
        }
    }

    #[test]
    fn the_freer_is_measured_against_its_weight() {
        for (first, second, expected) in [
            ((3, 1), (2, 1), true),
            ((2, 1), (3, 1), false),
            ((2, 1), (2, 1), false),
            ((2, 1), (5, 3), true),
            ((0, 1), (0, 10), true),
            ((0, 100), (0, 10), false),
        ] {
            assert_eq!(second_is_freer(first, second), expected, "{first:?} {second:?}");
        }
    }

    /// Ten endpoints, one of which answers ten times slower: what a blind rotation would send it, and what this does.
    #[test]
    fn a_slow_endpoint_gets_far_less_than_its_turn() {
        const SLOW: usize = 0;
        let mut random = fastrand::Rng::with_seed(11);
        let mut ends: Vec<Vec<u32>> = vec![Vec::new(); 10];
        let mut picks = [0_u32; 10];
        for now in 0..20_000_u32 {
            for list in &mut ends {
                list.retain(|&end| end > now);
            }
            let (a, b) = draw_two(random.u64(..), 10);
            let busy = |i: usize| (u32::try_from(ends[i].len()).unwrap(), 1);
            let chosen = if second_is_freer(busy(a), busy(b)) { b } else { a };
            picks[chosen] += 1;
            ends[chosen].push(now + if chosen == SLOW { 200 } else { 20 });
        }
        assert!(
            picks[SLOW] < 500,
            "the slow one was picked {} times of 20000; a rotation picks it 2000 times",
            picks[SLOW]
        );
        for (endpoint, &times) in picks.iter().enumerate().skip(1) {
            assert!((1950..2400).contains(&times), "endpoint {endpoint}: {times}");
        }
    }
}
