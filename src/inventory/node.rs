//! One segment of the tree: what was counted at it and below it.

use super::counts::{MethodCount, MethodId};
use super::values::{self, Values};

/// Where a node stands in [`super::Tree`]'s arena.
pub type NodeId = u32;

/// The meaning of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentRole {
    /// The segment itself.
    Word,
    /// Any value; the node's name is the format behind it (`.json`).
    Parameter,
    /// Everything below: `{*rest}`.
    Rest,
}

/// Which clients were answered here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clients {
    None,
    /// One, by its bucket.
    One(u16),
    Several,
}

impl Clients {
    pub fn add(&mut self, other: Self) {
        *self = match (*self, other) {
            (Self::None, one) | (one, Self::None) => one,
            (Self::One(one), Self::One(other)) if one == other => Self::One(one),
            _ => Self::Several,
        };
    }
}

/// A segment. Small, because there are up to 20 000: what leaves and inner nodes do not share is in boxes.
#[derive(Debug, Clone)]
pub struct Node {
    /// The word, or the format behind a parameter.
    pub name: Box<str>,
    pub role: SegmentRole,
    pub clients: Clients,
    /// Known from a file: never merged, never forgotten.
    pub fixed: bool,
    /// The words below are values: a new one goes to the parameter without a node of its own.
    pub open: bool,
    /// Made by an answer that any path may get, and never answered otherwise.
    pub unproven: bool,
    /// Exchanges that came through here.
    pub seen: u32,
    /// Minutes since 1970.
    pub first: u32,
    pub last: u32,
    pub inner: Option<Box<Inner>>,
    pub counts: NodeCounts,
    /// Only of parameters.
    pub values: Option<Box<Values>>,
}

/// The part of a node that only inner nodes have.
#[derive(Debug, Clone, Default)]
pub struct Inner {
    /// Hash of role and name, and the node; sorted.
    pub children: Vec<(u32, NodeId)>,
    pub words: u16,
    /// Exchanges that end 0, 1, 2, and 3 or more segments below the child that they take.
    pub below: [u32; 4],
    /// Exchanges that end in the name of a file.
    pub files: u32,
    /// Exchanges whose next segment is not known here.
    pub missed: u32,
}

impl Node {
    pub fn new(role: SegmentRole, name: &str, minute: u32) -> Self {
        Self {
            name: name.into(),
            role,
            clients: Clients::None,
            fixed: false,
            open: false,
            unproven: false,
            seen: 0,
            first: minute,
            last: minute,
            inner: None,
            counts: NodeCounts(None),
            values: None,
        }
    }

    pub fn children(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.inner.iter().flat_map(|inner| inner.children.iter().map(|(_, id)| *id))
    }

    pub fn missed(&self) -> u32 {
        self.inner.as_ref().map_or(0, |inner| inner.missed)
    }

    /// Bytes that the node takes, with what the allocator adds to small blocks.
    pub fn bytes(&self) -> usize {
        let inner = self
            .inner
            .as_ref()
            .map_or(0, |inner| size_of::<Inner>() + inner.children.capacity() * size_of::<(u32, u32)>());
        let values = self.values.as_ref().map_or(0, |_| values::BYTES);
        size_of::<Self>() + self.name.len().next_multiple_of(8) + inner + self.counts.bytes() + values
    }
}

/// Counts by method: mostly one, so a list of boxes is smaller than a vector.
#[derive(Debug, Clone)]
pub struct NodeCounts(pub Option<Box<Link>>);

#[derive(Debug, Clone)]
pub struct Link {
    pub count: MethodCount,
    next: NodeCounts,
}

impl NodeCounts {
    pub fn of(&mut self, method: MethodId) -> &mut MethodCount {
        let link = self.0.get_or_insert_with(|| Box::new(Link { count: MethodCount::new(method), next: Self(None) }));
        if link.count.method == method {
            return &mut link.count;
        }
        link.next.of(method)
    }

    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub fn iter(&self) -> impl Iterator<Item = &MethodCount> {
        std::iter::successors(self.0.as_deref(), |link| link.next.0.as_deref()).map(|link| &link.count)
    }

    pub fn merge(&mut self, other: &Self) {
        for count in other.iter() {
            self.of(count.method).merge(count);
        }
    }

    fn bytes(&self) -> usize {
        self.iter().map(|count| size_of::<Link>() + count.heap()).sum()
    }
}
