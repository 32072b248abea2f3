//! Why a request goes to its route, and why each other route whose path fits did not get it.

use std::fmt;
use std::sync::Arc;

use http::Method;

use super::RouteId;
use super::facts::Facts;
use super::matcher::{Condition, ConditionKind, ConditionOn, HostPattern};
use super::matching::Matching;
use super::precedence::Precedence;
use super::rule::{Rule, Unmet};
use super::segment::Segment;
use super::table::{Found, RouteTable};
use super::template::Template;

/// The route that takes a request, and the others that might have.
#[derive(Debug, Clone)]
pub struct Explanation {
    pub found: Option<Found>,
    /// The routes whose path takes the request's, but for the one that was found; the most specific first.
    pub candidates: Vec<Candidate>,
}

/// A route whose path takes the request's, and which did not get it.
#[derive(Debug, Clone)]
pub struct Candidate {
    pub route: RouteId,
    /// Index of the most specific of its templates that take the path.
    pub template: u16,
    pub lost: Lost,
}

/// Why a candidate did not get the request. Displays as a few words that stand after the route's name and a colon.
#[derive(Debug, Clone)]
pub enum Lost {
    Host(HostPattern),
    Method {
        method: Method,
        /// The methods that the route names.
        takes: Vec<String>,
    },
    Condition {
        condition: Condition,
        /// Whether the request has a value under that name.
        missing: bool,
    },
    LessSpecific(LessSpecific),
    Priority {
        own: i64,
        winner: i64,
    },
    /// Nothing that a CORS preflight tells sets it apart from the route that got it, which comes first by name.
    PreflightTie,
}

/// In what a candidate is less specific than the route that got the request.
#[derive(Debug, Clone)]
pub enum LessSpecific {
    Host {
        own: HostPattern,
        winner: HostPattern,
    },
    /// The number of the segment, from 1, and what stands there.
    Path {
        segment: usize,
        own: String,
        winner: String,
    },
    Methods,
    Conditions {
        on: ConditionOn,
        own: usize,
        winner: usize,
    },
}

impl RouteTable {
    /// Looks at every route; for people, not for traffic.
    #[must_use]
    pub fn explain(&self, facts: &Facts<'_>) -> Explanation {
        let found = self.find(facts);
        let mut candidates: Vec<(Precedence, Candidate)> = fitting(self.rules(), facts, *self.matching())
            .filter(|(own, _)| found.is_none_or(|found| found.route != own.route))
            .map(|(own, precedence)| {
                let lost = self.why_lost(own, &precedence, found, facts);
                (precedence, Candidate { route: own.route, template: own.template, lost })
            })
            .collect();
        candidates.sort_by(|(left, one), (right, other)| right.cmp(left).then(one.route.cmp(&other.route)));
        Explanation { found, candidates: candidates.into_iter().map(|(_, candidate)| candidate).collect() }
    }

    fn why_lost(&self, own: Found, precedence: &Precedence, found: Option<Found>, facts: &Facts<'_>) -> Lost {
        let rule = &self.rules()[own.route.index()];
        if !rule.host.takes(facts.host) {
            return Lost::Host(rule.host.clone());
        }
        match (rule.unmet(facts), found) {
            (Some(Unmet::Method), _) => Lost::Method {
                method: facts.method.clone(),
                takes: rule.methods.iter().flat_map(|methods| methods.names()).map(str::to_owned).collect(),
            },
            (Some(Unmet::Condition(condition)), _) => Lost::Condition {
                condition: condition.clone(),
                missing: condition.on.value(&condition.name, facts).is_none(),
            },
            (None, Some(found)) => {
                let winner = &self.rules()[found.route.index()];
                less(rule, self.template(own), precedence, winner, self.template(found), *self.matching())
            }
            (None, None) => unreachable!("a route that takes the request is found when no other is"),
        }
    }
}

/// The first difference in the order of precedence.
fn less(
    rule: &Rule,
    template: &Template,
    precedence: &Precedence,
    winner: &Rule,
    winner_template: &Template,
    matching: Matching,
) -> Lost {
    let best = Precedence::of(winner, winner_template, matching);
    if precedence.host != best.host {
        return Lost::LessSpecific(LessSpecific::Host { own: rule.host.clone(), winner: winner.host.clone() });
    }
    if let Some(at) = precedence.path.iter().zip(&best.path).position(|(own, best)| own != best) {
        return Lost::LessSpecific(LessSpecific::Path {
            segment: at + 1,
            own: written(template, at),
            winner: written(winner_template, at),
        });
    }
    let (own, best) = (precedence.conditions, best.conditions);
    if own.names_methods != best.names_methods {
        return Lost::LessSpecific(LessSpecific::Methods);
    }
    let mut counted = ConditionOn::ALL.into_iter().zip(own.conditions.into_iter().zip(best.conditions));
    if let Some((on, (own, winner))) = counted.find(|(_, (own, winner))| own != winner) {
        return Lost::LessSpecific(LessSpecific::Conditions { on, own, winner });
    }
    if own.priority == best.priority {
        return Lost::PreflightTie;
    }
    Lost::Priority { own: own.priority, winner: best.priority }
}

/// A segment of the template as a person writes it.
fn written(template: &Template, at: usize) -> String {
    match template.segments().get(at) {
        None => "the end".to_owned(),
        Some(Segment::Literal(text)) => format!("`{text}`"),
        Some(Segment::Parameter(own)) => format!("`{}{{{}}}{}`", own.prefix, own.name, own.suffix),
        Some(Segment::Rest(name)) => format!("`{{*{name}}}`"),
    }
}

/// Each route whose path takes the request's, under the most specific of its templates that do.
fn fitting<'a>(
    rules: &'a [Arc<Rule>],
    facts: &'a Facts<'a>,
    matching: Matching,
) -> impl Iterator<Item = (Found, Precedence)> + 'a {
    rules.iter().zip(0_u32..).filter_map(move |(rule, id)| {
        let templates = rule.paths.iter().zip(0_u16..);
        templates
            .filter(|(template, _)| template.takes(facts.path, matching))
            .map(|(template, number)| {
                (Found { route: RouteId(id), template: number }, Precedence::of(rule, template, matching))
            })
            .max_by(|(one, left), (other, right)| left.cmp(right).then(other.template.cmp(&one.template)))
    })
}

/// The route of a request by looking at all of them: what [`RouteTable::find`] must agree with.
#[must_use]
pub fn linear(rules: &[Arc<Rule>], facts: &Facts<'_>, matching: Matching) -> Option<Found> {
    fitting(rules, facts, matching)
        .filter(|(found, _)| {
            let rule = &rules[found.route.index()];
            rule.host.takes(facts.host) && rule.unmet(facts).is_none()
        })
        .max_by(|(one, left), (other, right)| left.cmp(right).then(other.route.cmp(&one.route)))
        .map(|(found, _)| found)
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host) => write!(f, "the host is not `{host}`"),
            Self::Method { method, takes } => write!(f, "the method `{method}` is not one of `{}`", takes.join("`, `")),
            Self::Condition { condition: Condition { on, name, kind }, missing } => match kind {
                ConditionKind::Absent => write!(f, "{on} `{name}` is present"),
                _ if *missing => write!(f, "{on} `{name}` is missing"),
                kind => write!(f, "{on} `{name}` is not {kind}"),
            },
            Self::LessSpecific(less) => write!(f, "less specific: {less}"),
            Self::Priority { own, winner } => write!(f, "lower priority: {own} against {winner}"),
            Self::PreflightTie => f.write_str("a preflight cannot tell them apart, and it comes later by name"),
        }
    }
}

impl fmt::Display for LessSpecific {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host { own: HostPattern::Any, .. } => f.write_str("names no host"),
            Self::Host { own, winner } => write!(f, "host `{own}` against `{winner}`"),
            Self::Path { segment, own, winner } => write!(f, "{own} against {winner} in segment {segment} of the path"),
            Self::Methods => f.write_str("names no methods"),
            Self::Conditions { on, own, winner } => write!(f, "{own} {on} conditions against {winner}"),
        }
    }
}
