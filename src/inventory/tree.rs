//! The tree of segments that exchanges are counted in, bounded in nodes and in bytes.

use super::counts::{MethodCount, MethodId, is_existing, is_missing};
use super::credit::Credit;
use super::days::Days;
use super::exchange::Observation;
use super::node::{Clients, Inner, Node, NodeId, SegmentRole};
use super::shape::{self, Ends, PlacedSegment, SegmentKind};
use super::unproven::Unproven;
use super::values::{BYTES, Values, hash};

/// Words below one node; more of them are values.
const MOST_WORDS: u16 = 128;
/// Applications have no deeper paths; a bomb of slashes makes no nodes.
const MOST_SEGMENTS: usize = 48;
/// Where a site has its own words, and where scanners look for what it does not have.
const FIRST_PLACES: usize = 2;
/// Longer paths are counted and taken for nothing.
const LONGEST_PATH: usize = 4_096;

pub const ROOT: NodeId = 0;

/// Sizes that the tree never exceeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeBounds {
    pub nodes: usize,
    pub bytes: usize,
    /// Exchanges between two decisions.
    pub every: u64,
}

impl Default for TreeBounds {
    fn default() -> Self {
        Self { nodes: 20_000, bytes: 2_457 * 1024, every: 10_000 }
    }
}

/// Totals of the exchanges that were learned, and of the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LearnedTotals {
    /// All exchanges, weighted.
    pub requests: u64,
    /// Exchanges at places that are not known, weighted: scanners, mostly, but also paths that were only answered with
    /// statuses that prove no path, as 302 and 401.
    pub unknown: u64,
    /// Exchanges that no tree could take: too deep or too long.
    pub refused: u64,
    /// Exchanges learned from.
    pub learned: u64,
    /// Earliest and latest minute.
    pub since: u32,
    pub until: u32,
}

#[derive(Debug, Clone)]
pub struct Tree {
    pub(super) nodes: Vec<Node>,
    free: Vec<NodeId>,
    pub(super) bytes: usize,
    pub(super) bounds: TreeBounds,
    /// The nodes and bytes beyond which the tree is shrunk: its bounds, or more where what is given is larger than they are.
    pub(super) shrinks_beyond: (usize, usize),
    pub(super) credit: Credit,
    pub(super) unproven: Unproven,
    pub totals: LearnedTotals,
    /// The paths that are not known, as an estimate of their number.
    pub(super) unknown_paths: Values,
    /// The monolith's answers at places that are not known, without those that say that there is nothing, weighted.
    pub(super) strays: Days,
    pub peak: usize,
}

impl Default for Tree {
    fn default() -> Self {
        Self::new(TreeBounds::default())
    }
}

impl Tree {
    #[must_use]
    pub fn new(bounds: TreeBounds) -> Self {
        Self {
            nodes: vec![Node::new(SegmentRole::Word, "", 0)],
            free: Vec::new(),
            bytes: 0,
            bounds,
            shrinks_beyond: (bounds.nodes, bounds.bytes),
            credit: Credit::new(),
            unproven: Unproven::default(),
            totals: LearnedTotals::default(),
            unknown_paths: Values::default(),
            strays: Days::default(),
            peak: 1,
        }
    }

    /// Nodes in use.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len() - self.free.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.totals.learned == 0
    }

    /// Bytes in use, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// About how many different paths were asked that are not known.
    #[must_use]
    pub fn unknown_paths(&self) -> u64 {
        self.unknown_paths.kinds().min(self.totals.unknown)
    }

    /// The counts of all places.
    pub(super) fn counts(&self) -> impl Iterator<Item = &MethodCount> {
        self.nodes.iter().flat_map(|node| node.counts.iter())
    }

    /// Counts one exchange, and makes nodes for it if its answer says that the path exists.
    pub fn add(&mut self, exchange: &Observation<'_>) {
        let weight = u64::from(exchange.weight);
        self.totals.requests += weight;
        self.totals.learned += 1;
        if exchange.minute > 0 && (self.totals.since == 0 || exchange.minute < self.totals.since) {
            self.totals.since = exchange.minute;
        }
        self.totals.until = self.totals.until.max(exchange.minute);
        let Some(path) = exchange.path.strip_prefix('/').filter(|path| path.len() < LONGEST_PATH) else {
            self.totals.refused += weight;
            return;
        };
        let segments = path.matches('/').count() + 1;
        if segments > MOST_SEGMENTS {
            self.totals.refused += weight;
            return;
        }
        self.walk(exchange, path, segments);
        if self.totals.learned.is_multiple_of(self.bounds.every) {
            self.settle();
        }
        self.peak = self.peak.max(self.len());
        if self.len() > self.shrinks_beyond.0 || self.bytes > self.shrinks_beyond.1 {
            self.settle();
            self.shrink();
        }
    }

    fn walk(&mut self, exchange: &Observation<'_>, path: &str, segments: usize) {
        let bucket = Credit::bucket(exchange.client);
        let exists = is_existing(exchange.status);
        let may_teach = self.credit.allows(bucket);
        let is_proven = may_teach && !exists && self.is_proven(exchange, path, bucket);
        let teaches = may_teach && exists || is_proven;
        let is_file = shape::is_file_name(path.rsplit('/').next().unwrap_or(path));
        let (mut at, mut made) = (ROOT, 0_u16);
        for (place, segment) in path.split('/').enumerate() {
            let inner = self.inner(at);
            inner.below[(segments - 1 - place).min(3)] += 1;
            inner.files += u32::from(is_file);
            let last = place + 1 == segments;
            let Some((next, new)) = self.step(at, segment, (place, last), exchange, teaches) else {
                self.totals.unknown += u64::from(exchange.weight);
                if exchange.monolith && !is_missing(exchange.status) {
                    self.strays.add(exchange.minute, exchange.weight);
                }
                if exists && !may_teach && place < FIRST_PLACES {
                    self.credit.refuse(bucket, exchange.path);
                }
                self.unknown_paths.see(exchange.path, None);
                return;
            };
            made += u16::from(new);
            let node = &mut self.nodes[next as usize];
            node.seen = node.seen.saturating_add(1);
            node.last = node.last.max(exchange.minute);
            at = next;
            if node.role == SegmentRole::Rest {
                break;
            }
        }
        if made > 0 {
            self.credit.spend(bucket, made);
        } else if exchange.status < 400 {
            self.credit.earn(bucket);
        }
        let node = &mut self.nodes[at as usize];
        if (exchange.status < 400 || exchange.status == 401) && !self.credit.is_sunk(bucket) {
            node.clients.add(Clients::One(bucket));
        }
        node.unproven = !exists && (node.unproven || is_proven && node.counts.is_empty());
        let before = node.bytes();
        node.counts.of(MethodId::of(exchange.method)).add(exchange);
        self.bytes = self.bytes + node.bytes() - before;
    }

    /// Counts the bytes anew, after the nodes were filled in from outside.
    pub(super) fn recount(&mut self) {
        self.bytes = self.counted_bytes();
        self.peak = self.len();
    }

    /// The right value of the count of bytes.
    pub(super) fn counted_bytes(&self) -> usize {
        self.nodes
            .iter()
            .zip(0..)
            .filter(|(_, id)| *id != ROOT && !self.free.contains(id))
            .map(|(node, _)| node.bytes())
            .sum::<usize>()
            + self.node(ROOT).bytes()
            - Node::new(SegmentRole::Word, "", 0).bytes()
    }

    /// The child that the segment leads to, and whether it is a new word.
    fn step(
        &mut self,
        at: NodeId,
        segment: &str,
        (place, last): (usize, bool),
        exchange: &Observation<'_>,
        teaches: bool,
    ) -> Option<(NodeId, bool)> {
        let (PlacedSegment { stem, format, kind, .. }, known) = self.find(Some(at), segment, place, last);
        if let Some(known) = known {
            match (self.node(known).role, kind) {
                (SegmentRole::Parameter, None) => self.values(known).see(stem, None),
                (SegmentRole::Parameter, Some(kind)) => self.see_value(known, segment, stem, kind, place),
                _ => {}
            }
            return Some((known, false));
        }
        let given = if kind.is_none() { self.given(at, format) } else { None };
        if !teaches {
            if let Some(given) = given {
                self.values(given).see(stem, None);
                return Some((given, false));
            }
            self.miss(at);
            return None;
        }
        if let Some(kind) = kind {
            let parameter = self.make(at, SegmentRole::Parameter, format, exchange.minute);
            self.see_value(parameter, segment, stem, kind, place);
            return Some((parameter, false));
        }
        let word = self.make(at, SegmentRole::Word, segment, exchange.minute);
        let words = &mut self.inner(at).words;
        *words += 1;
        if *words > MOST_WORDS {
            self.squeeze(at);
            let node =
                self.child(at, SegmentRole::Word, segment).or_else(|| self.child(at, SegmentRole::Parameter, format));
            return node.map(|node| (node, true));
        }
        Some((word, given.is_none()))
    }

    /// The segment as it is read below the node, and where an exchange goes with it, if that is known. Below no node nothing is.
    pub(super) fn find<'a>(
        &self,
        at: Option<NodeId>,
        segment: &'a str,
        place: usize,
        last: bool,
    ) -> (PlacedSegment<'a>, Option<NodeId>) {
        let Some(at) = at else {
            return (shape::read(segment, place, if last { Ends::Here } else { Ends::Before }), None);
        };
        let read = shape::read(segment, place, self.ends(at, segment, last));
        let word = self.child(at, SegmentRole::Word, segment);
        let fixed = word.filter(|word| self.node(*word).fixed);
        let other = || match read.kind {
            None if word.is_some() => word,
            None if segment.is_empty() || !self.node(at).open || self.is_given_otherwise(at, segment) => None,
            _ => self.child(at, SegmentRole::Parameter, read.format),
        };
        (read, fixed.or_else(|| self.child(at, SegmentRole::Rest, "")).or_else(other))
    }

    /// Whether the word is one of a file in another case: `Users` where a route has `users`.
    pub(super) fn is_given_otherwise(&self, at: NodeId, word: &str) -> bool {
        let lower = || self.child(at, SegmentRole::Word, &word.to_ascii_lowercase());
        word.bytes().any(|byte| byte.is_ascii_uppercase()) && lower().is_some_and(|lower| self.node(lower).fixed)
    }

    fn see_value(&mut self, parameter: NodeId, segment: &str, stem: &str, kind: SegmentKind, place: usize) {
        let values = self.values(parameter);
        values.see(stem, Some(kind));
        if !matches!(kind, SegmentKind::Number | SegmentKind::Date | SegmentKind::Version) {
            values.see_others();
        } else if place < 3 {
            values.see_only(segment);
        }
    }

    /// How a segment below the node is read. Where a file or a list names a parameter and none with this ending, it takes pictures
    /// and scripts, too.
    fn ends(&self, at: NodeId, segment: &str, last: bool) -> Ends {
        let has_own = || self.given(at, shape::split(segment, Ends::Here).1).is_some();
        if last && (self.given(at, "").is_none() || has_own()) { Ends::Here } else { Ends::Before }
    }

    /// A word below the node without its format, and the format: as the exchanges that made it were read.
    pub(super) fn split(&self, at: NodeId, word: NodeId) -> (&str, &str) {
        let word = self.node(word);
        shape::split(&word.name, self.ends(at, &word.name, word.children().next().is_none()))
    }

    fn miss(&mut self, at: NodeId) {
        let missed = &mut self.inner(at).missed;
        *missed = missed.saturating_add(1);
    }

    pub(super) fn inner(&mut self, at: NodeId) -> &mut Inner {
        let inner = &mut self.nodes[at as usize].inner;
        if inner.is_none() {
            self.bytes += size_of::<Inner>();
        }
        inner.get_or_insert_default()
    }

    pub(super) fn values(&mut self, at: NodeId) -> &mut Values {
        let values = &mut self.nodes[at as usize].values;
        if values.is_none() {
            self.bytes += BYTES;
        }
        values.get_or_insert_default()
    }

    pub(super) fn child(&self, at: NodeId, role: SegmentRole, name: &str) -> Option<NodeId> {
        let children = &self.nodes[at as usize].inner.as_ref()?.children;
        let key = key(role, name);
        let from = children.partition_point(|(hash, _)| *hash < key);
        let same = children[from..].iter().take_while(|(hash, _)| *hash == key);
        same.map(|(_, id)| *id).find(|id| {
            let node = &self.nodes[*id as usize];
            node.role == role && *node.name == *name
        })
    }

    pub(super) fn make(&mut self, at: NodeId, role: SegmentRole, name: &str, minute: u32) -> NodeId {
        let node = Node::new(role, name, minute);
        self.bytes += node.bytes();
        let id = if let Some(id) = self.free.pop() {
            self.nodes[id as usize] = node;
            id
        } else {
            self.nodes.push(node);
            NodeId::try_from(self.nodes.len() - 1).expect("at most 20 000 nodes")
        };
        self.attach(at, id);
        id
    }

    pub(super) fn attach(&mut self, at: NodeId, id: NodeId) {
        let node = &self.nodes[id as usize];
        let key = key(node.role, &node.name);
        let children = &mut self.inner(at).children;
        let before = children.capacity();
        if children.len() == before {
            children.reserve_exact(1 + before / 4);
        }
        let place = children.partition_point(|(hash, _)| *hash < key);
        children.insert(place, (key, id));
        let more = children.capacity() - before;
        self.bytes += more * size_of::<(u32, NodeId)>();
    }

    /// Takes the child out of its parent; the node itself stays.
    pub(super) fn detach(&mut self, at: NodeId, id: NodeId) {
        let word = self.nodes[id as usize].role == SegmentRole::Word;
        let inner = self.inner(at);
        inner.children.retain(|(_, child)| *child != id);
        if word {
            inner.words = inner.words.saturating_sub(1);
        }
    }

    /// Gives the node's place back. Its children must have been moved or dropped.
    pub(super) fn release(&mut self, id: NodeId) -> Node {
        let node = std::mem::replace(&mut self.nodes[id as usize], Node::new(SegmentRole::Word, "", 0));
        self.bytes = self.bytes.saturating_sub(node.bytes());
        self.free.push(id);
        node
    }

    /// Forgets the node and all below it.
    pub(super) fn drop_below(&mut self, id: NodeId) {
        let children: Vec<NodeId> = self.nodes[id as usize].children().collect();
        for child in children {
            self.drop_below(child);
        }
        self.release(id);
    }

    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id as usize]
    }
}

fn key(role: SegmentRole, name: &str) -> u32 {
    (hash(name) >> 32) as u32 ^ (role as u32).wrapping_mul(0x9e37_79b9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_counted_as_they_are() {
        let mut tree = Tree::new(TreeBounds { nodes: 500, bytes: 100 * 1024, every: 1_000 });
        for number in 0..30_000_u32 {
            let odd = number.wrapping_mul(2_654_435_761) >> 7;
            let path = match number % 5 {
                0 => format!("/users/u{}-x-y/{}", odd % 300, odd % 9),
                1 => format!("/files/a{}/b{}/c{}.png", odd % 7, odd % 11, odd % 3),
                2 => format!("/files/a{}/d{}.png", odd % 7, odd % 11),
                3 => format!("/files/{}.png", odd % 50),
                _ => format!("/w{}/{}", odd % 2_000, number),
            };
            let method = if number % 3 == 0 { "GET" } else { "PUT" };
            let exchange = Observation {
                method,
                path: &path,
                status: 200,
                client: number,
                agent: "curl/8.5.0",
                weight: 1,
                minute: 1,
                micros: Some(number),
                monolith: true,
                ..Observation::default()
            };
            tree.add(&exchange);
            if number % 500 == 0 {
                assert_eq!(tree.bytes(), tree.counted_bytes(), "after {number}");
            }
        }
    }
}
