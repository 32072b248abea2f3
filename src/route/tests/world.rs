//! Routes and requests for the tests of matching, in as few words as can be.

use std::sync::Arc;

use http::Method;

use crate::message::Fields;
use crate::route::{
    Condition, ConditionKind, ConditionOn, Facts, HostPattern, Matching, MethodSet, RouteTable, Rule, Template,
    normalise,
};

/// A route that takes these paths and asks nothing else.
pub(super) fn rule(paths: &[&str]) -> Rule {
    Rule {
        host: HostPattern::Any,
        paths: paths.iter().map(|path| Template::parse(path).expect("the template is right")).collect(),
        methods: None,
        conditions: Vec::new(),
        priority: 0,
    }
}

pub(super) fn methods(names: &[&str]) -> MethodSet {
    let methods: Vec<Method> = names.iter().map(|name| name.parse().expect("a method")).collect();
    MethodSet::of(&methods)
}

/// The conditions, of cookies.
pub(super) fn cookies(conditions: Vec<Condition>) -> Vec<Condition> {
    conditions.into_iter().map(|condition| Condition { on: ConditionOn::Cookie, ..condition }).collect()
}

/// The conditions, of the query.
pub(super) fn query(conditions: Vec<Condition>) -> Vec<Condition> {
    conditions.into_iter().map(|condition| Condition { on: ConditionOn::Query, ..condition }).collect()
}

fn header(name: &str, kind: ConditionKind) -> Condition {
    Condition { on: ConditionOn::Header, name: name.into(), kind }
}

/// A header of this value.
pub(super) fn equal(name: &str, value: &str) -> Condition {
    header(name, ConditionKind::Equal(value.into()))
}

pub(super) fn present(name: &str) -> Condition {
    header(name, ConditionKind::Present)
}

pub(super) fn absent(name: &str) -> Condition {
    header(name, ConditionKind::Absent)
}

pub(super) fn regex(name: &str, pattern: &str) -> Condition {
    header(name, ConditionKind::Regex(pattern.parse().expect("a regex")))
}

pub(super) fn shared(rules: Vec<Rule>) -> Vec<Arc<Rule>> {
    rules.into_iter().map(Arc::new).collect()
}

pub(super) fn table(rules: Vec<Rule>) -> RouteTable {
    RouteTable::build(&shared(rules), Matching::default()).expect("the routes are told apart")
}

#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) preflight: Option<String>,
    pub(super) host: String,
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) headers: Fields,
}

impl Request {
    pub(super) fn get(path: &str) -> Self {
        Self {
            method: Method::GET,
            preflight: None,
            host: String::new(),
            path: path.to_owned(),
            query: None,
            headers: Fields::new(),
        }
    }

    pub(super) fn method(mut self, method: &str) -> Self {
        self.method = method.parse().expect("a method");
        self
    }

    pub(super) fn host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    pub(super) fn query(mut self, query: &str) -> Self {
        self.query = Some(query.to_owned());
        self
    }

    pub(super) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push_raw(name.as_bytes(), value.as_bytes());
        self
    }

    pub(super) fn announcing(mut self, names: &str) -> Self {
        self.preflight = Some(names.to_owned());
        self
    }

    /// Normalises the path as the proxy does and hands the facts over.
    pub(super) fn facts<T>(&self, matching: Matching, look: impl FnOnce(&Facts<'_>) -> T) -> T {
        let path = normalise(&self.path, &matching).expect("the path is taken");
        look(&Facts {
            method: &self.method,
            preflight: self.preflight.as_deref(),
            host: &self.host,
            path: path.as_str(),
            query: self.query.as_deref().map(str::as_bytes),
            headers: &self.headers,
            client: None,
            upgrade: false,
        })
    }

    /// The index of the rule that takes the request.
    pub(super) fn lands(&self, table: &RouteTable) -> Option<usize> {
        self.facts(*table.matching(), |facts| table.find(facts)).map(|found| found.route.index())
    }
}
