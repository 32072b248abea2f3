//! Carries decisions out: merges values into their parameter, and keeps the tree within its bounds.

use std::collections::HashMap;

use super::catch_all::is_catch_all;
use super::decide::{Strictness, decide};
use super::node::{Node, NodeId, SegmentRole};
use super::shape;
use super::tree::{ROOT, Tree};
use super::words;

/// After a shrink the tree has this share of its bounds, so that the next one is far away.
const SHRUNK: f64 = 0.9;
/// The share of one file's name among the files of a folder that is none.
const ONE_FILE: f64 = 0.8;
/// A place of files of one kind has this share of them with one ending.
const MOSTLY: f64 = 0.9;
/// At least this many endings are those of files; fewer may be written in the program.
const FEWEST_ENDINGS: usize = 3;

impl Tree {
    /// Decides where it is sure; what is merged stays merged.
    pub fn settle(&mut self) {
        self.settle_below(ROOT, 0, Strictness::Sure);
    }

    /// Decides everywhere, for a display: to be called on a copy.
    pub fn settle_for_display(&mut self) {
        self.settle_below(ROOT, 0, Strictness::Display);
        self.resemble_below(ROOT);
        self.settle_below(ROOT, 0, Strictness::Display);
        self.join_formats(ROOT);
    }

    /// Names of files with several endings are one place: `report.pdf` and `photo.zip` below `/files`.
    fn join_formats(&mut self, at: NodeId) {
        let children: Vec<NodeId> = self.node(at).children().collect();
        for child in &children {
            self.join_formats(*child);
        }
        let is_leaf = |id: &NodeId| {
            let node = self.node(*id);
            node.role == SegmentRole::Parameter && !node.fixed && node.children().next().is_none()
        };
        let is_named = |id: &NodeId| {
            let [numbers, uuids, dates, versions, others, words] =
                self.node(*id).values.as_ref().map_or([0; 6], |values| values.by_kind);
            others + words > numbers + uuids + dates + versions
        };
        let is_file = |id: &NodeId| self.node(*id).name.strip_prefix('.').is_some_and(words::is_file);
        let files: Vec<NodeId> =
            children.iter().copied().filter(|id| is_leaf(id) && is_named(id) && is_file(id)).collect();
        if files.is_empty() {
            return;
        }
        let seen = |id: &NodeId| self.node(*id).seen;
        let (all, most): (u32, u32) = (files.iter().map(seen).sum(), files.iter().map(seen).max().unwrap_or(0));
        // `report.docx`, an ending that no program has in a route.
        let plain = self.child(at, SegmentRole::Parameter, "");
        let has_others = plain.is_some_and(|plain| {
            let values = self.node(plain).values.as_ref();
            let is_file = |mask: &str| mask.rsplit_once('.').is_some_and(|(_, ending)| ending.starts_with('a'));
            values.is_some_and(|values| values.masks.iter().any(|mask| is_file(mask)))
        });
        let are_several = files.len() >= FEWEST_ENDINGS && f64::from(most) <= MOSTLY * f64::from(all);
        if !are_several && !has_others {
            return;
        }
        let into = match plain {
            Some(plain) if is_leaf(&plain) => plain,
            Some(_) => return,
            None => self.make(at, SegmentRole::Parameter, "", self.node(at).first),
        };
        for file in files {
            self.detach(at, file);
            self.merge(into, file);
        }
    }

    fn settle_below(&mut self, at: NodeId, depth: usize, strictness: Strictness) {
        if self.child(at, SegmentRole::Rest, "").is_some() {
            return;
        }
        if depth > 0
            && !self.has_fixed(at)
            && is_catch_all(self.node(at))
            && !self.has_folder_below(at)
            && self.has_several_files(at)
        {
            self.swallow(at);
            return;
        }
        let values = decide(self, at, depth, strictness);
        if !values.is_empty() {
            self.apply(at, &values);
        }
        let children: Vec<NodeId> = self.node(at).children().collect();
        for child in children {
            self.settle_below(child, depth + 1, strictness);
        }
    }

    /// Whether most exchanges have one and the same word further down (`nodes/{name}/proxy/…`): then the folder begins
    /// below that.
    fn has_folder_below(&self, at: NodeId) -> bool {
        let total: u32 = self.node(at).inner.as_ref().map_or(0, |inner| inner.below.iter().sum());
        let mut by_word: HashMap<&str, u32> = HashMap::new();
        for child in self.node(at).children() {
            for next in
                self.node(child).children().map(|next| self.node(next)).filter(|next| next.role == SegmentRole::Word)
            {
                *by_word.entry(&next.name).or_default() += next.seen;
            }
        }
        let most = by_word.values().copied().max().unwrap_or(0);
        let into_one = self.node(at).children().any(|child| {
            let child = self.node(child);
            f64::from(child.seen) >= 0.8 * f64::from(total) && is_catch_all(child)
        });
        into_one || f64::from(most) >= 0.5 * f64::from(total)
    }

    /// Whether the files below are several: `invoice.pdf` below each order makes no folder.
    fn has_several_files(&self, at: NodeId) -> bool {
        let mut by_name: HashMap<&str, u32> = HashMap::new();
        let mut open = vec![at];
        while let Some(node) = open.pop() {
            for child in self.node(node).children() {
                open.push(child);
                let child = self.node(child);
                if child.role != SegmentRole::Word {
                    // Its values are several.
                    if child.counts.iter().any(|count| count.answered > 0) && !child.name.is_empty() {
                        return true;
                    }
                } else if shape::is_file_name(&child.name) {
                    *by_name.entry(&child.name).or_default() += child.seen;
                }
            }
        }
        let most = by_name.values().copied().max().unwrap_or(0);
        by_name.is_empty() || f64::from(most) < ONE_FILE * f64::from(by_name.values().sum::<u32>())
    }

    fn has_fixed(&self, at: NodeId) -> bool {
        self.node(at).children().any(|child| self.node(child).fixed)
    }

    /// Too many words below one node: they are values, all but those that stand out; if not even that, the lightest
    /// quarter is forgotten.
    pub(super) fn squeeze(&mut self, at: NodeId) {
        let values = decide(self, at, usize::from(at != ROOT), Strictness::Forced);
        if !values.is_empty() {
            self.apply(at, &values);
            return;
        }
        let mut words: Vec<(u32, NodeId)> = self
            .node(at)
            .children()
            .filter(|child| self.node(*child).role == SegmentRole::Word && !self.node(*child).fixed)
            .map(|child| (self.node(child).seen, child))
            .collect();
        words.sort_unstable();
        words.truncate((words.len() / 4).max(1));
        for (seen, word) in words {
            self.detach(at, word);
            self.drop_below(word);
            let inner = self.inner(at);
            inner.missed = inner.missed.saturating_add(seen);
        }
    }

    /// Merges these words into the parameter of their format.
    pub(super) fn apply(&mut self, at: NodeId, words: &[NodeId]) {
        self.nodes[at as usize].open = true;
        for word in words {
            let (stem, format) = self.split(at, *word);
            let (stem, format) = (stem.to_owned(), format.to_owned());
            self.detach(at, *word);
            let once = u32::from(self.node(*word).seen == 1);
            let first = self.node(*word).first;
            let parameter = match self.child(at, SegmentRole::Parameter, &format) {
                Some(parameter) => parameter,
                None => self.make(at, SegmentRole::Parameter, &format, first),
            };
            let values = self.values(parameter);
            values.see(&stem, None);
            values.see_others();
            values.words += 1;
            values.once += once;
            self.merge(parameter, *word);
        }
    }

    /// Adds the node `from` and all below it to `into`.
    pub(super) fn merge(&mut self, into: NodeId, from: NodeId) {
        let children: Vec<NodeId> = self.node(from).children().collect();
        for child in children {
            let (role, name) = (self.node(child).role, self.node(child).name.clone());
            if let Some(same) = self.child(into, role, &name) {
                self.merge(same, child);
            } else {
                self.attach(into, child);
                if role == SegmentRole::Word {
                    self.inner(into).words += 1;
                }
            }
        }
        let gone = self.release(from);
        let before = self.node(into).bytes();
        add(&mut self.nodes[into as usize], gone);
        self.bytes = self.bytes + self.node(into).bytes() - before;
    }

    /// Everything below becomes one `{*rest}`.
    fn swallow(&mut self, at: NodeId) {
        let rest = self.make(at, SegmentRole::Rest, "", self.node(at).first);
        let children: Vec<NodeId> = self.node(at).children().filter(|child| *child != rest).collect();
        for child in children {
            self.detach(at, child);
            let seen = self.node(child).seen;
            self.gather(rest, child);
            let node = &mut self.nodes[rest as usize];
            node.seen = node.seen.saturating_add(seen);
        }
    }

    fn gather(&mut self, rest: NodeId, from: NodeId) {
        let children: Vec<NodeId> = self.node(from).children().collect();
        for child in children {
            self.gather(rest, child);
        }
        let gone = self.release(from);
        let before = self.node(rest).bytes();
        let node = &mut self.nodes[rest as usize];
        node.clients.add(gone.clients);
        node.counts.merge(&gone.counts);
        node.last = node.last.max(gone.last);
        node.first = node.first.min(gone.first);
        self.bytes = self.bytes + self.node(rest).bytes() - before;
    }

    /// Forgets the words that were seen least, until the tree is well within its bounds.
    pub(super) fn shrink(&mut self) {
        let nodes = (self.bounds.nodes as f64 * SHRUNK) as usize;
        let bytes = (self.bounds.bytes as f64 * SHRUNK) as usize;
        let mut least = 1;
        while (self.len() > nodes || self.bytes > bytes) && least < u32::MAX / 4 {
            self.prune(ROOT, least);
            least *= 2;
        }
        // Given nodes cannot be forgotten. Where these alone are too much, a shrink at each exchange would find nothing more.
        let (more_nodes, more_bytes) = (self.bounds.nodes - nodes, self.bounds.bytes - bytes);
        self.shrinks_beyond =
            (self.bounds.nodes.max(self.len() + more_nodes), self.bounds.bytes.max(self.bytes + more_bytes));
    }

    fn prune(&mut self, at: NodeId, least: u32) {
        let children: Vec<NodeId> = self.node(at).children().collect();
        for child in children {
            let node = self.node(child);
            if node.seen <= least && !node.fixed && (node.role == SegmentRole::Word || least > 1) {
                self.detach(at, child);
                self.drop_below(child);
            } else {
                self.prune(child, least);
            }
        }
    }
}

fn add(into: &mut Node, from: Node) {
    into.seen = into.seen.saturating_add(from.seen);
    into.open |= from.open;
    into.unproven &= from.unproven;
    into.clients.add(from.clients);
    into.first = into.first.min(from.first);
    into.last = into.last.max(from.last);
    into.counts.merge(&from.counts);
    if let Some(from) = from.inner {
        let inner = into.inner.get_or_insert_default();
        for (own, theirs) in inner.below.iter_mut().zip(from.below) {
            *own = own.saturating_add(theirs);
        }
        inner.files = inner.files.saturating_add(from.files);
        inner.missed = inner.missed.saturating_add(from.missed);
    }
    if let Some(from) = from.values {
        match &mut into.values {
            Some(values) => values.merge(*from),
            None => into.values = Some(from),
        }
    }
}
