//! Smooth weighted round robin, unrolled: the order of one whole turn, so that a pick is one counter and one look.

/// Longest turn kept. Finer weights are rounded: with 1000 places the error of a share is below 0.1 %.
const LONGEST: u64 = 1000;

/// The order in which endpoints are picked, over and over. Empty when no weight is above 0.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Turn {
    order: Box<[u16]>,
}

impl Turn {
    /// Nginx's rule: each step every endpoint gains its weight, the richest is picked and pays the sum of all.
    /// So picks of one endpoint are spread over the turn instead of following each other.
    pub fn new(weights: &[u32]) -> Self {
        let weights = shortened(weights);
        let sum: i64 = weights.iter().sum();
        let mut credit = vec![0_i64; weights.len()];
        let mut order = Vec::with_capacity(usize::try_from(sum).unwrap_or(0));
        for _ in 0..sum {
            for (credit, weight) in credit.iter_mut().zip(&weights) {
                *credit += weight;
            }
            // The first of equals, so that the order is the same on every replica.
            let richest = (0..credit.len()).rev().max_by_key(|&i| credit[i]).expect("a sum above 0 has a weight");
            credit[richest] -= sum;
            order.push(u16::try_from(richest).unwrap_or(u16::MAX));
        }
        Self { order: order.into() }
    }

    pub fn len(&self) -> usize {
        self.order.len()
    }

    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The endpoint that is picked at this step, for ever; `None` when there is none.
    pub fn at(&self, step: usize) -> Option<usize> {
        let place = step.checked_rem(self.order.len())?;
        Some(usize::from(self.order[place]))
    }
}

/// The same proportions in the smallest numbers, with a bounded sum.
fn shortened(weights: &[u32]) -> Vec<i64> {
    let divisor = weights.iter().copied().fold(0, greatest_common_divisor).max(1);
    let sum: u64 = weights.iter().map(|w| u64::from(w / divisor)).sum();
    weights
        .iter()
        .map(|&w| {
            let reduced = u64::from(w / divisor);
            // An endpoint with a weight keeps at least one place.
            let bounded = if sum <= LONGEST { reduced } else { (reduced * LONGEST / sum).max(u64::from(w > 0)) };
            i64::try_from(bounded).expect("bounded by LONGEST")
        })
        .collect()
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letters(turn: &Turn) -> String {
        (0..turn.len()).map(|step| char::from(b'a' + u8::try_from(turn.at(step).unwrap()).unwrap())).collect()
    }

    #[test]
    fn picks_of_a_heavy_endpoint_are_spread_over_the_turn() {
        for (weights, order) in [
            (&[1, 1, 1][..], "abc"),
            (&[5, 1, 1], "aabacaa"),
            (&[7, 7], "ab"),
            (&[20, 10], "aba"),
            (&[0, 3], "b"),
            (&[0, 0], ""),
            (&[], ""),
        ] {
            assert_eq!(letters(&Turn::new(weights)), order, "{weights:?}");
        }
    }

    #[test]
    fn every_turn_gives_each_endpoint_exactly_its_share() {
        let weights = [5, 3, 2];
        let turn = Turn::new(&weights);
        for (endpoint, weight) in weights.iter().enumerate() {
            let picks = (0..10_000).filter(|&step| turn.at(step) == Some(endpoint)).count();
            assert_eq!(picks, usize::try_from(*weight).unwrap() * 1000);
        }
    }

    #[test]
    fn huge_and_uneven_weights_stay_small_and_within_a_tenth_of_a_percent() {
        let weights = [4_000_000_007, 1_999_999_973, 1];
        let turn = Turn::new(&weights);
        assert!(turn.len() <= 1001, "{}", turn.len());
        let sum: f64 = weights.iter().map(|&w| f64::from(w)).sum();
        for (endpoint, &weight) in weights.iter().enumerate() {
            let picks = (0..turn.len()).filter(|&step| turn.at(step) == Some(endpoint)).count();
            let share = f64::from(u32::try_from(picks).unwrap()) / f64::from(u32::try_from(turn.len()).unwrap());
            assert!((share - f64::from(weight) / sum).abs() < 0.001, "endpoint {endpoint}: {share}");
            assert!(picks > 0, "endpoint {endpoint} has a weight and is never picked");
        }
    }
}
