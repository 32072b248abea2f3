//! Which of two routes that take a request is the more specific.

use std::cmp::Ordering;

use super::matcher::{ConditionOn, HostRank};
use super::matching::Matching;
use super::rule::Rule;
use super::segment::Segment;
use super::template::Template;

/// The rank of a route under one of its templates; the greater wins. The order of the fields is the order of precedence.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Precedence {
    pub host: HostRank,
    /// From the left.
    pub path: Vec<SegmentRank>,
    pub conditions: ConditionRank,
}

/// More literal bytes win among parameters with affixes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SegmentRank {
    CatchAll,
    /// The template ends here, where another goes on with a catch-all that takes nothing.
    End,
    Parameter,
    Affixes(usize),
    Literal,
}

/// The order of the fields is the order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConditionRank {
    pub names_methods: bool,
    /// How many conditions are on each of [`ConditionOn::ALL`].
    pub conditions: [usize; ConditionOn::ALL.len()],
    pub priority: i64,
}

impl Precedence {
    #[must_use]
    pub fn of(rule: &Rule, template: &Template, matching: Matching) -> Self {
        Self {
            host: rule.host.rank(),
            path: path_ranks(template, matching).collect(),
            conditions: ConditionRank::of(rule),
        }
    }
}

impl SegmentRank {
    pub(super) fn of(segment: &Segment) -> Self {
        match segment {
            Segment::Literal(_) => Self::Literal,
            Segment::Parameter(parameter) => match parameter.literal_bytes() {
                0 => Self::Parameter,
                bytes => Self::Affixes(bytes),
            },
            Segment::Rest(_) => Self::CatchAll,
        }
    }
}

impl ConditionRank {
    pub(super) fn of(rule: &Rule) -> Self {
        Self {
            names_methods: rule.methods.is_some(),
            conditions: ConditionOn::ALL.map(|on| rule.conditions_on(on).count()),
            priority: rule.priority,
        }
    }
}

/// An end follows a catch-all too; nothing that takes the same path is told apart by it.
fn path_ranks(template: &Template, matching: Matching) -> impl Iterator<Item = SegmentRank> {
    template.matched_segments(matching).iter().map(SegmentRank::of).chain([SegmentRank::End])
}

/// As the order of `Precedence::path`, without making one.
pub(super) fn compare_paths(left: &Template, right: &Template, matching: Matching) -> Ordering {
    path_ranks(left, matching).cmp(path_ranks(right, matching))
}
