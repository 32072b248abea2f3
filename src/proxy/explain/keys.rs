//! The keys of the file that bear on a request and are seen neither in the decision nor in what is sent, as `explain` names them.

use toml::de::DeTable;

use super::super::issued_cookie::issued_cookie;
use super::{ExplainedKey, upstream_keys};
use crate::compile::{ProxyProtocol, Route, Snapshot, TlsVersion};
use crate::diagnostic::Sources;
use crate::endpoint::UpstreamId;
use crate::guard::headers::{PeerFacts, Received};
use crate::migration::{CopyDecision, Decision, ISSUED_COOKIE, Pinning, Policy, Unit};
use crate::route::{CacheBy, CredentialSource, EtcdApi, Facts, RateKey};

/// A request on its way, as far as it is known.
pub(super) struct Bearing<'a> {
    pub snapshot: &'a Snapshot,
    pub arrival: &'a PeerFacts<'a>,
    pub received: &'a Received,
    pub facts: &'a Facts<'a>,
    pub route: Option<&'a Route>,
    pub policy: &'a Policy,
    pub decision: &'a Decision,
    /// The proxy answers with another address, and no upstream is asked.
    pub redirects: bool,
}

impl Bearing<'_> {
    pub(super) fn keys(&self) -> Vec<ExplainedKey> {
        let mut keys = Vec::new();
        let mut say = |key: &str, effect: String| keys.push(ExplainedKey { key: key.to_owned(), effect });
        self.connection(&mut say);
        self.tls(&mut say);
        if let Some(route) = self.route {
            let mut say_of_route = |key: &str, effect: String| say(&format!("routes.{}{key}", route.name), effect);
            if let Some(file) = file_of(&route.name, &self.snapshot.sources) {
                say_of_route("", format!("stands in {file}"));
            }
            self.access(route, &mut say_of_route);
            self.identity(route, &mut say_of_route);
            self.side(&mut say_of_route);
        }
        self.cookies(&mut say);
        if let Some(statuses) = self.snapshot.pages.described() {
            say("pages", format!("browsers get a page of the file's own for {statuses} of the proxy itself"));
        }
        if !self.redirects {
            upstream_keys::push(self.snapshot, self.decision.upstream, self.facts.host, &mut say);
        }
        keys
    }

    fn connection(&self, say: &mut impl FnMut(&str, String)) {
        let server = &self.snapshot.server;
        if self.received.trusted {
            let said = format!("the peer {} is one of them: the client is {}", self.arrival.peer, self.received.client);
            say("server.trusted", said);
        }
        match server.proxy_protocol {
            ProxyProtocol::Off => {}
            ProxyProtocol::Accept => {
                say("server.proxy_protocol", "a PROXY header of a trusted peer names the client".to_owned());
            }
            ProxyProtocol::Require => say(
                "server.proxy_protocol",
                "the connection begins with a PROXY header of a trusted peer, which names the client; without one it is refused"
                    .to_owned(),
            ),
        }
        if server.tls.redirect && !self.received.secure {
            say(
                "server.tls.redirect",
                "over plain HTTP the client is sent to https, and nothing else happens".to_owned(),
            );
        }
    }

    fn tls(&self, say: &mut impl FnMut(&str, String)) {
        let tls = &self.snapshot.server.tls;
        if !self.arrival.tls || tls.listen.is_empty() {
            return;
        }
        let host = self.facts.host;
        if tls.needs_client_certificate(host) {
            let said = format!("a request for `{host}` needs a certificate of the client; without one it gets 403");
            say("server.tls.client_ca_hosts", said);
        } else if tls.client_ca.is_some() && tls.client_ca_required {
            say(
                "server.tls.client_ca",
                "a client without a certificate of this authority gets no connection".to_owned(),
            );
        } else if tls.client_ca.is_some() {
            say("server.tls.client_ca", "the client may show a certificate of this authority".to_owned());
        }
        if tls.min_version == TlsVersion::Tls13 {
            say("server.tls.min_version", "a client that speaks no TLS 1.3 gets no connection".to_owned());
        }
        if tls.strict_sni {
            say("server.tls.strict_sni", "a name that no certificate is for gets no connection".to_owned());
        }
        if let Some(acme) = tls.acme.as_ref().filter(|acme| acme.hosts.iter().any(|own| own.eq_ignore_ascii_case(host)))
        {
            say("server.tls.acme", format!("the certificate of `{host}` is ordered from {}", acme.directory));
        }
    }

    fn access(&self, route: &Route, say: &mut impl FnMut(&str, String)) {
        let client = self.received.client;
        if let Some(network) = route.allow.iter().find(|network| network.contains(client)) {
            say(".allow", format!("the client's address {client} lies in {}/{}", network.address, network.prefix));
        }
        if let Some(limit) = &route.rate_limit {
            let per = match &limit.key {
                RateKey::Ip => "address".to_owned(),
                RateKey::Header(name) => format!("header {name}"),
                RateKey::Cookie(name) => format!("cookie {name}"),
            };
            let (amount, time, burst) = (limit.amount, limit.per, limit.burst);
            say(
                ".rate_limit",
                format!("{amount} requests in {time:?} for each {per}, and {burst} at once; one more gets 429"),
            );
        }
        if let Some(revoked) = route.jwt.as_ref().and_then(|rule| rule.revoked.as_ref()) {
            let api = match revoked.api {
                EtcdApi::V3 => "v3",
                EtcdApi::V2 => "v2",
            };
            say(
                ".auth.jwt.revoked.etcd",
                format!(
                    "a token that a key below {} names (API {api}) gets 401, and 503 before they were read",
                    revoked.prefix
                ),
            );
        }
    }

    fn identity(&self, route: &Route, say: &mut impl FnMut(&str, String)) {
        let answers = self.decision.upstream != UpstreamId::MONOLITH && !self.redirects;
        let copied = matches!(self.decision.copy, CopyDecision::To(upstream) if upstream != UpstreamId::MONOLITH);
        if !answers && !copied {
            return;
        }
        let kept = |cache: Option<std::time::Duration>| match cache {
            None => "is used once".to_owned(),
            Some(time) => format!("is used again for {time:?}"),
        };
        if let Some(rule) = route.identity.forward.as_deref() {
            let by = match rule.by {
                CacheBy::Request => "the same request with the same credentials",
                CacheBy::Credentials => "the same credentials",
            };
            let for_whom = if rule.cache.is_some() { format!(", for {by}") } else { String::new() };
            say(".auth.forward", format!("an answer 2xx {}{for_whom}", kept(rule.cache)));
        }
        let exchanges = [
            (".auth.exchange", route.identity.exchange.as_deref().filter(|_| answers)),
            (".shadow.credentials", route.identity.for_copies.as_deref().filter(|_| copied)),
        ];
        for (key, rule) in exchanges {
            let Some(rule) = rule else { continue };
            let from: Vec<_> = rule.from.iter().map(shown_source).collect();
            say(key, format!("the first of {} is exchanged; what comes {}", from.join(", "), kept(rule.cache)));
        }
        if !route.identity.reserved.is_empty() {
            let names: Vec<_> = route.identity.reserved.iter().map(ToString::to_string).collect();
            say(".auth", format!("no client says {} itself: the service believes it", names.join(", ")));
        }
    }

    /// The rule that divides the clients.
    fn side(&self, say: &mut impl FnMut(&str, String)) {
        let policy = self.policy;
        let divided = self.decision.both_live || policy.balanced_by_unit;
        if divided && !policy.sticky.is_empty() {
            let named: Vec<_> = policy.sticky.iter().map(ToString::to_string).collect();
            let cookie = format!("cookie:{ISSUED_COOKIE}");
            let found = match Unit::of(&policy.sticky, self.facts).map(|unit| unit.source) {
                Some(Some(index)) => named.get(index).cloned().unwrap_or_default(),
                Some(None) => cookie.clone(),
                None => "none".to_owned(),
            };
            say(".sticky", format!("the first of {}, {cookie} names the client; here {found}", named.join(", ")));
        }
        if let Some(pin) = policy.pin.as_ref().filter(|_| self.decision.pin != Pinning::None) {
            let (cookie, silence) = (&pin.cookie, pin.silence);
            say(
                ".pin",
                format!("the cookie {cookie} keeps a conversation on its side until it was silent for {silence:?}"),
            );
        }
    }

    fn cookies(&self, say: &mut impl FnMut(&str, String)) {
        if self.decision.issue.is_some() {
            let settings = &self.snapshot.server.cookies;
            let age = settings.max_age.as_secs();
            let cookie = issued_cookie(ISSUED_COOKIE, "…", age, settings, self.received.secure);
            say("server.cookies", format!("the answer sets {cookie}"));
        }
    }
}

/// The file of a route, where there are several.
fn file_of<'s>(route: &str, sources: &'s Sources) -> Option<&'s str> {
    let has_route = |text: &str| {
        let (root, _) = DeTable::parse_recoverable(text);
        let routes = root.get_ref().get("routes").and_then(|routes| routes.get_ref().as_table());
        routes.is_some_and(|routes| routes.contains_key(route))
    };
    let files = sources.files();
    let found = files.iter().filter(|_| files.len() > 1).find(|file| has_route(sources.text_of(file)));
    found.map(|file| &*file.name)
}

fn shown_source(source: &CredentialSource) -> String {
    match source {
        CredentialSource::Header(name) => format!("header:{name}"),
        CredentialSource::Cookie(name) => format!("cookie:{name}"),
    }
}
