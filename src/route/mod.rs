//! Finds the route of a request: the most specific one whose every condition holds.

mod access;
mod edits;
mod facts;
mod matching;
mod methods;
mod rule;
mod table;
mod template;

pub use access::{JwtKeys, JwtRule, RateKey, RateLimit, Secret, SecretSource};
pub use edits::{AnswerEdits, HeaderEdits, PathPiece, PathRewrite, Rewrite};
pub use facts::Facts;
pub use matching::Matching;
pub use methods::MethodSet;
pub use rule::{Condition, ConditionKind, HostPattern, Rule};
pub use table::{Ambiguity, RouteTable};
pub use template::{Template, TemplateError};

use std::sync::Arc;

use crate::migration::Policy;

/// A route's place in the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteId(pub u32);

impl RouteId {
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A compiled route.
#[derive(Debug, Clone)]
pub struct Route {
    pub name: Arc<str>,
    pub rule: Rule,
    pub policy: Policy,
    /// Applied to what a service is sent; the monolith always gets what the client sent.
    pub rewrite: Rewrite,
    /// Applied to what a service answers.
    pub answer: AnswerEdits,
    /// Bytes; `None` is no limit of the route's own.
    pub body_limit: Option<u64>,
    pub rate_limit: Option<RateLimit>,
    pub jwt: Option<JwtRule>,
}
