//! Finds routes of equal rank that can take the same request, without comparing every route with every other.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::RouteId;
use super::matcher::{Condition, ConditionKind, ConditionOn};
use super::matching::Matching;
use super::precedence::ConditionRank;
use super::rule::Rule;
use super::segment::Segment;
use super::tree::folded;

/// A person reads these; past this many the file has one mistake, made many times.
const MOST: usize = 1000;

/// Below this size comparing each with each is the quickest.
const FEW: usize = 32;

/// Two routes that can take the same request and of which neither is the more specific.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ambiguity {
    pub first: RouteId,
    pub second: RouteId,
    /// Which of the first route's paths, and which of the second's.
    pub first_path: u16,
    pub second_path: u16,
}

/// Where a template of a route ends in the tree, and how its route ranks among the others there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) node: u32,
    /// It goes on with a catch-all.
    pub(super) rest: bool,
    pub(super) rank: ConditionRank,
    pub(super) route: RouteId,
    pub(super) template: u16,
}

/// The places come sorted by node, then by rank.
pub(super) fn ambiguities(places: &[Place], rules: &[Arc<Rule>], matching: Matching) -> Vec<Ambiguity> {
    let mut found = Findings { rules, seen: HashSet::new(), list: Vec::new() };
    let one_leaf =
        |left: &Place, right: &Place| (left.node, left.rest) == (right.node, right.rest) && left.rank == right.rank;
    for group in places.chunk_by(one_leaf).filter(|group| group.len() > 1) {
        found.within(&group.iter().collect::<Vec<_>>(), &mut Vec::new());
    }
    found.across_affixes(places, matching);
    found.list.sort_unstable();
    found.list
}

struct Findings<'a> {
    rules: &'a [Arc<Rule>],
    seen: HashSet<(RouteId, RouteId)>,
    list: Vec<Ambiguity>,
}

impl<'a> Findings<'a> {
    fn rule(&self, place: &Place) -> &'a Rule {
        &self.rules[place.route.index()]
    }

    fn full(&self) -> bool {
        self.list.len() >= MOST
    }

    /// Places whose paths overlap and whose ranks are equal. Routes that ask one value for different things are put
    /// apart first, so that a thousand routes told apart by one header are not compared in pairs.
    fn within(&mut self, group: &[&Place], split_by: &mut Vec<(ConditionOn, &'a str)>) {
        let key = if group.len() > FEW { self.common_value(group, split_by) } else { None };
        let Some(key) = key else { return self.in_pairs(group) };
        let mut by_value: BTreeMap<&str, Vec<&Place>> = BTreeMap::new();
        let mut others = Vec::new();
        for place in group {
            match equal_value(self.rule(place), key) {
                Some(value) => by_value.entry(value).or_default().push(place),
                None => others.push(*place),
            }
        }
        split_by.push(key);
        for apart in by_value.values() {
            self.within(apart, split_by);
        }
        for other in &others {
            if self.full() {
                break;
            }
            for place in by_value.values().flatten() {
                self.compare(other, place);
            }
        }
        self.within(&others, split_by);
        split_by.pop();
    }

    /// The value that most of the group ask to be equal to something, if at least half do.
    fn common_value(&self, group: &[&Place], but: &[(ConditionOn, &'a str)]) -> Option<(ConditionOn, &'a str)> {
        let mut counts: BTreeMap<(ConditionOn, &'a str), usize> = BTreeMap::new();
        for place in group {
            for Condition { on, name, kind } in &self.rule(place).conditions {
                if matches!(kind, ConditionKind::Equal(_)) {
                    *counts.entry((*on, &**name)).or_default() += 1;
                }
            }
        }
        let usable = counts.into_iter().filter(|(key, count)| count * 2 >= group.len() && !but.contains(key));
        usable.max_by_key(|(_, count)| *count).map(|(key, _)| key)
    }

    fn in_pairs(&mut self, group: &[&Place]) {
        for (at, left) in group.iter().enumerate() {
            for right in &group[at + 1..] {
                self.compare(left, right);
            }
            if self.full() {
                return;
            }
        }
    }

    fn compare(&mut self, left: &Place, right: &Place) {
        if left.route == right.route || self.full() || self.rule(left).excludes(self.rule(right)) {
            return;
        }
        let (first, second) = if left.route < right.route { (left, right) } else { (right, left) };
        if self.seen.insert((first.route, second.route)) {
            self.list.push(Ambiguity {
                first: first.route,
                second: second.route,
                first_path: first.template,
                second_path: second.template,
            });
        }
    }

    /// Templates such as `/a{x}` and `/{x}a` rank equally and overlap, although they end at different nodes.
    fn across_affixes(&mut self, places: &[Place], matching: Matching) {
        let mut shapes: HashMap<_, ByLengths> = HashMap::new();
        for place in places {
            let rule = self.rule(place);
            let (shape, affixes) = shape(rule.paths[usize::from(place.template)].matched_segments(matching), matching);
            if !affixes.is_empty() {
                let lengths = affixes.iter().map(|(prefix, suffix)| (prefix.len(), suffix.len())).collect();
                let alike = shapes.entry((&rule.host, shape, place.rank)).or_default();
                alike.entry(lengths).or_default().push((place, affixes));
            }
        }
        for alike in shapes.values() {
            let lists: Vec<_> = alike.iter().collect();
            for (at, (lengths, list)) in lists.iter().enumerate() {
                for (other_lengths, others) in &lists[at + 1..] {
                    let common = common_lengths(lengths, other_lengths);
                    let mut index: HashMap<Vec<Affix>, Vec<&Place>> = HashMap::new();
                    for (place, affixes) in *list {
                        index.entry(cut(affixes, &common)).or_default().push(place);
                    }
                    for (other, affixes) in *others {
                        if self.full() {
                            return;
                        }
                        for place in index.get(&cut(affixes, &common)).into_iter().flatten() {
                            self.compare(place, other);
                        }
                    }
                }
            }
        }
    }
}

fn equal_value<'a>(rule: &'a Rule, (on, name): (ConditionOn, &str)) -> Option<&'a str> {
    rule.conditions_on(on).find_map(|condition| match &condition.kind {
        ConditionKind::Equal(value) if *condition.name == *name => Some(&**value),
        _ => None,
    })
}

/// Places of one shape by the lengths of their affixes.
type ByLengths<'a> = BTreeMap<Vec<(usize, usize)>, Vec<(&'a Place, Vec<Affix>)>>;

/// Prefix and suffix of a parameter.
type Affix = (Vec<u8>, Vec<u8>);

/// The part of a path that two templates of equal rank must share, and the affixes, which need only agree where both have them.
fn shape(segments: &[Segment], matching: Matching) -> (Vec<u8>, Vec<Affix>) {
    let (mut shape, mut affixes) = (Vec::new(), Vec::new());
    if !segments.iter().any(|segment| matches!(segment, Segment::Parameter(own) if own.literal_bytes() > 0)) {
        return (shape, affixes);
    }
    let fold = matching.case_insensitive;
    for segment in segments {
        shape.push(b'/');
        match segment {
            Segment::Literal(text) => shape.extend(folded(text, fold)),
            Segment::Rest(_) => shape.extend(b"{*}"),
            Segment::Parameter(parameter) => {
                shape.extend(format!("{{{}}}", parameter.literal_bytes()).into_bytes());
                if parameter.literal_bytes() > 0 {
                    affixes.push((folded(&parameter.prefix, fold), folded(&parameter.suffix, fold)));
                }
            }
        }
    }
    (shape, affixes)
}

fn common_lengths(left: &[(usize, usize)], right: &[(usize, usize)]) -> Vec<(usize, usize)> {
    left.iter().zip(right).map(|(left, right)| (left.0.min(right.0), left.1.min(right.1))).collect()
}

/// Some value fits two affixes when their prefixes agree as far as both go, and their suffixes from the end likewise.
fn cut(affixes: &[Affix], lengths: &[(usize, usize)]) -> Vec<Affix> {
    let cut_one = |((prefix, suffix), &(before, after)): (&Affix, &(usize, usize))| {
        (prefix[..before].to_vec(), suffix[suffix.len() - after..].to_vec())
    };
    affixes.iter().zip(lengths).map(cut_one).collect()
}
