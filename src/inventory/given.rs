//! Places that a file or another program's list names: they are known, and not guessed.

use super::node::{NodeId, SegmentRole};
use super::shape;
use super::tree::{ROOT, Tree};

impl Tree {
    /// Fixes the words of a template that a person or a routes file names: they are never merged and never forgotten.
    /// A `{name}` makes its place one of values; a final `{*rest}` is left open, except where `rest` says that
    /// everything below is one endpoint.
    /// No more is taken once half of the nodes are in use: a file of a hundred thousand routes leaves room to learn. Whether
    /// this one was.
    pub fn give(&mut self, template: &str, rest: bool) -> bool {
        if self.len() > self.bounds.nodes / 2 {
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
            if role == SegmentRole::Parameter {
                let words: Vec<NodeId> = self
                    .node(at)
                    .children()
                    .filter(|child| {
                        let child = self.node(*child);
                        child.role == SegmentRole::Word && !child.fixed && shape::split_format(&child.name).1 == format
                    })
                    .collect();
                self.apply(at, &words);
            }
            let child = match self.child(at, role, format) {
                Some(child) => child,
                None => self.make(at, role, format, 0),
            };
            if !name.starts_with('*') {
                self.values(child).given = Some(name.into());
            }
            self.nodes[child as usize].fixed = true;
            at = child;
        }
        true
    }

    /// Forgets what was given, before another file is: what was counted stays.
    pub fn take_back_given(&mut self) {
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
