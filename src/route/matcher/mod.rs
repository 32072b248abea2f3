//! The predicates of a route, a file each: when one holds, what it excludes, how it is written. Their ranks are in
//! `route/precedence.rs`, the words by which a route loses in `route/explain.rs`.

mod cookie;
mod header;
mod host;
mod method;
mod query;
mod value;

pub(super) use host::HOST_BYTES;
pub use host::{HostPattern, HostRank};
pub use method::MethodSet;
pub(super) use method::bit;
pub use value::{Condition, ConditionKind};

use std::fmt;

use super::facts::Facts;

/// The part of a request that a condition looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConditionOn {
    Header,
    Cookie,
    Query,
}

impl ConditionOn {
    /// In the order of precedence, which is also the order in which conditions are put to a request.
    pub(super) const ALL: [Self; 3] = [Self::Header, Self::Cookie, Self::Query];

    pub(super) fn holds(self, condition: &Condition, facts: &Facts<'_>) -> bool {
        match self {
            Self::Header => header::holds(condition, facts),
            Self::Cookie => cookie::holds(condition, facts),
            Self::Query => query::holds(condition, facts),
        }
    }

    /// Whether the request has any value under this name.
    pub(super) fn has(self, name: &str, facts: &Facts<'_>) -> bool {
        match self {
            Self::Header => header::has(name, facts),
            Self::Cookie => cookie::has(name, facts),
            Self::Query => query::has(name, facts),
        }
    }
}

impl fmt::Display for ConditionOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Cookie => "cookie",
            Self::Query => "query",
        })
    }
}
