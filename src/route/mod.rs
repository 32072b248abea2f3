//! Finds the route of a request: the most specific one whose every condition holds.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod access;
mod ambiguity;
mod call;
mod captures;
mod edits;
mod explain;
mod facts;
mod identity;
mod matcher;
mod matching;
mod near;
mod network;
mod path;
mod precedence;
mod redirect;
mod reverse;
mod rewrite;
mod rule;
mod segment;
mod table;
mod template;
mod tree;

pub use access::{
    EtcdApi, JwtKeys, JwtRule, RateKey, RateLimit, Revoked, SHORTEST_SECRET, SecretSource, SecretText, etcd_v2_path,
    is_shared_secret,
};
pub use ambiguity::Ambiguity;
pub use call::{Argument, ArgumentKind, ArgumentSource, Arguments, BadArguments, RemoteCall};
pub use captures::Captures;
pub use edits::{AnswerEdits, HeaderEdits, Rewrite};
pub use explain::{Candidate, Explanation, LessSpecific, Lost, linear};
pub use facts::Facts;
pub use identity::{
    BadValueTemplate, CacheBy, CredentialSource, ForwardAuth, IdentityRules, TokenExchange, ValueTemplate,
};
pub use matcher::{Condition, ConditionKind, ConditionOn, HostPattern, HostRank, MethodSet};
pub use matching::Matching;
pub use near::{Miss, NearMiss};
pub use network::Network;
pub use path::{NormalPath, PathRefused, normalise, normalise_bytes, resolve};
pub use precedence::{ConditionRank, Precedence, SegmentRank};
pub use redirect::Redirect;
pub use rewrite::{PathPiece, PathRewrite};
pub use rule::Rule;
pub use segment::{Parameter, Segment};
pub use table::{Found, MAX_PATHS, RouteTable};
pub use template::{Template, TemplateError};

use std::sync::Arc;
use std::time::Duration;

use crate::endpoint::{Buffering, OwnTimeouts};
use crate::migration::{Percent, Policy, Side};

/// A route's place in the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteId(pub u32);

impl RouteId {
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Failures on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Of the requests that the side would answer.
    pub share: Percent,
    /// Before the service is asked.
    pub delay: Option<Duration>,
    /// Answers instead of the service.
    pub status: Option<u16>,
    pub side: Side,
}

/// A compiled route.
#[derive(Debug, Clone, PartialEq)]
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
    /// What the route itself says of it; the upstream's own stands below.
    pub buffer: Buffering,
    /// What the route itself says of them.
    pub timeouts: Option<OwnTimeouts>,
    /// Answers in the place of a service.
    pub redirect: Option<Redirect>,
    /// What is called, where the service is asked by method and arguments.
    pub call: Option<Arc<RemoteCall>>,
    /// Networks of the clients that may ask; empty: all clients.
    pub allow: Vec<Network>,
    /// Failures on purpose.
    pub fault: Option<Fault>,
    pub rate_limit: Option<RateLimit>,
    pub jwt: Option<JwtRule>,
    pub identity: IdentityRules,
}

#[cfg(test)]
mod tests;
