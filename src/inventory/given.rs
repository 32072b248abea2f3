//! Places that a file or another program's list names: they are known, and not guessed.

use super::node::{NodeId, SegmentRole};
use super::tree::{ROOT, Tree};

impl Tree {
    /// Fixes the words of a template that a person or a routes file names: they are never merged and never forgotten.
    /// A `{name}` makes its place one of values, a final `{*rest}` is left open. A route that takes `/users/{id}` does not say that
    /// there is no `/users/me`: words that stand out among its values stay words, except where `rest` says that the place has
    /// none, and that everything below a `{*rest}` is one endpoint.
    /// No more is taken once half of the nodes or of the bytes are in use: a file of a hundred thousand routes leaves room to
    /// learn. Whether this one was.
    pub fn give(&mut self, template: &str, rest: bool) -> bool {
        if self.len() > self.bounds.nodes / 2 || self.bytes > self.bounds.bytes / 2 {
            return false;
        }
        let mut at = ROOT;
        for segment in template.trim_start_matches('/').split('/') {
            let Some(open) = segment.find('{') else {
                at = match self.child(at, SegmentRole::Word, segment) {
                    Some(word) => word,
                    None => self.make_word(at, segment),
                };
                self.nodes[at as usize].fixed = true;
                continue;
            };
            let name = segment[open + 1..].split('}').next().unwrap_or("");
            let role = if name.starts_with('*') { SegmentRole::Rest } else { SegmentRole::Parameter };
            if role == SegmentRole::Rest && !rest {
                return true;
            }
            let format = segment.rsplit('}').next().unwrap_or("");
            let format = if role == SegmentRole::Rest { "" } else { format };
            let child = match self.child(at, role, format) {
                Some(child) => child,
                None => self.make(at, role, format, 0),
            };
            self.nodes[child as usize].fixed = true;
            if role == SegmentRole::Parameter && rest {
                // Only now: the words are read as at a place that a parameter is given for.
                let words: Vec<NodeId> = self
                    .node(at)
                    .children()
                    .filter(|child| {
                        let node = self.node(*child);
                        node.role == SegmentRole::Word && !node.fixed && self.split(at, *child).1 == format
                    })
                    .collect();
                self.apply(at, &words);
            }
            if !name.starts_with('*') {
                self.values(child).given = Some(name.into());
            }
            at = child;
        }
        true
    }

    /// The parameter with this format that is given below the node.
    pub(super) fn given(&self, at: NodeId, format: &str) -> Option<NodeId> {
        self.child(at, SegmentRole::Parameter, format).filter(|child| self.node(*child).fixed)
    }

    /// Whether a word below the node is a value of a given parameter, as far as is known: not beside numbers and the like, and not
    /// once it was decided which words stand out.
    pub(super) fn takes_words(&self, at: NodeId, format: &str) -> bool {
        let node = self.node(at);
        let Some(given) = self.given(at, format).filter(|_| !node.open) else { return false };
        let [sure @ .., words] = self.node(given).values.as_ref().map_or([0; 6], |values| values.by_kind);
        let beside = node.children().map(|child| self.node(child)).filter(|child| child.role == SegmentRole::Word);
        let words = u64::from(words) + beside.map(|child| u64::from(child.seen)).sum::<u64>();
        sure.iter().map(|count| u64::from(*count)).sum::<u64>() <= words
    }

    /// Forgets what was given, before another file is: what was counted stays.
    pub fn take_back_given(&mut self) {
        self.shrinks_beyond = (self.bounds.nodes, self.bounds.bytes);
        for node in &mut self.nodes {
            node.fixed = false;
            if let Some(values) = &mut node.values {
                values.given = None;
            }
        }
    }

    fn make_word(&mut self, at: NodeId, word: &str) -> NodeId {
        self.inner(at).words += 1;
        self.make(at, SegmentRole::Word, word, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::{Observation, TreeBounds};

    fn seen(path: &str, client: u32) -> Observation<'_> {
        Observation {
            method: "GET",
            path,
            status: 200,
            client,
            agent: "curl/8.5.0",
            weight: 1,
            minute: 1,
            monolith: true,
            ..Observation::default()
        }
    }

    #[test]
    fn a_word_that_stands_out_beside_a_given_parameter_is_an_endpoint_of_its_own() {
        let paths = |rest: bool| {
            let mut tree = Tree::default();
            tree.give("/users/{id}", rest);
            tree.give("/reports/{name}.json", rest);
            for client in 0..40 {
                tree.add(&seen("/users/me", client));
                tree.add(&seen(&format!("/users/{client}"), client));
                let name = ["anna", "bert", "carla", "dora"][client as usize % 4];
                tree.add(&seen(&format!("/users/{name}"), client));
                // One that is answered with what proves no path.
                tree.add(&Observation { status: 302, ..seen(&format!("/users/gone-{client}"), client) });
                tree.add(&seen("/reports/sales.json", client));
                tree.add(&seen("/reports/overview", client));
            }
            assert_eq!(tree.masked("/users/anna", |_| None), "/users/example", "a value, as far as is known");
            assert_eq!(tree.totals.unknown, 0, "a given parameter takes what nothing is known of");
            tree.settle_for_display();
            tree.endpoints(1).iter().map(|listed| listed.path.clone()).collect::<std::collections::BTreeSet<_>>()
        };
        let expected = ["/reports/overview", "/reports/{}.json", "/users/me", "/users/{}"];
        assert_eq!(paths(false).iter().map(String::as_str).collect::<Vec<_>>(), expected);
        assert!(!paths(true).contains("/users/me"), "a person has said that it is none");
    }

    #[test]
    fn words_beside_a_given_parameter_of_numbers_are_no_values_of_it() {
        let mut tree = Tree::default();
        tree.give("/u/{id}", false);
        for number in 0..20_000_u32 {
            let path = match number % 10 {
                0 => "/u/me".to_owned(),
                1 => "/u/me/settings".to_owned(),
                2 => "/u/dashboard".to_owned(),
                _ => format!("/u/{number}"),
            };
            tree.add(&seen(&path, number % 100));
        }
        tree.settle_for_display();
        let found: Vec<_> = tree.endpoints(1).iter().map(|listed| listed.path.clone()).collect();
        for path in ["/u/me", "/u/me/settings", "/u/dashboard", "/u/{}"] {
            assert!(found.iter().any(|listed| listed == path), "{path}: {found:?}");
        }
    }

    #[test]
    fn a_file_of_very_many_routes_leaves_room_to_learn() {
        let bounds = TreeBounds { nodes: 2_000, bytes: 60 * 1024, every: 1_000 };
        let mut tree = Tree::new(bounds);
        let given = (0..1_000).filter(|number| tree.give(&format!("/things/thing-{number}/{{id}}"), false)).count();
        assert!(given > 10 && tree.bytes() < bounds.bytes, "{given} in {} bytes", tree.bytes());
        // Given nodes grow by their counts, beyond all of the bounds in the end.
        tree.bounds.bytes = tree.bytes() * 9 / 10;
        tree.shrinks_beyond = (tree.bounds.nodes, tree.bounds.bytes);
        tree.add(&seen("/things/thing-0/7", 1));
        for client in 0..10 {
            tree.add(&seen("/basket", client));
        }
        let found: Vec<_> = tree.endpoints(1).iter().map(|listed| listed.path.clone()).collect();
        assert!(found.iter().any(|path| path == "/basket"), "{found:?}");
    }
}
