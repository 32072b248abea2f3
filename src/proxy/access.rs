//! The conditions of a route before anything is forwarded: a limit of the client's rate, and a token.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::compile::Route;
use crate::guard::identity::{AuthServers, Identification};
use crate::guard::jwt::{ClaimRules, KeySet, Keyring, RevocationLists, Revocations};
use crate::guard::rate::{BucketRate, CAPACITY, Limiter, SharedBudget};
use crate::route::RateKey;

/// The buckets and keys of all routes. They outlive generations: a reload neither empties a bucket nor forgets a key.
pub struct Access {
    pub(super) limiter: Limiter,
    keyring: Keyring,
    revocations: RevocationLists,
    auth_servers: AuthServers,
    /// Of the routes whose rate the replicas of a fleet share, by name.
    budgets: Mutex<HashMap<Arc<str>, Arc<SharedBudget>>>,
}

/// The conditions of one route; none, as a rule.
#[derive(Debug, Default)]
pub struct RouteAccess {
    pub(super) rate: Option<RouteRate>,
    pub(super) token: Option<TokenRule>,
    /// Asked where a service is to answer.
    pub(super) identification: Option<Arc<Identification>>,
    /// Asked where a service gets a copy.
    pub(super) for_copies: Option<Arc<Identification>>,
}

#[derive(Debug)]
pub(super) struct RouteRate {
    pub(super) rate: BucketRate,
    pub(super) key: RateKey,
    /// The replicas of the fleet share it.
    pub(super) budget: Option<Arc<SharedBudget>>,
}

#[derive(Debug)]
pub(super) struct TokenRule {
    pub(super) keys: Arc<KeySet>,
    pub(super) rules: ClaimRules,
    /// Requests without a token are refused.
    pub(super) required: bool,
    pub(super) revoked: Option<Arc<Revocations>>,
}

impl Access {
    /// `seed` is a secret random number.
    pub fn new(seed: u64) -> Self {
        Self {
            limiter: Limiter::new(CAPACITY, seed),
            keyring: Keyring::default(),
            revocations: RevocationLists::default(),
            auth_servers: AuthServers::default(),
            budgets: Mutex::default(),
        }
    }

    /// Must be called within the runtime that keeps keys fresh.
    pub fn of(&self, route: &Route) -> RouteAccess {
        RouteAccess {
            rate: route.rate_limit.as_ref().and_then(|limit| {
                let rate = BucketRate::new(limit.amount, limit.per, limit.burst)?;
                let budget =
                    limit.fleet.then(|| Arc::clone(self.budgets.lock().entry(route.name.clone()).or_default()));
                Some(RouteRate { rate, key: limit.key.clone(), budget })
            }),
            token: route.jwt.as_ref().map(|rule| TokenRule {
                keys: self.keyring.key_set(&rule.keys),
                rules: ClaimRules {
                    issuer: rule.issuer.clone(),
                    audience: rule.audience.clone(),
                    forward: rule.forward.clone(),
                },
                required: rule.required,
                revoked: rule.revoked.as_ref().map(|named| self.revocations.list(named)),
            }),
            identification: self.auth_servers.of(route),
            for_copies: self.auth_servers.for_copies(route),
        }
    }

    /// Forgets what no route of the new generation needs.
    pub fn retain(&self, routes: &[Arc<Route>]) {
        self.keyring
            .retain(|keys| routes.iter().any(|route| route.jwt.as_ref().is_some_and(|rule| rule.keys == *keys)));
        let revoked = |route: &Route| route.jwt.as_ref().and_then(|rule| rule.revoked.clone());
        self.revocations.retain(|named| routes.iter().any(|route| revoked(route).as_ref() == Some(named)));
        self.auth_servers.retain(routes);
        let shared: HashSet<&str> = routes.iter().filter(|route| is_shared(route)).map(|route| &*route.name).collect();
        self.budgets.lock().retain(|name, _| shared.contains(&**name));
    }

    /// The budgets that replicas share, by route.
    pub fn budgets(&self) -> Vec<(Arc<str>, Arc<SharedBudget>)> {
        self.budgets.lock().iter().map(|(name, budget)| (Arc::clone(name), Arc::clone(budget))).collect()
    }
}

impl RouteAccess {
    /// Whether anything is asked before it is decided which side answers.
    pub fn asks(&self) -> bool {
        self.rate.is_some() || self.token.is_some()
    }
}

fn is_shared(route: &Route) -> bool {
    route.rate_limit.as_ref().is_some_and(|limit| limit.fleet)
}
