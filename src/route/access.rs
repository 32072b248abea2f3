//! The requirements of a route before anything is forwarded: a token, a rate.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

/// A value that is never printed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(pub Arc<str>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Where a secret is. Files are read where the secret is used: compiling does no IO.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SecretSource {
    /// From the environment, already read.
    Value(Secret),
    /// White space at its end does not count.
    File(PathBuf),
}

/// The key of a rate: requests with one value are those of one client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RateKey {
    Ip,
    Header(HeaderName),
    Cookie(Box<str>),
}

/// A token bucket for each client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    pub key: RateKey,
    /// Requests per `per`, at least one.
    pub amount: u32,
    pub per: Duration,
    /// Requests that may come at once, at least one.
    pub burst: u32,
}

/// Where the keys for signatures come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum JwtKeys {
    /// A key set at this URL.
    Url(Box<str>),
    /// A key set in this file.
    File(PathBuf),
    /// One public key, PEM, or one shared secret.
    Key(SecretSource),
}

/// A bearer token that must be valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwtRule {
    pub keys: JwtKeys,
    pub issuer: Option<Box<str>>,
    /// One of these must be in `aud`; empty: `aud` does not count.
    pub audience: Vec<Box<str>>,
    /// Claim, and the header in which the upstream is given it.
    pub forward: Vec<(Box<str>, HeaderName)>,
}
