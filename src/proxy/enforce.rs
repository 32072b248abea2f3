//! Asks of a client what its route wants before anything is forwarded: not to come too often, and a token.

use std::time::{Instant, SystemTime};

use super::Steps;
use super::access::{RouteAccess, TokenRule};
use super::exchange::Exchange;
use super::failure::Failure;
use super::rate_limit_status::RateLimitStatus;
use super::request::NOWHERE;
use crate::guard::jwt::{self, Rejected};
use crate::guard::rate::{Admission, client_unit};
use crate::route::{Facts, RateKey};

/// Lets a request pass, or says why not. A limit per address stands before the token, so that guessing is limited too; one per
/// header or cookie stands behind it, because the header may be one that the token fills.
pub fn enforce(steps: &Steps, exchange: &mut Exchange, asked: &RouteAccess, preflight: bool) -> Result<(), Failure> {
    let by_address = matches!(&asked.rate, Some(limit) if limit.key == RateKey::Ip);
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
    let Some(limit) = &asked.rate else { return Ok(()) };
    let rate = limit.budget.as_ref().map_or(limit.rate, |budget| budget.take(limit.rate));
    let limiter = &steps.access.limiter;
    let headers = &exchange.head.fields;
    let named = match &limit.key {
        RateKey::Ip => None,
        RateKey::Header(name) => headers.get(name),
        RateKey::Cookie(name) => Facts::cookie_of(headers, name).map(str::as_bytes),
    };
    let address = client_unit(exchange.client.unwrap_or(NOWHERE));
    // Without the header or cookie, the key is the client's address: leaving it out must not lift the limit.
    let bucket = limiter.key(exchange.route().name(), named.unwrap_or(&address));
    let status = match limiter.check(bucket, rate, steps.live.uptime(Instant::now())) {
        Admission::Allowed { remaining, reset } => {
            RateLimitStatus { burst: rate.burst(), remaining, reset, limited: false }
        }
        Admission::Limited { retry_after } => {
            RateLimitStatus { burst: rate.burst(), remaining: 0, reset: retry_after, limited: true }
        }
    };
    exchange.rate_limit = Some(status);
    if status.limited { Err(Failure::Refused { status: 429, reason: "rate_limit" }) } else { Ok(()) }
}

/// Where a token is not required, a request without one passes, as does a preflight: a browser's preflight never carries a token (Fetch,
/// section 4.8). Nothing that only a token may say passes with it.
fn check_token(exchange: &mut Exchange, rule: &TokenRule, preflight: bool) -> Result<(), Failure> {
    let request = &mut exchange.head;
    if preflight || !rule.required && !jwt::is_shown(&request.fields) {
        return jwt::forget(request, &rule.rules).map_err(Failure::Unauthorized);
    }
    let Some(keys) = rule.keys.keys() else {
        // Without keys no signature can be verified.
        return Err(Failure::Refused { status: 503, reason: "keys" });
    };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let claims = jwt::check(request, &keys, &rule.rules, now).map_err(|rejected| {
        if rejected == Rejected::UnknownKey {
            rule.keys.want();
        }
        Failure::Unauthorized(rejected)
    })?;
    let Some(revoked) = &rule.revoked else { return Ok(()) };
    let signed = jwt::signed_part(&request.fields).unwrap_or_default();
    match revoked.contains(signed, claims.get("jti").and_then(serde_json::Value::as_str)) {
        Some(false) => Ok(()),
        Some(true) => Err(Failure::Unauthorized(Rejected::Revoked)),
        // A token that was revoked must not pass because this process has not heard of it yet.
        None => Err(Failure::Refused { status: 503, reason: "revoked" }),
    }
}
