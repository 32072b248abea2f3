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

/// A route's place in the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteId(pub u32);

impl RouteId {
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

#[cfg(test)]
mod tests;
