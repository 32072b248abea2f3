//! Consistent hashing: which endpoint a sticky unit belongs to, moving as few units as possible when endpoints come and go.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Points per endpoint of average weight. With 160 (ketama's number) shares are within about a tenth of even.
const POINTS: u64 = 160;
/// However uneven the weights, no endpoint fills the ring.
const MOST_POINTS: u64 = 16 * POINTS;

/// Points on a circle of 64-bit numbers, each owned by an endpoint. A unit belongs to the owner of the next point.
#[derive(Debug, Clone, Default)]
pub struct Ring {
    points: Box<[(u64, u16)]>,
}

impl Ring {
    /// Endpoints by the text of their address and their weight; a weight of 0 owns nothing.
    /// The points of an endpoint depend on its address alone, so every replica builds the same ring.
    pub fn new<'a>(endpoints: impl Iterator<Item = (&'a str, u32)> + Clone) -> Self {
        let (count, sum) =
            endpoints.clone().fold((0, 0), |(n, sum), (_, w)| (n + u64::from(w > 0), sum + u64::from(w)));
        let mut points = Vec::new();
        for (index, (address, weight)) in endpoints.enumerate() {
            let owned = (POINTS * u64::from(weight) * count).checked_div(sum).unwrap_or(0);
            let owned = owned.clamp(u64::from(weight > 0), MOST_POINTS);
            let place = u16::try_from(index).unwrap_or(u16::MAX);
            points.extend((0..owned).map(|point| (xxh3_64_with_seed(address.as_bytes(), point), place)));
        }
        points.sort_unstable();
        Self { points: points.into() }
    }

    /// The endpoints in the order in which a unit prefers them: the owner first, then the one that would own it if the owner were
    /// gone, and so on. An endpoint may come more than once.
    pub fn owners(&self, unit: u64) -> impl Iterator<Item = usize> + '_ {
        let place = xxh3_64_with_seed(&unit.to_le_bytes(), 0);
        let start = self.points.partition_point(|&(point, _)| point < place);
        self.points[start..].iter().chain(&self.points[..start]).map(|&(_, owner)| usize::from(owner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(addresses: &[(String, u32)]) -> Ring {
        Ring::new(addresses.iter().map(|(address, weight)| (address.as_str(), *weight)))
    }

    fn addresses(count: u32) -> Vec<(String, u32)> {
        (0..count).map(|i| (format!("10.0.0.{i}:7001"), 1)).collect()
    }

    #[test]
    fn every_endpoint_owns_about_its_share_of_the_units() {
        let ring = ring(&addresses(10));
        let mut owned = [0_u32; 10];
        for unit in 0..100_000 {
            owned[ring.owners(unit).next().unwrap()] += 1;
        }
        for (endpoint, &units) in owned.iter().enumerate() {
            assert!((7_500..12_500).contains(&units), "endpoint {endpoint} owns {units} of 100000");
        }
    }

    #[test]
    fn a_weight_of_three_owns_three_times_as_much() {
        let ring = ring(&[("10.0.0.1:1".into(), 3), ("10.0.0.2:1".into(), 1), ("10.0.0.3:1".into(), 0)]);
        let mut owned = [0_u32; 3];
        for unit in 0..40_000 {
            owned[ring.owners(unit).next().unwrap()] += 1;
        }
        assert!((27_000..33_000).contains(&owned[0]), "{owned:?}");
        assert_eq!(owned[2], 0, "{owned:?}");
    }

    #[test]
    fn one_endpoint_more_moves_about_its_share_and_only_to_itself() {
        let (before, after) = (addresses(9), addresses(10));
        let (ring_before, ring_after) = (ring(&before), ring(&after));
        let mut moved = 0;
        for unit in 0..100_000 {
            let (from, to) = (ring_before.owners(unit).next().unwrap(), ring_after.owners(unit).next().unwrap());
            if from != to {
                assert_eq!(to, 9, "unit {unit} moved between endpoints that stayed");
                moved += 1;
            }
        }
        assert!((7_500..12_500).contains(&moved), "{moved} of 100000 units moved, 10000 are its share");
    }

    #[test]
    fn without_its_owner_a_unit_goes_where_a_ring_without_the_owner_would_send_it() {
        let all = addresses(5);
        let full = ring(&all);
        for unit in 0..2_000 {
            let owner = full.owners(unit).next().unwrap();
            let second = full.owners(unit).find(|&other| other != owner).unwrap();
            let rest: Vec<_> = all.iter().enumerate().filter(|&(i, _)| i != owner).map(|(_, e)| e.clone()).collect();
            // Weights relative to the average stay 1, so the points of the others are the same.
            let in_rest = ring(&rest).owners(unit).next().unwrap();
            assert_eq!(all[second], rest[in_rest]);
        }
    }

    #[test]
    fn an_empty_ring_has_no_owner() {
        assert_eq!(ring(&[]).owners(1).next(), None);
        assert_eq!(ring(&[("a:1".into(), 0)]).owners(1).next(), None);
    }

    #[test]
    fn owners_are_the_same_in_every_version() {
        let ring = ring(&addresses(4));
        let golden: Vec<_> = (0..12).map(|unit| ring.owners(unit).next().unwrap()).collect();
        assert_eq!(golden, GOLDEN);
    }

    const GOLDEN: [usize; 12] = [3, 3, 2, 3, 0, 0, 2, 0, 3, 2, 3, 3];
}
