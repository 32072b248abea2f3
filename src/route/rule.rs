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
    pub headers: Vec<Condition>,
    pub cookies: Vec<Condition>,
    pub query: Vec<Condition>,
    pub priority: i64,
}

/// The first thing that a rule asks for and a request does not have.
#[derive(Debug, Clone, Copy)]
pub(super) enum Unmet<'a> {
    Method,
    Condition { on: ConditionOn, condition: &'a Condition },
}

impl Rule {
    /// `GET` stands for GET and HEAD.
    #[must_use]
    pub fn takes_method(&self, method: &Method) -> bool {
        self.methods.as_ref().is_none_or(|methods| methods.takes(method))
    }

    pub(super) fn conditions(&self, on: ConditionOn) -> &[Condition] {
        match on {
            ConditionOn::Header => &self.headers,
            ConditionOn::Cookie => &self.cookies,
            ConditionOn::Query => &self.query,
        }
    }

    pub(super) fn has_conditions(&self) -> bool {
        ConditionOn::ALL.iter().any(|on| !self.conditions(*on).is_empty())
    }

    /// The condition that fails, for a request whose host and path match.
    pub(super) fn unmet<'a>(&'a self, facts: &Facts<'_>) -> Option<Unmet<'a>> {
        if !self.takes_method(facts.method) {
            return Some(Unmet::Method);
        }
        ConditionOn::ALL.into_iter().find_map(|on| {
            let condition = self.conditions(on).iter().find(|condition| !on.holds(condition, facts))?;
            Some(Unmet::Condition { on, condition })
        })
    }

    /// Whether no request can meet both rules, by their methods or by what they ask of one value.
    #[must_use]
    pub fn excludes(&self, other: &Self) -> bool {
        let methods = self.methods.as_ref().zip(other.methods.as_ref());
        methods.is_some_and(|(own, other)| own.excludes(other))
            || ConditionOn::ALL.into_iter().any(|on| {
                let others = other.conditions(on);
                self.conditions(on).iter().any(|own| others.iter().any(|other| own.excludes(other)))
            })
    }
}
