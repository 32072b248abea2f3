//! A route as it is in force: which requests it takes, who answers them, and what is changed on the way.

use std::sync::Arc;
use std::time::Duration;

use crate::endpoint::{Buffering, OwnTimeouts};
use crate::migration::{Percent, Policy, Side};
use crate::route::{AnswerEdits, IdentityRules, JwtRule, Network, RateLimit, Redirect, RemoteCall, Rewrite, Rule};

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
    pub rule: Arc<Rule>,
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
