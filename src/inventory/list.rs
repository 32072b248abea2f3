//! The endpoints of a tree: methods and templates that are sure enough to be listed.

use super::counts::MethodCount;
use super::node::{Clients, Node, NodeId, SegmentRole};
use super::tree::{ROOT, Tree};
use super::values::Values;

/// Answers below which nothing is listed.
pub const LEAST: u32 = 3;
/// A place where this many times more requests miss than are answered is none.
const MISSES: u32 = 3;
/// A segment that was one number or date in this number of exchanges is printed as that literal.
const ONE_VALUE: u32 = 100;

/// A parameter of an endpoint, from the left.
#[derive(Debug, Clone, Copy)]
pub struct ListedParameter<'a> {
    /// The word before it, if there is one.
    pub before: Option<&'a str>,
    pub values: Option<&'a Values>,
    pub rest: bool,
}

/// An endpoint of a settled tree.
#[derive(Debug, Clone)]
pub struct Listed<'a> {
    /// With `{}` for a parameter and `{*}` for a catch-all.
    pub path: String,
    pub parameters: Vec<ListedParameter<'a>>,
    pub count: &'a MethodCount,
    pub several_clients: bool,
    pub first: u32,
    pub last: u32,
}

impl Tree {
    /// The endpoints with at least this number of answers, as the tree stands: to be called after
    /// [`Tree::settle_for_display`].
    #[must_use]
    pub fn endpoints(&self, least: u32) -> Vec<Listed<'_>> {
        let mut found = Vec::new();
        let mut place = Place { path: String::new(), parameters: Vec::new() };
        self.list(ROOT, &mut place, least, &mut found);
        found
    }

    fn list<'a>(&'a self, at: NodeId, place: &mut Place<'a>, least: u32, found: &mut Vec<Listed<'a>>) {
        let node = self.node(at);
        if node.clients == Clients::Several {
            let is_listed = |count: &&MethodCount| count.answered >= least && (node.fixed || is_mostly_answered(count));
            for count in node.counts.iter().filter(is_listed) {
                found.push(Listed {
                    path: if place.path.is_empty() { "/".to_owned() } else { place.path.clone() },
                    parameters: place.parameters.clone(),
                    count,
                    several_clients: true,
                    first: node.first,
                    last: count.last,
                });
            }
        }
        for child in node.children() {
            self.list_child(node, child, place, least, found);
        }
    }

    fn list_child<'a>(
        &'a self,
        parent: &'a Node,
        id: NodeId,
        place: &mut Place<'a>,
        least: u32,
        found: &mut Vec<Listed<'a>>,
    ) {
        let node = self.node(id);
        if node.role != SegmentRole::Word && !node.fixed && parent.missed() > MISSES.saturating_mul(node.seen) {
            return;
        }
        let (path, parameters) = (place.path.len(), place.parameters.len());
        place.path.push('/');
        let values = node.values.as_deref();
        match (node.role, values.and_then(|values| values.only.as_deref())) {
            (SegmentRole::Word, _) => place.path.push_str(&node.name),
            (SegmentRole::Parameter, Some(only)) if node.seen >= ONE_VALUE => place.path.push_str(only),
            (role, _) => {
                let rest = role == SegmentRole::Rest;
                place.path.push_str(if rest { "{*}" } else { "{}" });
                place.path.push_str(&node.name);
                let before = (parent.role == SegmentRole::Word && !parent.name.is_empty()).then_some(&*parent.name);
                place.parameters.push(ListedParameter { before, values, rest });
            }
        }
        self.list(id, place, least, found);
        place.path.truncate(path);
        place.parameters.truncate(parameters);
    }
}

struct Place<'a> {
    path: String,
    parameters: Vec<ListedParameter<'a>>,
}

/// At least every fourth time: what a file or a list names needs no such proof.
fn is_mostly_answered(count: &MethodCount) -> bool {
    u64::from(count.answered) * 3 >= u64::from(count.failures().missing)
}
