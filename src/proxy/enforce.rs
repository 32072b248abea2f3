//! Asks of a client what its route wants before anything is forwarded: not to come too often, and a token.

use std::time::{Instant, SystemTime};

use super::Steps;
use super::access::{RouteAccess, TokenRule};
use super::exchange::Exchange;
use super::failure::Failure;
use super::rate_limit_status::RateLimitStatus;
use super::request::NOWHERE;
use crate::guard::jwt::{self, Rejected};
use crate::guard::rate::{Decision, client_unit};
use crate::route::{Facts, RateKey};

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
    let address = client_unit(exchange.client.unwrap_or(NOWHERE));
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
