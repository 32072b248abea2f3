//! All that a route asks of a request, and the one place where it is put to one.

use http::Method;

use super::facts::Facts;
use super::matcher::{Condition, ConditionOn, HostPattern, MethodSet};
use super::template::Template;

/// The compiled predicates of a route.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    pub host: HostPattern,
    /// One or more templates; the route takes what any of them takes.
    pub paths: Vec<Template>,
    /// `None`: the route names no methods and takes all of them.
    pub methods: Option<MethodSet>,
    /// In the order of `ConditionOn`.
    pub conditions: Vec<Condition>,
    pub priority: i64,
}

/// The first thing that a rule asks for and a request does not have.
#[derive(Debug, Clone, Copy)]
pub(super) enum Unmet<'a> {
    Method,
    Condition(&'a Condition),
}

impl Rule {
    /// `GET` stands for GET and HEAD.
    #[must_use]
    pub fn takes_method(&self, method: &Method) -> bool {
        self.methods.as_ref().is_none_or(|methods| methods.takes(method))
    }

    /// The conditions on one part of a request.
    pub fn conditions_on(&self, on: ConditionOn) -> impl Iterator<Item = &Condition> {
        self.conditions.iter().filter(move |condition| condition.on == on)
    }

    /// The condition that fails, for a request whose host and path match.
    pub(super) fn unmet<'a>(&'a self, facts: &Facts<'_>) -> Option<Unmet<'a>> {
        if !self.takes_method(facts.method) {
            return Some(Unmet::Method);
        }
        self.conditions.iter().find(|condition| !condition.holds(facts)).map(Unmet::Condition)
    }

    /// Whether no request can meet both rules, by their methods or by what they ask of one value.
    #[must_use]
    pub fn excludes(&self, other: &Self) -> bool {
        let methods = self.methods.as_ref().zip(other.methods.as_ref());
        methods.is_some_and(|(own, other)| own.excludes(other))
            || self.conditions.iter().any(|own| other.conditions.iter().any(|other| own.excludes(other)))
    }
}
