//! The conditions of a route, compiled.

use super::methods::MethodSet;

/// Which hosts a route takes. The derived order is not the precedence; `Precedence` is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    Any,
    /// Lower case, without a port.
    Exact(Box<str>),
    /// `*.example.com`, kept as `.example.com`, lower case: any depth, not the apex.
    Wildcard(Box<str>),
}

/// What a header, cookie or query value must be.
#[derive(Debug, Clone)]
pub enum ConditionKind {
    Equal(Box<str>),
    Present,
    Absent,
    Regex(regex::Regex),
}

/// A condition on one header, cookie or query value.
#[derive(Debug, Clone)]
pub struct Condition {
    /// Headers in lower case; cookies and query keys as written.
    pub name: Box<str>,
    pub kind: ConditionKind,
}

/// All that a route asks of a request.
#[derive(Debug, Clone)]
pub struct Rule {
    pub host: HostPattern,
    /// One or more templates; the route takes what any of them takes.
    pub paths: Vec<super::Template>,
    /// `None`: the route names no methods and takes all of them.
    pub methods: Option<MethodSet>,
    pub headers: Vec<Condition>,
    pub cookies: Vec<Condition>,
    pub query: Vec<Condition>,
    pub priority: i64,
}
