//! A path without its values.

use std::borrow::Cow;

use super::node::{NodeId, SegmentRole};
use super::shape::{self, Ends, SegmentKind};
use super::tree::{ROOT, Tree};

impl Tree {
    /// The path with an example of its kind for each value, as far as it is known which segments are values. `kept` gives what
    /// stays of a segment that would be replaced.
    #[must_use]
    pub fn masked(&self, path: &str, kept: impl for<'a> Fn(&'a str) -> Option<Cow<'a, str>>) -> String {
        let mut masked = String::with_capacity(path.len());
        let mut at = Some(ROOT);
        let mut segments = path.trim_start_matches('/').split('/').enumerate().peekable();
        while let Some((place, segment)) = segments.next() {
            let last = segments.peek().is_none();
            masked.push('/');
            let (read, known) = self.find(at, segment, place, last);
            // Beside a given parameter a word is a value until it stands out.
            let may_be_value = |at: NodeId| self.takes_words(at, read.format);
            let is_word = known.is_some_and(|known| {
                let node = self.node(known);
                node.role == SegmentRole::Word && (node.fixed || !at.is_some_and(may_be_value))
            });
            if is_word || segment.is_empty() || read.is_version {
                masked.push_str(segment);
                at = known;
                continue;
            }
            if let Some(kept) = kept(segment) {
                masked.push_str(&kept);
            } else {
                masked.push_str(shape::example(read.kind));
                masked.push_str(read.format);
            }
            at = known.or_else(|| at.and_then(|at| self.child(at, SegmentRole::Parameter, read.format)));
        }
        masked
    }
}

/// The example in the place of one value of a path.
#[must_use]
pub fn masked_value(value: &str) -> &'static str {
    // Not in the first places: a version of the interface would stay.
    shape::example(shape::read(value, usize::MAX, Ends::Before).kind)
}

/// Whether such a segment would have been replaced by this one of a masked path.
#[must_use]
pub fn may_stand_for(masked: &str, segment: &str) -> bool {
    [Ends::Here, Ends::Before].into_iter().any(|ends| {
        let read = shape::read(segment, usize::MAX, ends);
        masked.strip_prefix(shape::example(read.kind)) == Some(read.format)
    })
}

/// A masked path as a template: the names that an inventory gives to such parameters in the place of the examples.
#[must_use]
pub fn unmasked(path: &str) -> String {
    let mut names: Vec<&str> = Vec::new();
    let last = path.matches('/').count();
    let segments = path.split('/').enumerate().map(|(place, segment)| {
        let (stem, format) = shape::split(segment, if place == last { Ends::Here } else { Ends::Before });
        let kinds =
            [SegmentKind::Number, SegmentKind::Uuid, SegmentKind::Other, SegmentKind::Date, SegmentKind::Version]
                .map(Some);
        let Some(kind) = kinds.into_iter().chain([None]).find(|kind| shape::example(*kind) == stem) else {
            return segment.to_owned();
        };
        let name = match kind {
            Some(SegmentKind::Number | SegmentKind::Uuid | SegmentKind::Other) => "id",
            Some(SegmentKind::Date) => "date",
            Some(SegmentKind::Version) => "version",
            None => "slug",
        };
        names.push(name);
        match names.iter().filter(|other| **other == name).count() {
            1 => format!("{{{name}}}{format}"),
            number => format!("{{{name}{number}}}{format}"),
        }
    });
    segments.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_path_becomes_a_template() {
        for (masked, template) in [
            ("/orders/42/items/42.json", "/orders/{id}/items/{id2}.json"),
            ("/users/example/on/2024-05-01", "/users/{slug}/on/{date}"),
            ("/users/me", "/users/me"),
            ("/", "/"),
        ] {
            assert_eq!(unmasked(masked), template);
        }
    }

    fn me_too(segment: &str) -> Option<Cow<'_, str>> {
        (segment == "me-too").then_some(Cow::Borrowed(segment))
    }

    #[test]
    fn values_are_replaced_and_words_that_are_known_stay() {
        let mut tree = Tree::default();
        for template in ["/orders/{id}/items", "/users/me", "/users/{name}"] {
            tree.give(template, false);
        }
        assert_eq!(tree.masked("/users/me-too", me_too), "/users/me-too");
        assert_eq!(tree.masked("/users/me-two", me_too), "/users/example");
        for (path, masked) in [
            ("/orders/8211/items", "/orders/42/items"),
            ("/users/me", "/users/me"),
            ("/users/alice", "/users/example"),
            ("/secret-place/8f14e45fceea167a5a36dedd4bea2543", "/example/a1b2c3d4e5"),
            ("/", "/"),
        ] {
            assert_eq!(tree.masked(path, |_| None), masked, "{path}");
        }
    }
}
