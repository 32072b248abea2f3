//! Tells a folder of files from endpoints: exchanges below it end at several depths, mostly in the name of a file.

use super::node::Node;

const LEAST: u32 = 30;
/// A depth counts if this share of the exchanges ends at it.
const SHARE: f64 = 0.05;
const DEPTHS: usize = 3;

pub fn is_catch_all(node: &Node) -> bool {
    let Some(inner) = &node.inner else { return false };
    let total: u32 = inner.below.iter().sum();
    let share = f64::from(total) * SHARE;
    total >= LEAST
        && u64::from(inner.files) * 2 > u64::from(total)
        && inner.below.iter().filter(|count| f64::from(**count) >= share).count() >= DEPTHS
}
