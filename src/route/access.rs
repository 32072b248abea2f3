//! The requirements of a route before anything is forwarded: a token, a rate.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

/// A value that is never printed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SecretText(pub Arc<str>);

impl std::fmt::Debug for SecretText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Where a secret is. Files are read where the secret is used: compiling does no IO.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SecretSource {
    /// From the environment, already read.
    Value(SecretText),
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
    /// The replicas of a fleet share both.
    pub fleet: bool,
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
    /// Requests without a token are refused.
    pub required: bool,
    pub revoked: Option<Revoked>,
}

/// Keys of etcd that name tokens which are no longer valid.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Revoked {
    /// URLs of its members.
    pub endpoints: Vec<Box<str>>,
    pub prefix: Box<str>,
    pub api: EtcdApi,
}

/// The API of etcd under which keys are written: the two do not see each other's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EtcdApi {
    V3,
    V2,
}

/// A key as the API v2 of etcd keeps it, without its first slash: a path without empty segments, `.` and `..`.
#[must_use]
pub fn etcd_v2_path(key: &str) -> Cow<'_, str> {
    if !key.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
        return Cow::Borrowed(key);
    }
    let mut segments: Vec<&str> = Vec::new();
    for segment in key.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    Cow::Owned(segments.join("/"))
}

/// A shared secret shorter than the hash it feeds can be guessed from one token (RFC 7518, 3.2).
pub const SHORTEST_SECRET: usize = 32;

/// Whether a key is a shared secret: neither a public key nor a key set. Another public key is none either: it is public.
#[must_use]
pub fn is_shared_secret(key: &str) -> bool {
    let start = key.trim_start();
    !key.contains("-----BEGIN") && !["{", "ssh-", "ecdsa-"].iter().any(|other| start.starts_with(other))
}
