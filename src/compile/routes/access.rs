//! The conditions of a route on a client before anything is forwarded.

use http::HeaderName;

use super::super::draft::Draft;
use super::super::networks;
use super::super::secret::secret;
use super::super::url::server_url;
use super::Site;
use super::edits::may_be_written;
use crate::config::{self, Field, Given, NamedEntry};
use crate::diagnostic::Code;
use crate::route::{
    EtcdApi, JwtKeys, JwtRule, Network, RateKey, RateLimit, Revoked, SHORTEST_SECRET, etcd_v2_path, is_shared_secret,
};

/// The networks of the clients that may ask; empty: all clients.
pub(super) fn allow(site: Site<'_>, draft: &mut Draft<'_>) -> Vec<Network> {
    if let Some(given) = site.route.allow.given().filter(|given| given.value.is_empty()) {
        let message = format!("`allow` of `{}` names no network: nobody could ask", site.name());
        let help = "name the clients' networks, `allow = [\"10.0.0.0/8\"]`, or remove the key to let everybody ask";
        draft.say(Code::InvalidValue, given.span.clone(), message, "no network", help);
    }
    networks::compile(
        &site.route.allow,
        ("everybody may ask", "name the clients' networks, such as `10.0.0.0/8`, or remove `allow`"),
        draft,
    )
}

pub(super) fn rate_limit(site: Site<'_>, draft: &mut Draft<'_>) -> Option<RateLimit> {
    let limit = site.route.rate_limit.get()?;
    let key = limit.per.given().and_then(|given| rate_key(given, draft));
    let rate = limit.rate.given()?;
    if rate.value.amount == 0 {
        let help = "write it like `rate = \"100/s\"`; without `rate_limit` there is no limit";
        draft.say(Code::OutOfRange, rate.span.clone(), "a rate of 0 lets nobody in", "must be above 0", help);
    }
    if let Some(burst) = limit.burst.given().filter(|given| given.value == 0) {
        let help = "write it like `burst = 200`, or remove it: the default is the rate's number";
        draft.say(Code::OutOfRange, burst.span.clone(), "a burst of 0 lets nobody in", "must be above 0", help);
    }
    let amount = rate.value.amount;
    Some(RateLimit {
        key: key?,
        amount,
        per: rate.value.per,
        burst: limit.burst.or(amount),
        fleet: limit.fleet.or(false),
    })
}

/// A rate that is shared by replicas, without a fleet.
pub(super) fn check_fleet(file: &config::File, kept: &[&NamedEntry<config::Route>], draft: &mut Draft<'_>) {
    if !matches!(file.fleet, Field::Absent) {
        return;
    }
    let limits = kept.iter().filter_map(|entry| Some((&entry.name, entry.value.rate_limit.get()?.fleet.given()?)));
    for (name, fleet) in limits.filter(|(_, fleet)| fleet.value) {
        let message = format!("`{name}` shares its rate with replicas, and there is no `[fleet]`");
        let help = "give the replicas one etcd in `[fleet]`; without it this proxy has the whole rate for itself";
        draft.say(Code::UselessSetting, fleet.span.clone(), message, "nobody shares it", help);
    }
}

fn rate_key(given: &Given<String>, draft: &mut Draft<'_>) -> Option<RateKey> {
    let key = match given.value.split_once(':') {
        None if given.value == "ip" => Some(RateKey::Ip),
        Some(("header", name)) => HeaderName::from_bytes(name.as_bytes()).ok().map(RateKey::Header),
        Some(("cookie", name)) if HeaderName::from_bytes(name.as_bytes()).is_ok() => Some(RateKey::Cookie(name.into())),
        _ => None,
    };
    if key.is_none() {
        let message = format!("`{}` does not say who counts as one client", given.value);
        let help = "write `per = \"ip\"`, `per = \"header:NAME\"` or `per = \"cookie:NAME\"`";
        draft.say(Code::InvalidUnit, given.span.clone(), message, "not a unit", help);
    }
    key
}

pub(super) fn jwt(site: Site<'_>, draft: &mut Draft<'_>) -> Option<JwtRule> {
    let given = site.route.auth.get()?.jwt.given()?;
    let jwt = &given.value;
    let keys = match (&jwt.jwks, &jwt.key) {
        (Field::Given(jwks), Field::Absent) if jwks.value.contains("://") => {
            server_url(&jwks.value, &jwks.span, "https://id.example/jwks.json", draft);
            JwtKeys::Url(jwks.value.as_str().into())
        }
        (Field::Given(jwks), Field::Absent) => JwtKeys::File(jwks.value.as_str().into()),
        (Field::Absent, Field::Given(key)) => {
            check_length(key, draft);
            JwtKeys::Key(secret(&key.value))
        }
        (Field::Wrong, _) | (_, Field::Wrong) => return None,
        _ => {
            draft.say(
                Code::MissingKey,
                given.span.clone(),
                "`auth.jwt` needs exactly one of `jwks` and `key`",
                "one of the two",
                "write `jwks = \"https://…/jwks.json\"`, or `key = { file = \"public.pem\" }`",
            );
            return None;
        }
    };
    let forward = jwt.forward.get().map(|named| named.entries.as_slice()).unwrap_or_default();
    let forward = forward.iter().filter(|entry| may_be_written(&entry.value, entry.span.clone(), draft));
    let forward = forward.map(|entry| (entry.name.as_str().into(), entry.value.clone())).collect();
    not_empty(jwt, draft);
    Some(JwtRule {
        keys,
        issuer: jwt.issuer.get().map(|issuer: &String| issuer.as_str().into()),
        audience: jwt.audience.get().map(audiences).unwrap_or_default(),
        forward,
        required: jwt.required.or(true),
        revoked: jwt.revoked.get().and_then(|revoked| revoked.etcd.get()).and_then(|keys| revoked_keys(keys, draft)),
    })
}

/// No token has an empty issuer or audience.
fn not_empty(jwt: &config::Jwt, draft: &mut Draft<'_>) {
    let issuer = jwt.issuer.given().map(|given| ("issuer", &given.value, &given.span));
    let audiences = jwt.audience.get().map(|list| list.0.as_slice()).unwrap_or_default();
    let audiences = audiences.iter().map(|item| ("audience", &item.value, &item.span));
    for (key, _, span) in issuer.into_iter().chain(audiences).filter(|(_, text, _)| text.is_empty()) {
        let help = format!("write what tokens have there, or remove `{key}`: then it may be any");
        draft.say(Code::InvalidValue, span.clone(), format!("an empty `{key}`: no token would pass"), "empty", help);
    }
}

/// A file is read where the secret is used, and said to be too short there.
fn check_length(key: &Given<config::Secret>, draft: &mut Draft<'_>) {
    let config::Secret::Value(text) = &key.value else { return };
    if is_shared_secret(text) && text.len() < SHORTEST_SECRET {
        draft.say(
            Code::ShortSecret,
            key.span.clone(),
            format!("a shared secret of {} bytes can be guessed from one token", text.len()),
            format!("needs {SHORTEST_SECRET} bytes or more"),
            "make a longer one, for example with `openssl rand -hex 32`, and give it to the issuer as well",
        );
    }
}

fn revoked_keys(keys: &config::RevokedKeys, draft: &mut Draft<'_>) -> Option<Revoked> {
    let endpoints = keys.endpoints.given()?;
    for item in &endpoints.value {
        server_url(&item.value, &item.span, "http://127.0.0.1:2379", draft);
    }
    if endpoints.value.is_empty() {
        let help = "name at least one: `endpoints = [\"http://127.0.0.1:2379\"]`";
        draft.say(Code::InvalidUrl, endpoints.span.clone(), "etcd without a member", "empty", help);
    }
    if let Some(prefix) = keys.prefix.given().filter(|given| given.value.is_empty()) {
        let help = "write it like `prefix = \"/revoked-tokens/\"`";
        draft.say(Code::InvalidValue, prefix.span.clone(), "an empty prefix is every key of etcd", "empty", help);
    }
    let prefix = keys.prefix.get()?.as_str();
    let (api, prefix): (_, Box<str>) = match keys.api.or(config::EtcdApi::V3) {
        config::EtcdApi::V3 => (EtcdApi::V3, prefix.into()),
        config::EtcdApi::V2 => (EtcdApi::V2, v2_prefix(prefix).into()),
    };
    if api == EtcdApi::V2 && prefix.rsplit('/').next().is_some_and(|begin| begin.starts_with('_')) {
        let message = "no token would be found: the API v2 of etcd lists no keys that begin with `_`";
        let help = "let the keys begin with another letter, or write them by the API v3";
        draft.say(Code::InvalidValue, keys.prefix.span()?, message, "hidden", help);
    }
    Some(Revoked { endpoints: endpoints.value.iter().map(|item| item.value.as_str().into()).collect(), prefix, api })
}

/// The prefix as listed keys have it: they begin with one slash, however they were written.
fn v2_prefix(prefix: &str) -> String {
    let (folder, begin) = prefix.rsplit_once('/').unwrap_or(("", prefix));
    let folder = etcd_v2_path(folder);
    if folder.is_empty() { format!("/{begin}") } else { format!("/{folder}/{begin}") }
}

fn audiences(list: &config::OneOrMany<String>) -> Vec<Box<str>> {
    list.0.iter().map(|item| item.value.as_str().into()).collect()
}
