//! A path without its values.

use super::node::SegmentRole;
use super::shape;
use super::tree::{ROOT, Tree, VERSION_PLACES};

impl Tree {
    /// The path with an example of its kind for each value, as far as it is known which segments are values.
    #[must_use]
    pub fn masked(&self, path: &str) -> String {
        let mut masked = String::with_capacity(path.len());
        let mut at = Some(ROOT);
        for (place, segment) in path.trim_start_matches('/').split('/').enumerate() {
            masked.push('/');
            let word = at.and_then(|at| self.child(at, SegmentRole::Word, segment));
            let (stem, format) = shape::split_format(segment);
            let is_version = place < VERSION_PLACES && shape::is_version(segment);
            let kind = if is_version { None } else { shape::value(stem) };
            let is_word = word.is_some_and(|word| self.nodes[word as usize].fixed) || kind.is_none() && word.is_some();
            if is_word || segment.is_empty() || is_version {
                masked.push_str(segment);
                at = word;
                continue;
            }
            masked.push_str(shape::example(kind));
            masked.push_str(format);
            at = at.and_then(|at| {
                self.child(at, SegmentRole::Parameter, format).or_else(|| self.child(at, SegmentRole::Rest, ""))
            });
        }
        masked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_replaced_and_words_that_are_known_stay() {
        let mut tree = Tree::default();
        for template in ["/orders/{id}/items", "/users/me", "/users/{name}"] {
            tree.give(template, false);
        }
        for (path, masked) in [
            ("/orders/8211/items", "/orders/42/items"),
            ("/users/me", "/users/me"),
            ("/users/alice", "/users/example"),
            ("/secret-place/8f14e45fceea167a5a36dedd4bea2543", "/example/a1b2c3d4e5"),
            ("/", "/"),
        ] {
            assert_eq!(tree.masked(path), masked, "{path}");
        }
    }
}
