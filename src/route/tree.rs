//! The tree of segments: nodes in one vector, children found by one hash index over all of them.
//!
//! A step down costs one probe of the index however many siblings there are, and a node has no map of its own, so that
//! many routes need little memory.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::segment::Parameter;

/// No node, or no list.
pub(super) const NONE: u32 = u32::MAX;

/// A run of `Tree::entries`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Run {
    pub(super) start: u32,
    pub(super) length: u32,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    parent: u32,
    label: u32,
    /// Bytes of the label; of a parameter with affixes, of its prefix.
    prefix: u32,
    /// Bytes of a parameter's suffix, which follows the prefix in the label; `NONE`: a literal or a host.
    suffix: u32,
    /// The child for `{name}` without affixes.
    pub(super) parameter: u32,
    /// The lengths of the affixes of its other children, in `Tree::affixes`.
    affixes: u32,
    /// Entries of the templates that end here.
    pub(super) end: Run,
    /// Entries of the templates that go on with a catch-all.
    pub(super) rest: Run,
}

/// The lengths of a prefix and a suffix. Among the children of one node with these lengths at most one takes a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AffixLengths {
    pub(super) prefix: u32,
    pub(super) suffix: u32,
}

impl AffixLengths {
    pub(super) const fn total(self) -> u32 {
        self.prefix + self.suffix
    }
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    hash: u32,
    node: u32,
}

const EMPTY: Slot = Slot { hash: 0, node: NONE };

#[derive(Debug, Default)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    labels: Vec<u8>,
    /// Open addressing with linear probing; the length is a power of two, at most two thirds are taken.
    slots: Vec<Slot>,
    /// Longest first.
    affixes: Vec<Vec<AffixLengths>>,
}

impl Tree {
    pub(super) fn node(&self, node: u32) -> &Node {
        &self.nodes[node as usize]
    }

    pub(super) fn node_mut(&mut self, node: u32) -> &mut Node {
        &mut self.nodes[node as usize]
    }

    pub(super) fn affixes(&self, node: u32) -> &[AffixLengths] {
        match self.node(node).affixes {
            NONE => &[],
            list => &self.affixes[list as usize],
        }
    }

    /// The child for a literal; below a parent that is no node, the root for a host.
    pub(super) fn literal(&self, parent: u32, label: &[u8]) -> Option<u32> {
        let hash = hash(parent, label, None);
        self.probe(hash, |node| node.parent == parent && node.suffix == NONE && self.label(node) == label)
    }

    /// The child for a parameter with these affixes.
    pub(super) fn affixed(&self, parent: u32, prefix: &[u8], suffix: &[u8]) -> Option<u32> {
        self.probe(hash(parent, prefix, Some(suffix)), |node| {
            node.parent == parent
                && node.prefix as usize == prefix.len()
                && node.suffix as usize == suffix.len()
                && self.label(node).strip_prefix(prefix) == Some(suffix)
        })
    }

    pub(super) fn insert_literal(&mut self, parent: u32, label: &[u8]) -> u32 {
        if let Some(node) = self.literal(parent, label) {
            return node;
        }
        let node = self.add(parent, label, &[], true);
        self.index(hash(parent, label, None), node);
        node
    }

    /// The labels are lower case when case does not count.
    pub(super) fn insert_parameter(&mut self, parent: u32, parameter: &Parameter, fold: bool) -> u32 {
        if parameter.literal_bytes() == 0 {
            if self.node(parent).parameter == NONE {
                let node = self.add(parent, &[], &[], false);
                self.node_mut(parent).parameter = node;
            }
            return self.node(parent).parameter;
        }
        let (prefix, suffix) = (folded(&parameter.prefix, fold), folded(&parameter.suffix, fold));
        if let Some(node) = self.affixed(parent, &prefix, &suffix) {
            return node;
        }
        let node = self.add(parent, &prefix, &suffix, false);
        self.index(hash(parent, &prefix, Some(&suffix)), node);
        self.note_lengths(parent, AffixLengths { prefix: length(prefix.len()), suffix: length(suffix.len()) });
        node
    }

    fn note_lengths(&mut self, parent: u32, lengths: AffixLengths) {
        if self.node(parent).affixes == NONE {
            self.node_mut(parent).affixes = length(self.affixes.len());
            self.affixes.push(Vec::new());
        }
        let list = &mut self.affixes[self.nodes[parent as usize].affixes as usize];
        if !list.contains(&lengths) {
            let at = list.partition_point(|other| other.total() >= lengths.total());
            list.insert(at, lengths);
        }
    }

    fn add(&mut self, parent: u32, prefix: &[u8], suffix: &[u8], literal: bool) -> u32 {
        let label = length(self.labels.len());
        self.labels.extend_from_slice(prefix);
        self.labels.extend_from_slice(suffix);
        self.nodes.push(Node {
            parent,
            label,
            prefix: length(prefix.len()),
            suffix: if literal { NONE } else { length(suffix.len()) },
            parameter: NONE,
            affixes: NONE,
            end: Run::default(),
            rest: Run::default(),
        });
        length(self.nodes.len() - 1)
    }

    fn label(&self, node: &Node) -> &[u8] {
        let suffix = if node.suffix == NONE { 0 } else { node.suffix as usize };
        &self.labels[node.label as usize..][..node.prefix as usize + suffix]
    }

    fn probe(&self, hash: u32, is_it: impl Fn(&Node) -> bool) -> Option<u32> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot.node == NONE {
                return None;
            }
            if slot.hash == hash && is_it(self.node(slot.node)) {
                return Some(slot.node);
            }
            at = (at + 1) & mask;
        }
    }

    fn index(&mut self, hash: u32, node: u32) {
        // Every node but the plain parameters has a slot, so this counts a few too many.
        if self.nodes.len() * 3 >= self.slots.len() * 2 {
            let larger = vec![EMPTY; (self.slots.len() * 2).max(16)];
            for slot in std::mem::replace(&mut self.slots, larger) {
                if slot.node != NONE {
                    place(&mut self.slots, slot);
                }
            }
        }
        place(&mut self.slots, Slot { hash, node });
    }

    pub(super) fn shrink(&mut self) {
        self.nodes.shrink_to_fit();
        self.labels.shrink_to_fit();
        self.affixes.shrink_to_fit();
    }

    pub(super) fn bytes(&self) -> usize {
        let lists: usize = self.affixes.iter().map(|list| size_of_val(list) + size_of_val(&**list)).sum();
        size_of_val(&*self.nodes) + size_of_val(&*self.slots) + self.labels.len() + lists
    }
}

fn place(slots: &mut [Slot], slot: Slot) {
    let mask = slots.len() - 1;
    let mut at = slot.hash as usize & mask;
    while slots[at].node != NONE {
        at = (at + 1) & mask;
    }
    slots[at] = slot;
}

/// The keys come from the file alone, so the hash needs no secret.
fn hash(parent: u32, prefix: &[u8], suffix: Option<&[u8]>) -> u32 {
    let seed = u64::from(parent).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut hash = xxh3_64_with_seed(prefix, seed);
    if let Some(suffix) = suffix {
        hash = xxh3_64_with_seed(suffix, hash);
    }
    (hash >> 32) as u32
}

/// Lower case when case does not count.
pub(super) fn folded(text: &str, fold: bool) -> Vec<u8> {
    if fold { text.as_bytes().to_ascii_lowercase() } else { text.as_bytes().to_vec() }
}

fn length(length: usize) -> u32 {
    u32::try_from(length).expect("a file of routes has less than 4 GiB")
}
