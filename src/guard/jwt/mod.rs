//! Checks a route's bearer tokens (RFC 7519), and turns their claims into headers that no client can forge.
//!
//! The kind of a key decides which algorithm it verifies; the token's `alg` can only agree. That leaves nothing to confuse:
//! an RSA key is never an HMAC secret, and `none` is no algorithm at all.

mod keyring;
mod keys;
mod revocations;
mod source;
mod token;

pub use keyring::{KeySet, Keyring};
pub use keys::{Keys, KeysError};
pub use revocations::{RevocationLists, Revocations};
pub use source::{JwksError, KeySource, fetch_keys};

use http::HeaderName;
use serde_json::{Map, Value};

use super::forged;
use crate::message::{self, Fields, Name, RequestHead};

/// The clocks of two machines may differ by this much.
const LEEWAY_SECONDS: f64 = 60.0;

/// The requirements of a route on a token.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClaimRules {
    pub issuer: Option<Box<str>>,
    /// The token has to name one of these; none: any audience, or no audience, will do.
    pub audience: Vec<Box<str>>,
    /// Claims, and the headers that carry them on.
    pub forward: Vec<(Box<str>, HeaderName)>,
}

/// Why a request gets 401.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejected {
    /// No bearer token, or more than one.
    Missing,
    Malformed,
    /// None that is allowed, or not the one of the key.
    Algorithm,
    /// No key of this id; a reason to fetch the keys again.
    UnknownKey,
    Signature,
    /// Also a token that would never expire.
    Expired,
    NotYet,
    Issuer,
    Audience,
    /// It was good, and is no longer.
    Revoked,
}

impl Rejected {
    /// The word in the metric and in the answer's `detail`; says nothing that helps to forge.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing token",
            Self::Malformed => "malformed token",
            Self::Algorithm => "algorithm not allowed",
            Self::UnknownKey => "unknown key",
            Self::Signature => "bad signature",
            Self::Expired => "expired token",
            Self::NotYet => "token not valid yet",
            Self::Issuer => "wrong issuer",
            Self::Audience => "wrong audience",
            Self::Revoked => "revoked token",
        }
    }

    /// The value of `WWW-Authenticate` (RFC 6750, 3).
    #[must_use]
    pub const fn challenge(self) -> &'static str {
        match self {
            Self::Missing => "Bearer",
            _ => "Bearer error=\"invalid_token\"",
        }
    }
}

/// Lets a request pass whose token is good, with its claims in the headers that the route names. A client's own fields under these names
/// are removed first. Gives all claims.
///
/// `now` is in seconds since the epoch.
pub fn check(
    request: &mut RequestHead,
    keys: &Keys,
    rules: &ClaimRules,
    now: u64,
) -> Result<Map<String, Value>, Rejected> {
    forget(request, rules)?;
    let claims = verify(bearer(&request.fields)?, keys, rules, now)?;
    for (claim, name) in &rules.forward {
        let Some(text) = claims.get(&**claim).and_then(plain) else { continue };
        if !message::is_value(text.as_bytes()) {
            return Err(Rejected::Malformed);
        }
        request.fields.set_named(name, text.as_bytes());
    }
    Ok(claims)
}

/// The claims of a good token.
pub fn verify(token: &str, keys: &Keys, rules: &ClaimRules, now: u64) -> Result<Map<String, Value>, Rejected> {
    let claims = token::verified(token, keys)?;
    check_times(&claims, now)?;
    if let Some(issuer) = &rules.issuer
        && claims.get("iss").and_then(Value::as_str) != Some(issuer)
    {
        return Err(Rejected::Issuer);
    }
    let named =
        |audience: &Value| audience.as_str().is_some_and(|text| rules.audience.iter().any(|own| **own == *text));
    let fits = rules.audience.is_empty()
        || match claims.get("aud") {
            Some(Value::Array(list)) => list.iter().any(named),
            Some(one) => named(one),
            None => false,
        };
    if fits { Ok(claims) } else { Err(Rejected::Audience) }
}

#[allow(clippy::cast_precision_loss, reason = "seconds stay exact for the next 285 million years")]
fn check_times(claims: &Map<String, Value>, now: u64) -> Result<(), Rejected> {
    let now = now as f64;
    let time = |name| claims.get(name).map(|value| value.as_f64().ok_or(Rejected::Malformed)).transpose();
    if time("exp")?.is_none_or(|end| now >= end + LEEWAY_SECONDS) {
        return Err(Rejected::Expired);
    }
    if time("nbf")?.is_some_and(|start| now < start - LEEWAY_SECONDS) {
        return Err(Rejected::NotYet);
    }
    Ok(())
}

/// The one bearer token. Two could be read differently here and behind us.
fn bearer(fields: &Fields) -> Result<&str, Rejected> {
    let mut values = fields.all(Name::Authorization);
    let (Some(value), None) = (values.next(), values.next()) else { return Err(Rejected::Missing) };
    let text = std::str::from_utf8(value).map_err(|_| Rejected::Missing)?;
    let (scheme, token) = text.split_once(' ').ok_or(Rejected::Missing)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim_start_matches(' ')) } else { Err(Rejected::Missing) }
}

/// Whether a client shows a token at all, good or bad: one line that names another scheme is none, two lines are a bad one.
#[must_use]
pub fn is_shown(fields: &Fields) -> bool {
    const SCHEME: &[u8] = b"bearer";
    let mut values = fields.all(Name::Authorization);
    let first = values.next();
    let bearer = |value: &[u8]| value.get(..SCHEME.len()).is_some_and(|scheme| scheme.eq_ignore_ascii_case(SCHEME));
    first.is_some_and(bearer) || values.next().is_some()
}

/// The signed part of the request's token: the same for every spelling of its signature.
#[must_use]
pub fn signed_part(fields: &Fields) -> Option<&str> {
    bearer(fields).ok()?.rsplit_once('.').map(|(signed, _)| signed)
}

/// Removes what the client sent under the names that will carry claims; refuses a `Connection` that would have them removed on the
/// way.
pub fn forget(request: &mut RequestHead, rules: &ClaimRules) -> Result<(), Rejected> {
    let ours = |name: &[u8]| rules.forward.iter().any(|(_, own)| forged::is_same(own, name));
    if request.fields.all(Name::Connection).flat_map(message::elements).any(ours) {
        return Err(Rejected::Malformed);
    }
    request.fields.retain(|_, name, _| !ours(name));
    Ok(())
}

/// A claim as one header value; lists and objects have no agreed form and are not passed on.
fn plain(claim: &Value) -> Option<String> {
    match claim {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
