//! The bucket of a client: the same on every replica, after every restart, in every later version.

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// A share of 100 % is this many buckets.
pub const BUCKETS: u16 = 10_000;

/// 0 to 9 999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bucket(pub u16);

/// `xxh3_64(cohort ‖ 0x00 ‖ unit) mod 10 000`, seed 0. Pinned by golden values: changing it moves every client.
#[must_use]
pub fn bucket(cohort: &str, unit: &[u8]) -> Bucket {
    const ON_STACK: usize = 240;
    let length = cohort.len() + 1 + unit.len();
    let hash = if length <= ON_STACK {
        // The short-input path of the hash needs one slice; a buffer on the stack is cheaper than its streaming state.
        let mut joined = [0_u8; ON_STACK];
        joined[..cohort.len()].copy_from_slice(cohort.as_bytes());
        joined[cohort.len() + 1..length].copy_from_slice(unit);
        xxh3_64(&joined[..length])
    } else {
        let mut state = Xxh3::new();
        state.update(cohort.as_bytes());
        state.update(&[0]);
        state.update(unit);
        state.digest()
    };
    Bucket(u16::try_from(hash % u64::from(BUCKETS)).expect("a remainder of 10 000 fits in 16 bits"))
}
