//! A tree as bytes, for the database: numbers in LEB128, text with its length before it. Which words are known from a file is
//! not kept: the file in force says it.

use super::callers::Callers;
use super::counts::{Failures, MethodCount, MethodId};
use super::days::{Days, KEPT};
use super::node::{Clients, Node, NodeId, SegmentRole};
use super::sketch::{REGISTERS, Sketch};
use super::tree::{LearnedTotals, ROOT, Tree, TreeBounds};
use super::values::Values;

/// The first bytes; another number is another layout.
const HEAD: &[u8] = b"multilith inventory 2\n";
/// The layout before: without the monolith's own failures, without what it answered at no known place, and without what its
/// callers inherited.
const HEAD_BEFORE: &[u8] = b"multilith inventory 1\n";
/// The root, 48 segments, and the catch-all below them.
const DEEPEST: usize = 52;
/// No name in a tree is longer.
const LONGEST_NAME: usize = 4_096;

/// The kept bytes are no tree of this version, or damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the inventory that was kept is not one that this version can read")]
pub struct Unreadable;

impl Tree {
    /// To be read by [`Tree::from_bytes`].
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 * self.len());
        out.extend_from_slice(HEAD);
        let LearnedTotals { requests, unknown, refused, learned, since, until } = self.totals;
        for number in [requests, unknown, refused, learned, since.into(), until.into()] {
            put(&mut out, number);
        }
        put_values(&mut out, &self.unknown_paths);
        for number in self.strays.parts() {
            put(&mut out, number.into());
        }
        self.put_node(&mut out, ROOT);
        out
    }

    /// Fails where the bytes are not what [`Tree::to_bytes`] writes; never panics, and never makes more than the bounds allow.
    pub fn from_bytes(bytes: &[u8], bounds: TreeBounds) -> Result<Self, Unreadable> {
        let whole = bytes.strip_prefix(HEAD).map(|rest| (rest, true));
        let (rest, whole) = whole.or_else(|| Some((bytes.strip_prefix(HEAD_BEFORE)?, false))).ok_or(Unreadable)?;
        let mut reader = Reader { rest, whole, flags: None };
        let mut tree = Self::new(bounds);
        tree.totals = LearnedTotals {
            requests: reader.number()?,
            unknown: reader.number()?,
            refused: reader.number()?,
            learned: reader.number()?,
            since: reader.small()?,
            until: reader.small()?,
        };
        tree.unknown_paths = reader.values()?;
        if reader.whole {
            tree.strays = reader.days()?;
        }
        tree.read_node(&mut reader, ROOT, 0)?;
        if !reader.rest.is_empty() {
            return Err(Unreadable);
        }
        tree.recount();
        Ok(tree)
    }

    fn put_node(&self, out: &mut Vec<u8>, id: NodeId) {
        let node = self.node(id);
        put_text(out, &node.name);
        let (clients, bucket) = match node.clients {
            Clients::None => (0, 0),
            Clients::One(bucket) => (1, bucket),
            Clients::Several => (2, 0),
        };
        out.push(node.role as u8 | clients << 2 | u8::from(node.open) << 4 | u8::from(node.unproven) << 5);
        for number in [u32::from(bucket), node.seen, node.first, node.last] {
            put(out, number.into());
        }
        let empty = super::node::Inner::default();
        let inner = node.inner.as_deref().unwrap_or(&empty);
        for number in inner.below.into_iter().chain([inner.files, inner.missed]) {
            put(out, number.into());
        }
        put(out, node.counts.iter().count() as u64);
        for count in node.counts.iter() {
            put_count(out, count);
        }
        out.push(node.values.is_some().into());
        if let Some(values) = &node.values {
            put_values(out, values);
        }
        // Given in a file and never asked for: the file will give it again.
        let children: Vec<NodeId> = node.children().filter(|child| self.node(*child).seen > 0).collect();
        put(out, children.len() as u64);
        for child in children {
            self.put_node(out, child);
        }
    }

    fn read_node(&mut self, reader: &mut Reader<'_>, id: NodeId, depth: usize) -> Result<(), Unreadable> {
        if depth > DEEPEST || self.len() > self.bounds.nodes + 1 {
            return Err(Unreadable);
        }
        // The name and the role were read by the parent, which had to make the node.
        let mut node = std::mem::replace(&mut self.nodes[id as usize], Node::new(SegmentRole::Word, "", 0));
        if depth == 0 {
            reader.head()?;
        }
        let Flags { clients, open, unproven } = reader.flags.take().ok_or(Unreadable)?;
        node.open = open;
        node.unproven = unproven;
        let bucket = u16::try_from(reader.small()?).map_err(|_| Unreadable)?;
        node.clients = match clients {
            0 => Clients::None,
            1 => Clients::One(bucket),
            _ => Clients::Several,
        };
        (node.seen, node.first, node.last) = (reader.small()?, reader.small()?, reader.small()?);
        let mut numbers = [0; 6];
        for number in &mut numbers {
            *number = reader.small()?;
        }
        if numbers.iter().any(|number| *number > 0) {
            let inner = node.inner.get_or_insert_default();
            inner.below.copy_from_slice(&numbers[..4]);
            (inner.files, inner.missed) = (numbers[4], numbers[5]);
        }
        for _ in 0..reader.few(32)? {
            let read = reader.count()?;
            let method = read.method;
            *node.counts.of(method) = read;
        }
        node.values = reader.flag()?.then(|| reader.values().map(Box::new)).transpose()?;
        self.nodes[id as usize] = node;
        for _ in 0..reader.few(self.bounds.nodes)? {
            let (name, role) = reader.head()?;
            if self.child(id, role, name).is_some() {
                return Err(Unreadable);
            }
            let child = self.make(id, role, name, 0);
            if role == SegmentRole::Word {
                let words = &mut self.inner(id).words;
                *words = words.saturating_add(1);
            }
            self.read_node(reader, child, depth + 1)?;
        }
        Ok(())
    }
}

fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn put_count(out: &mut Vec<u8>, count: &MethodCount) {
    out.push(count.method.code());
    let MethodCount { answered, requests, monolith, last, monolith_last, .. } = *count;
    let Failures { missing, monolith_missing, errors, monolith_errors } = count.failures();
    for number in
        [answered.into(), missing.into(), errors.into(), requests, monolith, last.into(), monolith_last.into()]
    {
        put(out, number);
    }
    put(out, monolith_missing.into());
    put(out, monolith_errors.into());
    let latency = count.latency().unwrap_or_default();
    put(out, latency.len() as u64);
    for class in latency {
        put(out, u64::from(*class));
    }
    out.push(count.callers.is_some().into());
    if let Some(callers) = &count.callers {
        out.extend_from_slice(callers.clients.registers());
        put(out, callers.kept().len() as u64);
        for agent in callers.kept() {
            put_text(out, &agent.name);
            put(out, agent.seen().into());
            put(out, agent.inherited.into());
        }
    }
}

fn put_values(out: &mut Vec<u8>, values: &Values) {
    out.extend_from_slice(values.sketch.registers());
    for number in values.by_kind.into_iter().chain([values.words, values.once]) {
        put(out, number.into());
    }
    put(out, values.masks.len() as u64);
    for mask in &values.masks {
        put_text(out, mask);
    }
    put_text(out, values.only.as_deref().unwrap_or(""));
    out.push(values.several.into());
}

struct Flags {
    clients: u8,
    open: bool,
    unproven: bool,
}

struct Reader<'a> {
    rest: &'a [u8],
    /// Written by this version, not by the one before.
    whole: bool,
    /// Of the node whose head was read last.
    flags: Option<Flags>,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Unreadable> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Unreadable)?;
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Unreadable> {
        Ok(self.take(1)?[0])
    }

    fn flag(&mut self) -> Result<bool, Unreadable> {
        Ok(self.byte()? != 0)
    }

    fn number(&mut self) -> Result<u64, Unreadable> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Unreadable)
    }

    fn small(&mut self) -> Result<u32, Unreadable> {
        u32::try_from(self.number()?).map_err(|_| Unreadable)
    }

    fn few(&mut self, most: usize) -> Result<usize, Unreadable> {
        usize::try_from(self.number()?).ok().filter(|number| *number <= most).ok_or(Unreadable)
    }

    fn text(&mut self) -> Result<&'a str, Unreadable> {
        let length = self.few(LONGEST_NAME)?;
        std::str::from_utf8(self.take(length)?).map_err(|_| Unreadable)
    }

    fn sketch(&mut self) -> Result<Sketch, Unreadable> {
        let mut sketch = Sketch::default();
        sketch.set_registers(self.take(REGISTERS)?);
        Ok(sketch)
    }

    /// Name and role of a node; the flags are for the node itself.
    fn head(&mut self) -> Result<(&'a str, SegmentRole), Unreadable> {
        let name = self.text()?;
        let byte = self.byte()?;
        let role = match byte & 3 {
            0 => SegmentRole::Word,
            1 => SegmentRole::Parameter,
            2 => SegmentRole::Rest,
            _ => return Err(Unreadable),
        };
        self.flags = Some(Flags { clients: byte >> 2 & 3, open: byte >> 4 & 1 == 1, unproven: byte >> 5 & 1 == 1 });
        Ok((name, role))
    }

    fn count(&mut self) -> Result<MethodCount, Unreadable> {
        let mut count = MethodCount::new(MethodId::from_code(self.byte()?).ok_or(Unreadable)?);
        count.answered = self.small()?;
        let mut failures = Failures { missing: self.small()?, errors: self.small()?, ..Failures::default() };
        (count.requests, count.monolith) = (self.number()?, self.number()?);
        (count.last, count.monolith_last) = (self.small()?, self.small()?);
        if self.whole {
            (failures.monolith_missing, failures.monolith_errors) = (self.small()?, self.small()?);
        } else if count.monolith == count.requests {
            failures.monolith_missing = failures.missing;
            failures.monolith_errors = failures.errors;
        }
        count.add_failures(failures);
        let classes = self.few(64)?;
        if classes > 0 {
            let mut latency = Vec::with_capacity(classes);
            for _ in 0..classes {
                latency.push(u16::try_from(self.small()?).map_err(|_| Unreadable)?);
            }
            count.set_latency(&latency);
        }
        if self.flag()? {
            let mut callers = Callers::default();
            callers.clients = self.sketch()?;
            for _ in 0..self.few(64)? {
                let agent = self.text()?;
                let seen = self.small()?;
                callers.count(agent, seen, if self.whole { self.small()? } else { 0 });
            }
            count.callers = Some(Box::new(callers));
        }
        Ok(count)
    }

    fn days(&mut self) -> Result<Days, Unreadable> {
        let last = self.small()?;
        let mut counts = [0; KEPT];
        for count in &mut counts {
            *count = self.small()?;
        }
        Ok(Days::of_parts(last, counts))
    }

    fn values(&mut self) -> Result<Values, Unreadable> {
        let mut values = Values { sketch: self.sketch()?, ..Values::default() };
        for number in &mut values.by_kind {
            *number = self.small()?;
        }
        (values.words, values.once) = (self.small()?, self.small()?);
        for _ in 0..self.few(8)? {
            values.masks.push(self.text()?.into());
        }
        values.only = Some(self.text()?).filter(|only| !only.is_empty()).map(Into::into);
        values.several = self.flag()?;
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::Observation;

    fn learned() -> Tree {
        let mut tree = Tree::default();
        for number in 0..5_000_u32 {
            let path = match number % 4 {
                0 => format!("/orders/{number}"),
                1 => format!("/users/name-{}/posts", number % 400),
                2 => "/basket".to_owned(),
                _ => format!("/files/a{}/b{}.png", number % 5, number % 7),
            };
            let exchange = Observation {
                method: if number % 3 == 0 { "POST" } else { "GET" },
                path: &path,
                status: if number % 50 == 0 { 404 } else { 200 },
                client: number % 90,
                agent: "curl/8.5.0",
                weight: 1 + number % 2,
                minute: 29_000_000 + number,
                micros: Some(number),
                monolith: number % 5 > 0,
                ..Observation::default()
            };
            tree.add(&exchange);
        }
        tree
    }

    #[test]
    fn what_was_kept_is_what_was_learned() {
        let tree = learned();
        let bytes = tree.to_bytes();
        let again = Tree::from_bytes(&bytes, TreeBounds::default()).expect("it was written by this version");
        assert_eq!((again.totals, again.len()), (tree.totals, tree.len()));
        assert_eq!(again.to_bytes(), bytes);
        let shown = |mut tree: Tree| {
            tree.settle_for_display();
            serde_json::to_string(&crate::inventory::InventoryReport::of(&tree)).expect("a report serialises")
        };
        assert_eq!(shown(again), shown(tree));
    }

    #[test]
    fn a_tree_that_was_read_goes_on_learning_within_its_bounds() {
        let mut again = Tree::from_bytes(&learned().to_bytes(), TreeBounds::default()).expect("whole");
        let before = again.totals.learned;
        let exchange = Observation {
            method: "GET",
            path: "/basket",
            status: 200,
            client: 1,
            weight: 1,
            minute: 29_100_000,
            monolith: true,
            ..Observation::default()
        };
        again.add(&exchange);
        assert_eq!(again.totals.learned, before + 1);
        assert_eq!(again.bytes(), again.counted_bytes());
    }

    #[test]
    fn what_the_version_before_kept_is_read() {
        let mut old = HEAD_BEFORE.to_vec();
        let minute = 29_000_000;
        let put_all = |old: &mut Vec<u8>, numbers: &[u64]| numbers.iter().for_each(|number| put(old, *number));
        put_all(&mut old, &[4, 0, 0, 4, minute, minute]);
        put_values(&mut old, &Values::default());
        put_text(&mut old, "");
        old.push(0);
        // The root: bucket, seen, first, last; what is below; no counts; no values; one child.
        put_all(&mut old, &[0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 1]);
        put_text(&mut old, "basket");
        old.push(2 << 2);
        put_all(&mut old, &[0, 4, minute, minute, 0, 0, 0, 0, 0, 0, 1]);
        old.push(MethodId::of("GET").code());
        put_all(&mut old, &[3, 1, 2, 4, 4, minute, minute, 0, 1]);
        old.extend_from_slice(Sketch::default().registers());
        put(&mut old, 1);
        put_text(&mut old, "curl/8.5.0");
        put_all(&mut old, &[3, 0, 0]);
        let mut tree = Tree::from_bytes(&old, TreeBounds::default()).expect("it can be read");
        let new = tree.to_bytes();
        assert!(new.starts_with(HEAD));
        assert_eq!(Tree::from_bytes(&new, TreeBounds::default()).expect("it can be read").to_bytes(), new);
        tree.settle_for_display();
        let report = crate::inventory::InventoryReport::of(&tree);
        let basket = &report.endpoints[0];
        assert_eq!((&*basket.path, basket.requests, &*basket.agents[0].name), ("/basket", 4, "curl/8.5.0"));
        assert_eq!((basket.missing, basket.errors, basket.monolith_errors), (1, 2, 2));
        assert_eq!(report.strays, 0);
    }

    #[test]
    fn damage_is_found_and_never_a_panic() {
        let bytes = learned().to_bytes();
        assert_eq!(Tree::from_bytes(b"", TreeBounds::default()).err(), Some(Unreadable));
        assert_eq!(Tree::from_bytes(b"multilith inventory 3\n", TreeBounds::default()).err(), Some(Unreadable));
        for cut in (HEAD.len()..bytes.len()).step_by(37) {
            assert!(Tree::from_bytes(&bytes[..cut], TreeBounds::default()).is_err(), "cut at {cut}");
        }
        for at in (HEAD.len()..bytes.len()).step_by(23) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x5a;
            // Another number is not damage that can be seen; a panic or an endless tree would be.
            if let Ok(tree) = Tree::from_bytes(&damaged, TreeBounds::default()) {
                assert!(tree.len() <= TreeBounds::default().nodes + 1);
            }
        }
        let small = TreeBounds { nodes: 20, ..TreeBounds::default() };
        assert!(Tree::from_bytes(&bytes, small).is_err(), "more nodes than this program allows");
    }
}
