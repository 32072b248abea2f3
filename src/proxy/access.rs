//! What a route asks of a client before anything is forwarded: not to come too often, and a token.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::Steps;
use super::exchange::Exchange;
use super::failure::Failure;
use crate::guard::jwt::{self, KeySet, Keyring, Rejected, Rules};
use crate::guard::rate::{CAPACITY, Decision, Limiter, Rate, client_unit};
use crate::message::ResponseHead;
use crate::route::{Facts, RateKey, Route};

/// The buckets and keys of all routes. They outlive editions: a reload neither empties a bucket nor forgets a key.
pub struct Access {
    limiter: Limiter,
    keyring: Keyring,
}

/// What one route asks; nothing, as a rule.
#[derive(Debug, Default)]
pub struct RouteAccess {
    rate: Option<(Rate, RateKey)>,
    token: Option<TokenRule>,
}

#[derive(Debug)]
struct TokenRule {
    keys: Arc<KeySet>,
    rules: Rules,
}

/// What a rate-limited client is told of its bucket.
#[derive(Debug, Clone, Copy)]
pub struct RateLimitStatus {
    burst: u32,
    remaining: u32,
    reset: Duration,
    pub limited: bool,
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

/// Lets a request pass, or says why not. A limit per address stands before the token, so that guessing is limited too; one per
/// header or cookie stands behind it, because the header may be one that the token fills.
pub fn enforce(steps: &Steps, exchange: &mut Exchange, asked: &RouteAccess, preflight: bool) -> Result<(), Failure> {
    let by_address = matches!(asked.rate, Some((_, RateKey::Ip)));
    if by_address {
        take_token(steps, exchange, asked)?;
    }
    if let Some(rule) = &asked.token {
        check_token(exchange, rule, preflight)?;
    }
    if !by_address {
        take_token(steps, exchange, asked)?;
    }
    Ok(())
}

fn take_token(steps: &Steps, exchange: &mut Exchange, asked: &RouteAccess) -> Result<(), Failure> {
    let Some((rate, key)) = &asked.rate else { return Ok(()) };
    let limiter = &steps.access.limiter;
    let headers = &exchange.head.fields;
    let named = match key {
        RateKey::Ip => None,
        RateKey::Header(name) => headers.get(name),
        RateKey::Cookie(name) => Facts::cookie_of(headers, name).map(str::as_bytes),
    };
    let address = client_unit(exchange.client.unwrap_or(super::admit::NOWHERE));
    // Who does not say who it is, is its address: leaving the header away must not lift the limit.
    let bucket = limiter.key(exchange.route().name(), named.unwrap_or(&address));
    let status = match limiter.check(bucket, *rate, steps.live.uptime(Instant::now())) {
        Decision::Allowed { remaining, reset } => {
            RateLimitStatus { burst: rate.burst(), remaining, reset, limited: false }
        }
        Decision::Limited { retry_after } => {
            RateLimitStatus { burst: rate.burst(), remaining: 0, reset: retry_after, limited: true }
        }
    };
    exchange.rate_limit = Some(status);
    if status.limited { Err(Failure::Refused { status: 429, reason: "rate_limit" }) } else { Ok(()) }
}

/// A browser's preflight never carries a token (Fetch, section 4.8): it passes, but nothing that only a token may say does.
fn check_token(exchange: &mut Exchange, rule: &TokenRule, preflight: bool) -> Result<(), Failure> {
    let request = &mut exchange.head;
    if preflight {
        return jwt::forget(request, &rule.rules).map_err(Failure::Unauthorized);
    }
    let Some(keys) = rule.keys.keys() else {
        // Without keys nobody can be believed, and nobody is.
        return Err(Failure::Refused { status: 503, reason: "keys" });
    };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    jwt::check(request, &keys, &rule.rules, now).map_err(|rejected| {
        if rejected == Rejected::UnknownKey {
            rule.keys.want();
        }
        Failure::Unauthorized(rejected)
    })
}

impl RateLimitStatus {
    /// Whole seconds, rounded up: who waits as long passes.
    pub fn seconds(&self) -> u64 {
        self.reset.as_secs() + u64::from(self.reset.subsec_nanos() > 0)
    }

    /// `RateLimit-Limit`, `-Remaining` and `-Reset` (draft-ietf-httpapi-ratelimit-headers-06, the form that clients read).
    pub fn write(&self, head: &mut ResponseHead) {
        head.fields.set("RateLimit-Limit", self.burst.to_string().as_bytes());
        head.fields.set("RateLimit-Remaining", self.remaining.to_string().as_bytes());
        head.fields.set("RateLimit-Reset", self.seconds().to_string().as_bytes());
    }
}
