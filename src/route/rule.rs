//! The conditions of a route, compiled, and the one place where they are put to a request.

use std::fmt;

use http::Method;

use super::facts::{ConditionOn, Facts};
use super::methods::MethodSet;
use super::template::Template;

/// The longest host name there is (RFC 1035, 2.3.4); a longer one matches no route.
pub(super) const HOST_BYTES: usize = 255;

/// Which hosts a route takes. How they rank is in `Precedence`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    Any,
    /// Lower case, without a port.
    Exact(Box<str>),
    /// `*.example.com`, kept as `.example.com`, lower case: any depth, not the apex.
    Wildcard(Box<str>),
}

/// The condition on a header, cookie or query value. Of several values under one name the first counts.
#[derive(Debug, Clone)]
pub enum ConditionKind {
    Equal(Box<str>),
    Present,
    Absent,
    /// Never holds for a value that is missing or not UTF-8.
    Regex(regex::Regex),
}

impl PartialEq for ConditionKind {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Equal(one), Self::Equal(other)) => one == other,
            (Self::Regex(one), Self::Regex(other)) => one.as_str() == other.as_str(),
            (Self::Present, Self::Present) | (Self::Absent, Self::Absent) => true,
            _ => false,
        }
    }
}

/// A condition on one header, cookie or query value.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// Headers in lower case; cookies and query keys as written.
    pub name: Box<str>,
    pub kind: ConditionKind,
}

/// All that a route asks of a request.
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

impl HostPattern {
    /// Takes the host as the client wrote it.
    #[must_use]
    pub fn takes(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host).as_bytes();
        match self {
            Self::Any => true,
            _ if host.len() > HOST_BYTES => false,
            Self::Exact(own) => host.eq_ignore_ascii_case(own.as_bytes()),
            Self::Wildcard(suffix) => host
                .len()
                .checked_sub(suffix.len())
                .is_some_and(|start| start > 0 && host[start..].eq_ignore_ascii_case(suffix.as_bytes())),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Exact(host) => f.write_str(host),
            Self::Wildcard(suffix) => write!(f, "*{suffix}"),
        }
    }
}

impl ConditionKind {
    fn holds(&self, value: Option<&[u8]>) -> bool {
        match self {
            Self::Equal(own) => value == Some(own.as_bytes()),
            Self::Present => value.is_some(),
            Self::Absent => value.is_none(),
            Self::Regex(regex) => {
                value.and_then(|value| std::str::from_utf8(value).ok()).is_some_and(|value| regex.is_match(value))
            }
        }
    }

    /// Whether no value meets both, as far as that can be told without reading a regex.
    fn excludes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Equal(left), Self::Equal(right)) => left != right,
            (Self::Absent, Self::Absent) => false,
            (Self::Absent, _) | (_, Self::Absent) => true,
            _ => false,
        }
    }
}

impl fmt::Display for ConditionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Equal(value) => write!(f, "equal to `{value}`"),
            Self::Present => f.write_str("present"),
            Self::Absent => f.write_str("absent"),
            Self::Regex(regex) => write!(f, "matched by `{regex}`"),
        }
    }
}

impl Rule {
    /// `GET` stands for GET and HEAD.
    #[must_use]
    pub fn takes_method(&self, method: &Method) -> bool {
        self.methods.as_ref().is_none_or(|methods| takes_method(methods, method))
    }

    pub(super) fn has_conditions(&self) -> bool {
        !(self.headers.is_empty() && self.cookies.is_empty() && self.query.is_empty())
    }

    /// The condition that fails, for a request whose host and path match.
    pub(super) fn unmet<'a>(&'a self, facts: &Facts<'_>) -> Option<Unmet<'a>> {
        if !self.takes_method(facts.method) {
            return Some(Unmet::Method);
        }
        let failing = |on, conditions: &'a [Condition]| {
            let condition = conditions.iter().find(|condition| !holds(on, condition, facts))?;
            Some(Unmet::Condition { on, condition })
        };
        failing(ConditionOn::Header, &self.headers)
            .or_else(|| failing(ConditionOn::Cookie, &self.cookies))
            .or_else(|| failing(ConditionOn::Query, &self.query))
    }

    /// Whether no request can meet both rules, by their methods or by what they ask of one value.
    #[must_use]
    pub fn excludes(&self, other: &Self) -> bool {
        let methods = match (&self.methods, &other.methods) {
            (Some(left), Some(right)) => {
                left.is_disjoint(right)
                    && !(left.contains(&Method::GET) && right.contains(&Method::HEAD))
                    && !(left.contains(&Method::HEAD) && right.contains(&Method::GET))
            }
            _ => false,
        };
        let any = |left: &[Condition], right: &[Condition]| {
            left.iter().any(|own| right.iter().any(|other| own.name == other.name && own.kind.excludes(&other.kind)))
        };
        methods
            || any(&self.headers, &other.headers)
            || any(&self.cookies, &other.cookies)
            || any(&self.query, &other.query)
    }
}

pub(super) fn takes_method(methods: &MethodSet, method: &Method) -> bool {
    methods.contains(method) || (*method == Method::HEAD && methods.contains(&Method::GET))
}

/// A CORS preflight stands for a request of which it tells the method and the names of some headers. So that it follows
/// that request: a header that is announced is there, with an unknown value, and meets every condition but
/// `absent`; a header that is not announced is judged as the preflight has it; cookies are never sent with a preflight
/// and nothing is known of them, so every condition on them is taken as met; the query is the request's own.
fn holds(on: ConditionOn, condition: &Condition, facts: &Facts<'_>) -> bool {
    let Condition { name, kind } = condition;
    match (on, facts.preflight) {
        (ConditionOn::Header, Some(announced)) if announces(announced, name) => !matches!(kind, ConditionKind::Absent),
        (ConditionOn::Header, _) => kind.holds(facts.headers.get(&**name)),
        (ConditionOn::Cookie, Some(_)) => true,
        (ConditionOn::Cookie, None) => kind.holds(facts.cookie(name).map(str::as_bytes)),
        (ConditionOn::Query, _) => kind.holds(facts.query_value(name).as_deref().map(str::as_bytes)),
    }
}

fn announces(announced: &str, name: &str) -> bool {
    announced.split(',').any(|own| own.trim().eq_ignore_ascii_case(name))
}
