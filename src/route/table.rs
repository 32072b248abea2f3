//! All routes in one structure whose cost to search does not grow with their number.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

use http::Method;

use super::RouteId;
use super::ambiguity::{Ambiguity, Place, ambiguities};
use super::facts::Facts;
use super::matcher::{HOST_BYTES, HostPattern};
use super::matching::Matching;
use super::path::{NormalPath, PathRefused};
use super::precedence::{ConditionRank, compare_paths};
use super::rule::Rule;
use super::segment::{Segment, leaves_value};
use super::template::{Template, matched_path};
use super::tree::{NONE, Run, Tree, folded};

/// The parents of the roots: no node has these numbers.
const EXACT: u32 = u32::MAX;
const WILDCARD: u32 = u32::MAX - 1;
const ANY: u32 = u32::MAX - 2;

/// The bit of `Entry::methods` for all methods that have none of their own.
const EXTENSION: u16 = 1 << 15;

/// The compiled table.
#[derive(Debug, Default)]
pub struct RouteTable {
    tree: Tree,
    entries: Vec<Entry>,
    rules: Vec<Arc<Rule>>,
    matching: Matching,
    any_host: Option<u32>,
    has_hosts: bool,
}

/// The route of a request and the template that took it (its index in the rule's paths).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    pub route: RouteId,
    pub template: u16,
}

/// A template of a route where it ends in the tree. Its methods are here, so that a route without other
/// conditions is not touched at all.
#[derive(Debug, Clone, Copy)]
struct Entry {
    route: u32,
    template: u16,
    /// A superset of the methods taken.
    methods: u16,
    /// The rule must be asked too.
    ask: bool,
}

/// The most templates that one route may have.
pub const MAX_PATHS: usize = u16::MAX as usize;

impl RouteTable {
    /// `RouteId` is the index in `rules`. The order of the rules decides nothing but between routes that a CORS preflight
    /// cannot tell apart, where the first wins. A route has at most [`MAX_PATHS`] templates.
    pub fn build(rules: &[Arc<Rule>], matching: Matching) -> Result<Self, Vec<Ambiguity>> {
        let mut table = Self { rules: rules.to_vec(), matching, ..Self::default() };
        let mut places = Vec::with_capacity(rules.len());
        for (rule, id) in rules.iter().zip(0_u32..) {
            debug_assert!(rule.conditions.is_sorted_by_key(|condition| condition.on), "in the order of `ConditionOn`");
            for (template, number) in rule.paths.iter().zip(0_u16..) {
                let (node, rest) = table.insert(&rule.host, template);
                let rank = ConditionRank::of(rule);
                places.push(Place { node, rest, rank, route: RouteId(id), template: number });
            }
        }
        places.sort_unstable_by(|left, right| {
            let here = |place: &Place| (place.node, place.rest);
            here(left)
                .cmp(&here(right))
                .then(right.rank.cmp(&left.rank))
                .then((left.route, left.template).cmp(&(right.route, right.template)))
        });
        let ambiguities = ambiguities(&places, rules, matching);
        if !ambiguities.is_empty() {
            return Err(ambiguities);
        }
        table.place(&places);
        Ok(table)
    }

    /// The most specific route whose every condition holds. Looks at `facts.path`, the normalised one.
    #[must_use]
    pub fn find(&self, facts: &Facts<'_>) -> Option<Found> {
        let path = self.folded_path(matched_path(facts.path, self.matching));
        let path = path.strip_prefix('/')?.as_bytes();
        let search = Search { table: self, facts, method: method_bit(facts.method) };
        let entry = self.in_named_hosts(facts.host, |root| search.below(root, Some(path)));
        entry.or_else(|| search.below(self.any_host?, Some(path))).map(Entry::found)
    }

    /// As [`Self::find`], but refuses a path that selects another route (or none) when its dot segments are not resolved:
    /// what the proxy routes by and what an upstream makes of the path would differ. `facts.path` is the text of `path`.
    pub fn select(&self, facts: &Facts<'_>, path: &NormalPath<'_>) -> Result<Option<Found>, PathRefused> {
        let found = self.find(facts);
        if let Some(undotted) = path.undotted() {
            let other = self.find(&Facts { path: undotted, ..*facts });
            if other.map(|other| other.route) != found.map(|found| found.route) {
                return Err(PathRefused::OtherRoute);
            }
        }
        Ok(found)
    }

    /// The template that took the request.
    #[must_use]
    pub fn template(&self, found: Found) -> &Template {
        &self.rule(found.route).paths[usize::from(found.template)]
    }

    #[must_use]
    pub const fn matching(&self) -> &Matching {
        &self.matching
    }

    /// Bytes of the search structure itself, without the routes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.tree.bytes() + size_of_val(&*self.entries) + size_of_val(&*self.rules)
    }

    pub(super) fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    fn rule(&self, route: RouteId) -> &Rule {
        &self.rules[route.index()]
    }

    fn insert(&mut self, host: &HostPattern, template: &Template) -> (u32, bool) {
        let fold = self.matching.case_insensitive;
        let mut node = match host {
            HostPattern::Exact(host) => self.tree.insert_literal(EXACT, host.as_bytes()),
            HostPattern::Wildcard(suffix) => self.tree.insert_literal(WILDCARD, suffix.as_bytes()),
            HostPattern::Any => self.tree.insert_literal(ANY, &[]),
        };
        match host {
            HostPattern::Any => self.any_host = Some(node),
            _ => self.has_hosts = true,
        }
        for segment in template.matched_segments(self.matching) {
            node = match segment {
                Segment::Literal(text) if fold => self.tree.insert_literal(node, &folded(text, fold)),
                Segment::Literal(text) => self.tree.insert_literal(node, text.as_bytes()),
                Segment::Parameter(parameter) => self.tree.insert_parameter(node, parameter, fold),
                Segment::Rest(_) => return (node, true),
            };
        }
        (node, false)
    }

    /// Makes the entries of the sorted places, and tells each node which are its own.
    fn place(&mut self, places: &[Place]) {
        self.entries.reserve_exact(places.len());
        for group in places.chunk_by(|left, right| (left.node, left.rest) == (right.node, right.rest)) {
            let start = u32::try_from(self.entries.len()).expect("there are fewer templates than bytes of their file");
            let length = u32::try_from(group.len()).expect("there are fewer templates than bytes of their file");
            for place in group {
                let entry = Entry::new(place, self.rule(place.route));
                self.entries.push(entry);
            }
            let node = self.tree.node_mut(group[0].node);
            *(if group[0].rest { &mut node.rest } else { &mut node.end }) = Run { start, length };
        }
        self.tree.shrink();
    }

    /// Asks the roots of the exact host and of the wildcards, longest suffix first, until one has an answer.
    fn in_named_hosts(&self, host: &str, ask: impl Fn(u32) -> Option<Entry>) -> Option<Entry> {
        let host = host.strip_suffix('.').unwrap_or(host).as_bytes();
        if !self.has_hosts || host.is_empty() || host.len() > HOST_BYTES {
            return None;
        }
        let mut lower = [0; HOST_BYTES];
        let lower = &mut lower[..host.len()];
        lower.copy_from_slice(host);
        lower.make_ascii_lowercase();
        let exact = self.tree.literal(EXACT, lower).and_then(&ask);
        exact.or_else(|| {
            let dots = (1..lower.len()).filter(|at| lower[*at] == b'.');
            dots.filter_map(|at| self.tree.literal(WILDCARD, &lower[at..])).find_map(ask)
        })
    }

    /// Copies only when case does not count and the client used upper case.
    fn folded_path<'a>(&self, path: &'a str) -> Cow<'a, str> {
        if self.matching.case_insensitive && path.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Owned(path.to_ascii_lowercase())
        } else {
            Cow::Borrowed(path)
        }
    }
}

/// One search; the table and the request stay the same all the way down.
struct Search<'a> {
    table: &'a RouteTable,
    facts: &'a Facts<'a>,
    method: u16,
}

impl Search<'_> {
    /// The best entry below a node for what is left of the path; `None` is left of it after its last segment.
    fn below(&self, node: u32, left: Option<&[u8]>) -> Option<Entry> {
        let tree = &self.table.tree;
        let own = tree.node(node);
        let Some(left) = left else { return self.first(own.end).or_else(|| self.first(own.rest)) };
        let slash = left.iter().position(|byte| *byte == b'/');
        let (segment, next) = slash.map_or((left, None), |at| (&left[..at], Some(&left[at + 1..])));
        let literal = tree.literal(node, segment).and_then(|child| self.below(child, next));
        literal
            .or_else(|| self.affixed(node, segment, next))
            .or_else(|| {
                let plain = own.parameter != NONE && !segment.is_empty();
                plain.then(|| self.below(own.parameter, next)).flatten()
            })
            .or_else(|| self.first(own.rest))
    }

    /// Parameters with affixes, those with more literal bytes first. Among those with equally many the rest decides.
    fn affixed(&self, node: u32, segment: &[u8], next: Option<&[u8]>) -> Option<Entry> {
        let tree = &self.table.tree;
        for equals in tree.affixes(node).chunk_by(|left, right| left.total() == right.total()) {
            let taken = equals.iter().filter_map(|lengths| {
                let (prefix, suffix) = (lengths.prefix as usize, lengths.suffix as usize);
                if !leaves_value(segment, prefix, suffix) {
                    return None;
                }
                let child = tree.affixed(node, &segment[..prefix], &segment[segment.len() - suffix..])?;
                self.below(child, next)
            });
            let best = taken.reduce(|best, other| if self.compare(other, best).is_gt() { other } else { best });
            if best.is_some() {
                return best;
            }
        }
        None
    }

    /// The first entry, and so the most specific one, that the request meets.
    fn first(&self, run: Run) -> Option<Entry> {
        let entries = &self.table.entries[run.start as usize..][..run.length as usize];
        entries.iter().copied().find(|entry| {
            entry.methods & self.method != 0
                && (!entry.ask || self.table.rule(RouteId(entry.route)).unmet(self.facts).is_none())
        })
    }

    /// Two entries of one host: the greater is the more specific, or else the one whose route comes first.
    fn compare(&self, left: Entry, right: Entry) -> Ordering {
        let table = self.table;
        let rank = |entry: Entry| ConditionRank::of(table.rule(RouteId(entry.route)));
        compare_paths(table.template(left.found()), table.template(right.found()), table.matching)
            .then_with(|| rank(left).cmp(&rank(right)))
            .then_with(|| (right.route, right.template).cmp(&(left.route, left.template)))
    }
}

impl Entry {
    fn new(place: &Place, rule: &Rule) -> Self {
        let methods = rule.methods.as_ref().filter(|methods| !methods.is_all());
        let bits = methods.map_or(u16::MAX, |methods| {
            let head = if methods.takes(&Method::HEAD) { method_bit(&Method::HEAD) } else { 0 };
            let others = if methods.has_extensions() { EXTENSION } else { 0 };
            methods.known_bits() | head | others
        });
        Self {
            route: place.route.0,
            template: place.template,
            methods: bits,
            ask: !rule.conditions.is_empty() || methods.is_some_and(super::MethodSet::has_extensions),
        }
    }

    const fn found(self) -> Found {
        Found { route: RouteId(self.route), template: self.template }
    }
}

fn method_bit(method: &Method) -> u16 {
    super::matcher::bit(method).unwrap_or(EXTENSION)
}
