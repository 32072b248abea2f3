//! What a route asks of a client before anything is forwarded: not to come too often, and a token.

use std::sync::Arc;

use crate::guard::jwt::{KeySet, Keyring, Rules};
use crate::guard::rate::{CAPACITY, Limiter, Rate};
use crate::route::{RateKey, Route};

/// The buckets and keys of all routes. They outlive editions: a reload neither empties a bucket nor forgets a key.
pub struct Access {
    pub(super) limiter: Limiter,
    keyring: Keyring,
}

/// What one route asks; nothing, as a rule.
#[derive(Debug, Default)]
pub struct RouteAccess {
    pub(super) rate: Option<(Rate, RateKey)>,
    pub(super) token: Option<TokenRule>,
}

#[derive(Debug)]
pub(super) struct TokenRule {
    pub(super) keys: Arc<KeySet>,
    pub(super) rules: Rules,
}

impl Access {
    /// `seed` is a secret random number.
    pub fn new(seed: u64) -> Self {
        Self { limiter: Limiter::new(CAPACITY, seed), keyring: Keyring::default() }
    }

    /// Must be called within the runtime that keeps keys fresh.
    pub fn of(&self, route: &Route) -> RouteAccess {
        RouteAccess {
            rate: route.rate_limit.as_ref().and_then(|limit| {
                let rate = Rate::new(limit.amount, limit.per, limit.burst)?;
                Some((rate, limit.key.clone()))
            }),
            token: route.jwt.as_ref().map(|rule| TokenRule {
                keys: self.keyring.key_set(&rule.keys),
                rules: Rules {
                    issuer: rule.issuer.clone(),
                    audience: rule.audience.clone(),
                    forward: rule.forward.clone(),
                },
            }),
        }
    }

    /// Forgets the keys that no route of the new edition needs.
    pub fn retain(&self, routes: &[Arc<Route>]) {
        self.keyring
            .retain(|keys| routes.iter().any(|route| route.jwt.as_ref().is_some_and(|rule| rule.keys == *keys)));
    }
}

impl RouteAccess {
    /// Whether anything is asked at all.
    pub fn asks(&self) -> bool {
        self.rate.is_some() || self.token.is_some()
    }
}
