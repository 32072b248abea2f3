//! The parts of the file that a target cannot do.

use std::collections::BTreeSet;

use super::asked::conditions;
use super::not_exported::{List, NotExported};
use super::rules::{Edits, ExportRule, Guard, STANDARD_METHODS, host_for, ordered};
use super::{ExportTarget, fallback, location};
use crate::compile::{Route, Snapshot};
use crate::endpoint::{Address, Balance, Eject, HttpVersions, Source, TargetSpec, UpstreamId, UpstreamSpec, Verify};
use crate::migration::UnitSource;
use crate::route::{PathPiece, Segment};

use ExportTarget::{Envoy, Haproxy, HttpRoute, Nginx};

pub(super) fn left_out(snapshot: &Snapshot, target: ExportTarget) -> Vec<NotExported> {
    let mut list = List { found: Vec::new(), target };
    let server = &snapshot.server;
    list.say(!server.tls.listen.is_empty(), "", "server.tls", "the listeners for TLS and their certificates");
    list.say(
        !server.tls.client_ca_hosts.is_empty(),
        "",
        "server.tls.client_ca_hosts",
        "certificates of clients are not asked for: requests for these hosts are refused",
    );
    list.say(server.force.is_some(), "", "server.force", "nobody can name a side");
    list.say(server.forwarded, "", "server.forwarded", "no Forwarded is written; the client's is removed");
    let proxied = server.proxy_protocol != crate::compile::ProxyProtocol::Off;
    list.say(proxied, "", "server.proxy_protocol", "PROXY headers of clients");
    list.say(
        !server.trusted.is_empty(),
        "",
        "server.trusted",
        "every peer is the client itself; its X-Forwarded-* are replaced",
    );
    let httproute = target == HttpRoute;
    list.say(httproute && snapshot.matching.case_insensitive, "", "matching.case", "paths match in their case alone");
    list.say(
        httproute && snapshot.matching.ignore_trailing_slash,
        "",
        "matching.trailing_slash",
        "`/a` and `/a/` differ",
    );
    for spec in used(snapshot, target) {
        upstream(&mut list, snapshot, spec);
    }
    for route in &snapshot.routes {
        of_route(&mut list, route);
        conditions(&mut list, snapshot, route);
        division(&mut list, route);
    }
    for rule in ordered(snapshot, target) {
        of_rule(&mut list, snapshot, &rule);
    }
    if httproute {
        super::httproute::order(snapshot, &mut |of, why| {
            list.found.push(NotExported { of, key: "path".to_owned(), why });
        });
    }
    list.found.sort();
    list.found.dedup();
    list.found
}

/// The upstreams that the written file asks.
pub(super) fn used(snapshot: &Snapshot, target: ExportTarget) -> Vec<&UpstreamSpec> {
    let mut asked: BTreeSet<UpstreamId> =
        ordered(snapshot, target).iter().flat_map(ExportRule::shares).map(|share| share.upstream).collect();
    if !snapshot.monolith_retired {
        asked.insert(UpstreamId::MONOLITH);
    }
    asked.into_iter().filter_map(|id| snapshot.upstreams.get(id.index())).map(|spec| &**spec).collect()
}

fn upstream(list: &mut List, snapshot: &Snapshot, spec: &UpstreamSpec) {
    let name = &*spec.name;
    let registry = !matches!(spec.source, Source::Fixed(_) | Source::Dns { .. });
    list.say(
        registry,
        name,
        "discover",
        "its endpoints come from a registry: name them, or what finds them, in the written file",
    );
    list.say(
        spec.target != TargetSpec::Http,
        name,
        spec.target.name(),
        "it is no server of HTTP, and what is written speaks nothing else: put a gateway into its place",
    );
    if list.target == HttpRoute {
        let why = "the Service of this name has to exist, and its own settings say the rest";
        return list.say(true, name, "endpoints", why);
    }
    let turned = list.is(&[Nginx, Haproxy]);
    let cookies = "the domains of its cookies are not turned back";
    let all = "its own addresses in Location and cookies are not turned back";
    list.say(spec.host.is_some(), name, "host", if turned { cookies } else { all });
    list.say(spec.balance == Balance::Sticky, name, "balance", "clients do not keep their endpoint");
    list.say(spec.limit.is_some(), name, "max_in_flight", "no queue and no limit");
    list.say(spec.proxy_protocol.is_some(), name, "proxy_protocol", "no PROXY header is sent");
    list.say(list.is(&[Nginx]) && spec.health.is_some(), name, "health", "nginx has no active checks");
    list.say(matches!(spec.eject, Eject::Rule(_)), name, "eject", "passive ejection is left to the target's own rules");
    list.say(list.is(&[Nginx]) && spec.http == HttpVersions::Http2, name, "http", "nginx speaks HTTP/1.1 to upstreams");
    if let Some(tls) = &spec.tls {
        list.say(!tls.pins.is_empty(), name, "tls.pin", "keys are not pinned");
        list.say(tls.verify == Verify::Chain, name, "tls.verify", "the name is checked, too");
        list.say(tls.client.is_some(), name, "tls.cert", "no certificate is shown to it");
        let others = snapshot.upstreams.iter().filter_map(|spec| spec.tls.as_ref());
        let differ = others.filter(|other| other.ca != tls.ca || other.verify != tls.verify).count() > 0;
        list.say(
            list.is(&[Nginx]) && differ,
            name,
            "tls.ca",
            "nginx checks all upstreams alike: by the system's authorities",
        );
    }
    let unix = matches!(&spec.source, Source::Fixed(all) if all.iter().any(|(address, _)| matches!(address, Address::Unix(_))));
    list.say(unix && list.target == HttpRoute, name, "url", "a Unix socket is no Service");
}

fn of_route(list: &mut List, route: &Route) {
    let name = &*route.name;
    let policy = &route.policy;
    list.say(policy.gate.is_some(), name, "gate", "nothing moves this route by itself");
    list.say(policy.pin.is_some(), name, "pin", "conversations are not kept on the side on which they began");
    if let Some(shadow) = &policy.shadow {
        list.say(true, name, "shadow", "no copies are sent");
        list.say(shadow.compare.is_some(), name, "shadow.compare", "nothing is compared");
    }
    list.say(!policy.safe_calls.0.is_empty(), name, "safe_methods", "calls of gRPC are not told apart");
    list.say(route.rate_limit.is_some(), name, "rate_limit", "clients are not limited");
    list.say(route.jwt.is_some(), name, "auth.jwt", "tokens are not checked: all its requests are refused");
    list.say(
        route.identity.forward.is_some(),
        name,
        "auth.forward",
        "nobody is asked who may pass: all its requests are refused",
    );
    list.say(
        route.identity.exchange.is_some(),
        name,
        "auth.exchange",
        "tokens are not exchanged: all its requests are refused",
    );
    list.say(
        list.is(&[HttpRoute]) && route.redirect.is_some(),
        name,
        "redirect",
        "it is left to the gateway's own rules: all its requests are refused",
    );
    list.say(route.fault.is_some(), name, "fault", "nothing fails on purpose");
    list.say(route.body_limit.is_some(), name, "body_limit", "bodies are not limited");
    list.say(route.timeouts.is_some(), name, "timeouts", "the upstream's own times count");
    let cookies = !route.answer.cookie_domain.is_empty() || !route.answer.cookie_path.is_empty();
    list.say(cookies, name, "answer.cookie", "domains and paths of cookies stay the service's");
    let nginx = list.is(&[Nginx]);
    list.say(
        nginx && !route.answer.headers.remove.is_empty(),
        name,
        "answer.remove",
        "nginx hides a header on all routes or none",
    );
    let changed = !route.answer.headers.set.is_empty() || !route.answer.headers.add.is_empty();
    list.say(nginx && changed, name, "answer.set", "nginx adds headers and cannot take those of a service away");
}

fn division(list: &mut List, route: &Route) {
    let (name, policy) = (&*route.name, &route.policy);
    if !policy.dial.stage.divides() {
        return;
    }
    match list.target {
        Haproxy => {
            let jwt = policy.sticky.iter().any(|source| matches!(source, UnitSource::Jwt(_)));
            list.say(jwt, name, "sticky", "a claim of a token is not read: such clients change sides");
        }
        Nginx => list.say(true, name, "sticky", "another hash: the shares stay, some clients change sides once"),
        Envoy => {
            list.say(true, name, "sticky", "another hash: the shares stay, some clients change sides once");
            let query = |source: &UnitSource| matches!(source, UnitSource::Jwt(_) | UnitSource::Query(_));
            list.say(
                policy.sticky.iter().any(query),
                name,
                "sticky.source",
                "only headers, cookies and addresses are hashed",
            );
        }
        HttpRoute => list.say(true, name, "sticky", "clients are not kept on their side: each request is drawn"),
    }
    let nginx_jwt = list.target == Nginx && policy.sticky.iter().any(|source| matches!(source, UnitSource::Jwt(_)));
    list.say(nginx_jwt, name, "sticky.source", "a claim of a token is not read");
    let issued = policy.issue_cookie && list.is(&[Nginx, HttpRoute]);
    list.say(issued, name, "issue_cookie", "clients without a cookie get none");
}

fn of_fallback(list: &mut List, snapshot: &Snapshot, rule: &ExportRule<'_>) {
    let (Some(own), name) = (rule.fallback(), &*rule.route.name) else { return };
    let statuses: Vec<u16> = own.statuses.iter().collect();
    match list.target {
        Nginx => {
            let all = fallback::groups(&ordered(snapshot, Nginx));
            let beyond = all.iter().skip(fallback::MOST_GROUPS).any(|group| *group == statuses);
            list.say(beyond, name, "fallback", "there are too many lists of statuses: the monolith does not answer");
            list.say(
                fallback::has_writes(rule, own),
                name,
                "fallback.methods",
                "nginx cannot tell a service that was not reached from one that broke off: writes do not fall back",
            );
            list.say(
                fallback::lacks_safe(rule, own),
                name,
                "fallback.methods",
                "of safe methods that it does not name a failing answer stays the service's; multilith replaces it",
            );
            let mixed = !statuses.is_empty() && !fallback::OWN.iter().all(|status| statuses.contains(status));
            list.say(mixed, name, "fallback.statuses", "the service's own 502 and 504 move the request, too");
            list.say(true, name, "breaker", "each request asks the service first, however often it failed");
        }
        Haproxy if fallback::is_watched(snapshot, rule) => {
            let why = "the monolith answers where the checks have found no endpoint of the service, and only then";
            list.say(true, name, "fallback", why);
        }
        Haproxy | Envoy | HttpRoute => {
            let why = "the monolith does not answer in the place of a service that fails; no breaker";
            list.say(true, name, "fallback", why);
        }
    }
}

fn of_locations(list: &mut List, snapshot: &Snapshot, rule: &ExportRule<'_>) {
    let (route, name) = (rule.route, &*rule.route.name);
    if !route.answer.location {
        return;
    }
    if list.is(&[Envoy, HttpRoute]) {
        return list.say(true, name, "answer.location", "addresses in answers stay the service's");
    }
    let rewrites = route.rewrite.path.is_some();
    list.say(rewrites, name, "answer.location", "addresses without a leading slash stay as the service writes them");
    for share in rule.shares() {
        let lost = location::has_lost_rows(snapshot, rule, &share, list.target == Nginx);
        list.say(
            lost,
            name,
            "answer.location.path",
            "some paths stay the service's: not all their values are known there",
        );
        let spec = snapshot.upstreams.get(share.upstream.index());
        let named = share.upstream != UpstreamId::MONOLITH && spec.is_some_and(|spec| has_names(spec));
        list.say(named, name, "answer.location.host", "addresses that a name stands for are not known: they stay");
    }
}

/// Whether an endpoint is known by another address than the file has.
fn has_names(spec: &UpstreamSpec) -> bool {
    match &spec.source {
        Source::Fixed(all) => all.iter().any(|(address, _)| match address {
            Address::Tcp { host, .. } => host.parse::<std::net::IpAddr>().is_err(),
            Address::Unix(_) => false,
        }),
        _ => true,
    }
}

fn of_rule(list: &mut List, snapshot: &Snapshot, rule: &ExportRule<'_>) {
    let (route, name) = (rule.route, &*rule.route.name);
    let shares = rule.shares();
    let unchecked = !route.allow.is_empty() && rule.guard == Guard::Closed;
    list.say(unchecked, name, "allow", "networks are not checked: all its requests are refused");
    of_fallback(list, snapshot, rule);
    of_locations(list, snapshot, rule);
    let adds = shares.iter().any(|share| !rule.edits(share).add.is_empty());
    list.say(list.target == Nginx && adds, name, "rewrite.add", "nginx replaces a header, it adds no second one");
    let all = [Some(&route.rewrite.headers)].into_iter().chain(shares.iter().map(|share| share.headers)).flatten();
    let odd = all.flat_map(|edits| edits.set.iter().chain(&edits.add)).any(|(_, value)| value.to_str().is_err());
    list.say(odd, name, "rewrite.set", "a value is no text");
    let divided = shares.len() > 1;
    let rewrites = route.rewrite.path.is_some();
    list.say(list.target == Envoy && divided && rewrites, name, "rewrite.path", "not where the clients are divided");
    let beyond = route.rewrite.path.as_ref().is_some_and(|rewrite| rule.is_beyond(rewrite));
    list.say(beyond, name, "rewrite.path", "it uses more than nine parameters: the path stays");
    let beyond = route.redirect.as_ref().is_some_and(|redirect| rule.is_beyond(redirect.path()));
    list.say(beyond, name, "redirect", "it uses more than nine parameters: all its requests are refused");
    if list.target != HttpRoute {
        return;
    }
    let host = route.rule.host.to_string();
    let is_address = host.starts_with('[') || host.parse::<std::net::Ipv4Addr>().is_ok();
    list.say(is_address, name, "host", "an address is no hostname in the standard, and a cluster refuses it");
    if rule.template.segments().iter().any(|segment| matches!(segment, Segment::Parameter(_))) {
        let why = format!("`{}` is written as RegularExpression, which not every gateway supports", rule.template);
        list.found.push(NotExported { of: name.to_owned(), key: "path".to_owned(), why });
    }
    let named = |rewrite: &crate::route::PathRewrite| {
        rewrite.pieces.iter().any(|piece| matches!(piece, PathPiece::Parameter(_)))
    };
    let prefix = super::httproute::prefix_rewrite(rule).is_some();
    let lost = route.rewrite.path.as_ref().is_some_and(|rewrite| named(rewrite) && !prefix);
    list.say(lost, name, "rewrite.path", "only a prefix or the whole path can be replaced");
    let hosts = shares.iter().any(|share| host_for(snapshot, Some(route), share.upstream).is_some());
    list.say(divided && (hosts || rewrites), name, "rewrite", "not where the requests are divided");
    let most = super::httproute::MOST_EDITS;
    let many = shares
        .iter()
        .map(|share| rule.edits(share))
        .any(|edits| [edits.remove.len(), edits.set.len(), edits.add.len()].iter().any(|count| *count > most));
    let empty = |edits: Edits<'_>| edits.set.iter().chain(&edits.add).any(|(_, value)| value.is_empty());
    let is_empty = shares.iter().map(|share| rule.edits(share)).any(empty);
    list.say(is_empty, name, "rewrite.set", "a filter of the standard sets no empty value: the client's stays");
    let answer = &route.answer.headers;
    let is_empty = answer.set.iter().chain(&answer.add).any(|(_, value)| value.is_empty());
    list.say(is_empty, name, "answer.set", "a filter of the standard sets no empty value: the service's stays");
    list.say(many, name, "rewrite", "a filter of the standard changes at most 16 headers, and a cluster refuses more");
    let others = rule.methods().iter().any(|method| !STANDARD_METHODS.contains(method));
    list.say(others, name, "methods", "only the methods of RFC 9110 and PATCH");
    list.say(
        shares.iter().any(|share| share.upstream == UpstreamId::MONOLITH) && snapshot.monolith_retired,
        name,
        "monolith",
        "it is retired",
    );
}
