//! The predicates of a route, a file each: when one holds, what it excludes, how it is written.

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

use std::borrow::Cow;
use std::fmt;

use super::facts::Facts;

/// The part of a request that a condition looks at. In the order of precedence, which is also the order in which conditions are put
/// to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConditionOn {
    Header,
    Cookie,
    Query,
}

impl ConditionOn {
    pub const ALL: [Self; 3] = [Self::Header, Self::Cookie, Self::Query];

    fn holds(self, condition: &Condition, facts: &Facts<'_>) -> bool {
        match self {
            Self::Header => header::holds(condition, facts),
            Self::Cookie => cookie::holds(condition, facts),
            Self::Query => query::holds(condition, facts),
        }
    }

    /// The request's first value under this name, which need not be a text.
    pub(super) fn value<'f>(self, name: &str, facts: &'f Facts<'_>) -> Option<Cow<'f, [u8]>> {
        match self {
            Self::Header => header::value(name, facts),
            Self::Cookie => cookie::value(name, facts),
            Self::Query => query::value(name, facts),
        }
    }

    /// The same where it is a text.
    pub fn text(self, name: &str, facts: &Facts<'_>) -> Option<String> {
        String::from_utf8(self.value(name, facts)?.into_owned()).ok()
    }

    /// From the word that it displays as.
    #[must_use]
    pub fn read(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|on| on.word() == word)
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Cookie => "cookie",
            Self::Query => "query",
        }
    }

    /// What the table of these conditions is called in the file.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Header => "headers",
            Self::Cookie => "cookies",
            Self::Query => "query",
        }
    }
}

impl fmt::Display for ConditionOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
