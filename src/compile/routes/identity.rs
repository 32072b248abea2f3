//! The servers that identify a route's clients: `auth.forward`, `auth.exchange`, `shadow.credentials`; and the headers that no client may
//! send to a service that believes them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, header};

use super::super::draft::Draft;
use super::super::url::server_url;
use super::Site;
use super::edits::may_be_written;
use crate::compile::Route;
use crate::config::{self, Field, Given, Item, Stage};
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::endpoint::UpstreamId;
use crate::migration::Policy;
use crate::route::{CacheBy, CredentialSource, ForwardAuth, IdentityRules, TokenExchange, ValueTemplate};

const FORWARD_CACHE: Duration = Duration::from_secs(30);
const EXCHANGE_CACHE: Duration = Duration::from_secs(5 * 60);

pub(super) fn compile(site: Site<'_>, policy: Option<&Policy>, draft: &mut Draft<'_>) -> IdentityRules {
    let forward = forward(site, draft);
    let exchange = exchange(site, draft);
    let for_copies = copies(site, exchange.as_deref(), policy, draft);
    one_teller_each(site, draft);
    IdentityRules { forward, exchange, for_copies, reserved: Vec::new() }
}

fn forward(site: Site<'_>, draft: &mut Draft<'_>) -> Option<Box<ForwardAuth>> {
    let given = site.route.auth.get()?.forward.given()?;
    let forward = &*given.value;
    check_stage("auth.forward", given, site, draft);
    let headers = forward.headers.get().map(Vec::as_slice).unwrap_or_default();
    let headers: Vec<_> = headers
        .iter()
        .filter(|item| may_be_written(&item.value, item.span.clone(), draft))
        .map(|item| item.value.clone())
        .collect();
    Some(Box::new(ForwardAuth {
        url: url(&forward.url, "http://127.0.0.1:3000/whoami", draft)?,
        headers,
        cache: cache(&forward.cache, FORWARD_CACHE),
        by: match forward.cache_by.or(config::CacheBy::Request) {
            config::CacheBy::Request => CacheBy::Request,
            config::CacheBy::Credentials => CacheBy::Credentials,
        },
    }))
}

/// A header that two of them fill would say what the last one said.
fn one_teller_each(site: Site<'_>, draft: &mut Draft<'_>) {
    let Some(given) = site.route.auth.given() else { return };
    let auth = &given.value;
    if auth.jwt.is_absent() && auth.forward.is_absent() && auth.exchange.is_absent() {
        let help = "add `auth.jwt`, `auth.forward` or `auth.exchange`, or remove `auth`";
        let message = format!("`auth` of `{}` asks for nothing: everybody passes", site.name());
        draft.say(Code::UselessSetting, given.key.clone(), message, "nothing is asked", help);
    }
    let claims = auth.jwt.get().and_then(|jwt| jwt.forward.get()).map(|named| named.entries.as_slice());
    let claims = claims.unwrap_or_default().iter().map(|entry| (&entry.value, &entry.span));
    let asked = auth.forward.get().and_then(|forward| forward.headers.get()).map(Vec::as_slice);
    let asked = asked.unwrap_or_default().iter().map(|item| (&item.value, &item.span));
    let exchanged = auth.exchange.get().and_then(|exchange| exchange.set.get()).map(|values| values.0.as_slice());
    let exchanged = exchanged.unwrap_or_default().iter().map(|entry| (&entry.name, &entry.key));
    let mut before: Vec<(&HeaderName, &Span)> = Vec::new();
    for (name, span) in claims.chain(asked).chain(exchanged) {
        if let Some((_, first)) = before.iter().find(|(known, _)| *known == name) {
            draft.push(
                Diagnostic::new(Code::DuplicateValue, format!("`{name}` is filled twice on `{}`", site.name()))
                    .at(span.clone())
                    .label("again")
                    .related((*first).clone(), "here first")
                    .help("give each its own header, or remove one of the two"),
            );
        }
        before.push((name, span));
    }
}

fn exchange(site: Site<'_>, draft: &mut Draft<'_>) -> Option<Box<TokenExchange>> {
    let given = site.route.auth.get()?.exchange.given()?;
    check_stage("auth.exchange", given, site, draft);
    exchanged(&given.value, draft)
}

/// For copies: their own, or that of the service's side.
fn copies(
    site: Site<'_>,
    own: Option<&TokenExchange>,
    policy: Option<&Policy>,
    draft: &mut Draft<'_>,
) -> Option<Box<TokenExchange>> {
    let given = site.route.shadow.get().and_then(|shadow| shadow.credentials.given());
    let Some(given) = given else { return own.cloned().map(Box::new) };
    if policy.and_then(|policy| policy.shadow.as_ref()).is_some_and(|shadow| shadow.reverse) {
        draft.say(
            Code::UselessSetting,
            given.key.clone(),
            "`shadow.credentials` has no effect with `reverse`: the monolith knows its own clients",
            "no effect",
            "remove it",
        );
    }
    exchanged(&given.value, draft)
}

fn exchanged(exchange: &config::TokenExchange, draft: &mut Draft<'_>) -> Option<Box<TokenExchange>> {
    let url = url(&exchange.exchange, "http://127.0.0.1:7002/exchange", draft);
    let from = exchange.from.given().map(|given| sources(given, draft))?;
    let entries = exchange.set.get().map(|values| values.0.as_slice()).unwrap_or_default();
    let mut set = Vec::with_capacity(entries.len());
    for entry in entries {
        if !may_be_written(&entry.name, entry.key.clone(), draft) {
            continue;
        }
        if let Ok(template) = ValueTemplate::parse(entry.value.as_bytes()) {
            set.push((entry.name.clone(), template));
        } else {
            draft.say(
                Code::InvalidTemplate,
                entry.key.clone(),
                format!("the value of `{}` cannot be read: a brace lacks its other half", entry.name),
                "not a template",
                "write it like `authorization = \"Bearer {token}\"`, with `{NAME}` for a field of the answer",
            );
        }
    }
    if let Some(given) = exchange.set.given().filter(|_| !set.iter().any(|(_, template)| template.has_fields())) {
        draft.say(
            Code::InvalidValue,
            given.span.clone(),
            "no header takes anything from the answer",
            "no `{NAME}`",
            "name a field of the answer, as in `set = { authorization = \"Bearer {token}\" }`; what never changes belongs into `rewrite.set`",
        );
    }
    Some(Box::new(TokenExchange { url: url?, cache: cache(&exchange.cache, EXCHANGE_CACHE), from, set }))
}

fn sources(given: &Given<config::OneOrMany<String>>, draft: &mut Draft<'_>) -> Vec<CredentialSource> {
    if given.value.0.is_empty() {
        let help = "name at least one, as in `from = [\"header:authorization\"]`";
        draft.say(Code::InvalidValue, given.span.clone(), "nothing to exchange is named", "empty", help);
    }
    given.value.0.iter().filter_map(|item| source(item, draft)).collect()
}

fn source(item: &Item<String>, draft: &mut Draft<'_>) -> Option<CredentialSource> {
    let name = |name: &str| HeaderName::from_bytes(name.as_bytes()).ok();
    let found = match item.value.split_once(':') {
        Some(("header", header)) => name(header).map(CredentialSource::Header),
        Some(("cookie", cookie)) => name(cookie).map(|_| CredentialSource::Cookie(cookie.into())),
        _ => None,
    };
    if found.is_none() {
        let message = format!("`{}` does not say where a client shows who it is", item.value);
        let help = "write `\"header:NAME\"` or `\"cookie:NAME\"`";
        draft.say(Code::InvalidUnit, item.span.clone(), message, "neither header nor cookie", help);
    }
    found
}

fn cache(given: &Field<config::Limit<Duration>>, default: Duration) -> Option<Duration> {
    given.get().map_or(Some(default), |limit| limit.0)
}

fn url(given: &Field<String>, example: &str, draft: &mut Draft<'_>) -> Option<Box<str>> {
    let given = given.given()?;
    server_url(&given.value, &given.span, example, draft).then(|| given.value.as_str().into())
}

/// The server is not asked where no service answers or gets a copy.
fn check_stage<T>(what: &str, given: &Given<T>, site: Site<'_>, draft: &mut Draft<'_>) {
    let Some(stage @ Stage::Monolith) = site.route.stage.get().copied() else { return };
    draft.say(
        Code::UselessSetting,
        given.key.clone(),
        format!("`{what}` has no effect in stage `{}`: no service is asked", stage.word()),
        "no effect yet",
        "remove it, or leave it for the stages `shadow`, `canary` and `migrated`",
    );
}

/// Tells each route which headers its services believe: a header of a client's identity on one route must not be forged by it on another.
pub(super) fn reserve(routes: &mut [Arc<Route>]) {
    let mut believed: HashMap<UpstreamId, Vec<HeaderName>> = HashMap::new();
    for route in routes.iter() {
        let names: Vec<_> = told(route).collect();
        if !names.is_empty() {
            for service in services(&route.policy) {
                believed.entry(service).or_default().extend(names.iter().cloned());
            }
        }
    }
    if believed.is_empty() {
        return;
    }
    for route in routes {
        let mut names: Vec<_> =
            services(&route.policy).filter_map(|service| believed.get(&service)).flatten().cloned().collect();
        // A header that is a credential by itself is only missing where it is replaced.
        names.extend(
            route.identity.exchange.iter().flat_map(|exchange| exchange.set.iter().map(|(name, _)| name.clone())),
        );
        names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        names.dedup();
        names.retain(|name| !of_token(route).any(|own| own == name));
        if !names.is_empty() {
            Arc::make_mut(route).identity.reserved = names;
        }
    }
}

fn services(policy: &Policy) -> impl Iterator<Item = UpstreamId> + '_ {
    policy.upstreams().filter(|id| *id != UpstreamId::MONOLITH)
}

fn of_token(route: &Route) -> impl Iterator<Item = &HeaderName> {
    route.jwt.iter().flat_map(|rule| rule.forward.iter().map(|(_, name)| name))
}

/// The headers in which the service of this route is told of the client, but for those that any service must check by itself.
fn told(route: &Route) -> impl Iterator<Item = HeaderName> + '_ {
    let forwarded = route.identity.forward.iter().flat_map(|forward| &forward.headers);
    let exchanged = route.identity.exchange.iter().flat_map(|exchange| exchange.set.iter().map(|(name, _)| name));
    let exchanged = exchanged.filter(|name| ![header::AUTHORIZATION, header::COOKIE].contains(name));
    of_token(route).chain(forwarded).chain(exchanged).cloned()
}
