//! Gateway API: `HTTPRoute`s as JSON, which kubectl reads. It says which parts the standard leaves to a gateway.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::pattern::{self, Captures};
use super::rules::{Edits, ExportRule, STANDARD_METHODS, host_for, ordered};
use super::{ExportTarget, forgeable};
use crate::compile::Snapshot;
use crate::endpoint::{Address, Source, UpstreamId};
use crate::route::{Condition, ConditionKind, ConditionOn, HostPattern, PathPiece, Segment, Template};

pub(super) const NOTES: &[&str] = &[
    "the Gateway and the Services of these names have to exist; forwarding headers are the gateway's own",
    "of what no client may send, such as Forwarded, Proxy and the families X-Forwarded- and X-Multilith-, a filter removes 16 names; X-Real-IP is one of them, in the place of the client's address",
    "which requests are malformed and what becomes of dot segments is the gateway's own rule",
    "a CORS preflight follows the method that it announces, not the headers, and has no cookies",
];

/// Headers that one filter may remove, set or add.
pub(super) const MOST_EDITS: usize = 16;

/// Rules of one object, and matches of all its rules.
const MOST_RULES: usize = 16;
const MOST_MATCHES: usize = 128;

/// How the standard ranks a path match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PathKind {
    Exact,
    Prefix(usize),
    Regex,
}

pub(super) fn write(snapshot: &Snapshot, rules: &[ExportRule<'_>]) -> String {
    let mut hosts: BTreeMap<String, HostPattern> = BTreeMap::new();
    for rule in rules {
        hosts.insert(rule.route.rule.host.to_string(), rule.route.rule.host.clone());
    }
    hosts.entry("*".to_owned()).or_insert(HostPattern::Any);
    let closed = &snapshot.server.tls.client_ca_hosts;
    for host in closed {
        hosts.insert(host.to_string(), HostPattern::Exact(host.clone()));
    }
    let mut items = Vec::new();
    for (host, pattern) in &hosts {
        // The gateway looks at the routes of the most specific hostname alone.
        let own = rules.iter().filter(|rule| covers(&rule.route.rule.host, pattern));
        let mut list: Vec<Value> = own.map(|rule| one(snapshot, rule)).collect();
        if !snapshot.monolith_retired {
            let mut rule = json!({"matches": [{"path": {"type": "PathPrefix", "value": "/"}}], "backendRefs": [backend(snapshot, UpstreamId::MONOLITH, None)]});
            let mut filters = vec![modifier(snapshot, &Edits::default())];
            if let Some(host) = host_for(snapshot, None, UpstreamId::MONOLITH) {
                filters.push(json!({"type": "URLRewrite", "urlRewrite": {"hostname": host}}));
            }
            rule["filters"] = json!(filters);
            list.push(rule);
        }
        if closed.iter().any(|closed| closed.eq_ignore_ascii_case(host)) {
            // A host that needs a client certificate is closed: the target asks for none.
            list = vec![json!({"matches": [{"path": {"type": "PathPrefix", "value": "/"}}], "backendRefs": []})];
        }
        for (number, chunk) in objects(list).into_iter().enumerate() {
            // A name may have dots, so that two hosts never share one.
            let word = match pattern {
                HostPattern::Any => "-any".to_owned(),
                HostPattern::Exact(host) => format!("-{host}"),
                HostPattern::Wildcard(suffix) => suffix.to_string(),
            };
            let mut spec = json!({"parentRefs": [{"name": "edge"}], "rules": chunk});
            if *pattern != HostPattern::Any {
                spec["hostnames"] = json!([host]);
            }
            items.push(json!({
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "HTTPRoute",
                "metadata": {"name": format!("multilith{word}-{number:03}")},
                "spec": spec,
            }));
        }
    }
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    serde_json::to_string_pretty(&list).expect("JSON serialises") + "\n"
}

/// The rules in order, as many in each object as it may have, and as they may have matches. Of objects of one age the standard takes
/// the first by name.
fn objects(rules: Vec<Value>) -> Vec<Vec<Value>> {
    let mut objects: Vec<Vec<Value>> = Vec::new();
    let mut matches = 0;
    for rule in rules {
        let own = rule["matches"].as_array().map_or(0, Vec::len);
        matches += own;
        match objects.last_mut() {
            Some(last) if last.len() < MOST_RULES && matches <= MOST_MATCHES => last.push(rule),
            _ => {
                matches = own;
                objects.push(vec![rule]);
            }
        }
    }
    objects
}

/// Whether every host of the narrow pattern is one of the wide one.
fn covers(wide: &HostPattern, narrow: &HostPattern) -> bool {
    match (wide, narrow) {
        (HostPattern::Any, _) => true,
        (HostPattern::Exact(one), HostPattern::Exact(other)) => one == other,
        (HostPattern::Wildcard(suffix), HostPattern::Exact(host)) => {
            host.len() > suffix.len() && host.ends_with(&**suffix)
        }
        (HostPattern::Wildcard(suffix), HostPattern::Wildcard(other)) => other.ends_with(&**suffix),
        _ => false,
    }
}

fn kind(template: &Template) -> PathKind {
    let literal = |segments: &[Segment]| segments.iter().all(|segment| matches!(segment, Segment::Literal(_)));
    match template.segments() {
        [before @ .., Segment::Rest(_)] if literal(before) => PathKind::Prefix(prefix(template).len()),
        all if literal(all) => PathKind::Exact,
        _ => PathKind::Regex,
    }
}

/// The path before the catch-all.
fn prefix(template: &Template) -> String {
    let parts: Vec<&str> = template
        .segments()
        .iter()
        .map_while(|segment| match segment {
            Segment::Literal(text) => Some(&**text),
            _ => None,
        })
        .collect();
    format!("/{}", parts.join("/"))
}

fn one(snapshot: &Snapshot, rule: &ExportRule<'_>) -> Value {
    let path = match kind(rule.template) {
        PathKind::Exact => json!({"type": "Exact", "value": prefix(rule.template)}),
        PathKind::Prefix(_) => json!({"type": "PathPrefix", "value": prefix(rule.template)}),
        PathKind::Regex => {
            json!({"type": "RegularExpression", "value": pattern::path(rule.template, snapshot.matching, Captures::None, None)})
        }
    };
    let pairs = |wanted: ConditionOn| -> Vec<Value> {
        let own = rule.conditions().filter(|condition| condition.on == wanted);
        let pair = |condition: &Condition| match &condition.kind {
            ConditionKind::Equal(value) => Some(json!({"name": condition.name, "value": value})),
            _ => None,
        };
        own.filter_map(pair).collect()
    };
    let (headers, query) = (pairs(ConditionOn::Header), pairs(ConditionOn::Query));
    let matched = |method: Option<&str>, announced: Option<&str>| {
        let mut headers = headers.clone();
        if let Some(announced) = announced {
            headers.push(json!({"name": "access-control-request-method", "value": announced}));
        }
        let mut matched = json!({"path": path});
        for (key, all) in [("headers", headers), ("queryParams", query.clone())] {
            if !all.is_empty() {
                matched[key] = json!(all);
            }
        }
        if let Some(method) = method {
            matched["method"] = json!(method);
        }
        matched
    };
    let methods: Vec<&str> = rule.methods().into_iter().filter(|method| STANDARD_METHODS.contains(method)).collect();
    // A closed rule whose methods the standard lacks refuses all of them.
    let matches: Vec<Value> = if methods.is_empty() {
        vec![matched(None, None)]
    } else {
        let plain = methods.iter().map(|method| matched(Some(method), None));
        plain.chain(methods.iter().map(|method| matched(Some("OPTIONS"), Some(method)))).collect()
    };
    let shares = if rule.is_closed() { Vec::new() } else { rule.shares() };
    let backends: Vec<Value> = shares
        .iter()
        .map(|share| {
            let mut backend = backend(snapshot, share.upstream, (shares.len() > 1).then_some(share.buckets));
            if shares.len() > 1 {
                backend["filters"] = json!([modifier(snapshot, &rule.edits(share))]);
            }
            backend
        })
        .collect();
    let mut out = json!({"matches": matches, "backendRefs": backends});
    if let [only] = shares.as_slice() {
        let filters = filters(snapshot, rule, only);
        if !filters.is_empty() {
            out["filters"] = json!(filters);
        }
    }
    out
}

fn backend(snapshot: &Snapshot, upstream: UpstreamId, weight: Option<u16>) -> Value {
    let spec = &snapshot.upstreams[upstream.index()];
    let port = match &spec.source {
        Source::Fixed(all) => all.iter().find_map(|(address, _)| match address {
            Address::Tcp { port, .. } => Some(*port),
            Address::Unix(_) => None,
        }),
        Source::Dns { port, .. } => Some(*port),
        _ => None,
    };
    let mut backend = json!({"name": spec.name, "port": port.unwrap_or(80)});
    if let Some(weight) = weight {
        backend["weight"] = json!(weight);
    }
    backend
}

/// The edits of a rule, and what no client may send, as much of it as has room.
fn modifier(snapshot: &Snapshot, edits: &Edits<'_>) -> Value {
    let pairs = |all: &[(&str, &str)]| {
        let some = all.iter().filter(|(_, value)| !value.is_empty());
        some.map(|(name, value)| json!({"name": name, "value": value})).collect::<Vec<_>>()
    };
    let mut remove = edits.remove.clone();
    for name in ["x-real-ip"].into_iter().chain(forgeable::names(snapshot)) {
        let is_edited = remove.contains(&name) || edits.set.iter().any(|(set, _)| *set == name);
        if remove.len() < MOST_EDITS && !is_edited {
            remove.push(name);
        }
    }
    let mut modifier = json!({"remove": remove});
    for (key, all) in [("set", &edits.set), ("add", &edits.add)] {
        let all = pairs(all);
        if !all.is_empty() {
            modifier[key] = json!(all);
        }
    }
    json!({"type": "RequestHeaderModifier", "requestHeaderModifier": modifier})
}

fn filters(snapshot: &Snapshot, rule: &ExportRule<'_>, share: &super::rules::Share<'_>) -> Vec<Value> {
    let mut filters = vec![modifier(snapshot, &rule.edits(share))];
    let mut rewrite = json!({});
    if let Some(host) = host_for(snapshot, Some(rule.route), share.upstream) {
        rewrite["hostname"] = json!(host);
    }
    if share.upstream != UpstreamId::MONOLITH
        && let Some(path) = &rule.route.rewrite.path
    {
        if let Some(prefix) = prefix_rewrite(rule) {
            rewrite["path"] = json!({"type": "ReplacePrefixMatch", "replacePrefixMatch": prefix});
        } else if let [PathPiece::Literal(whole)] = path.pieces.as_slice() {
            rewrite["path"] = json!({"type": "ReplaceFullPath", "replaceFullPath": whole});
        }
    }
    if rewrite != json!({}) {
        filters.push(json!({"type": "URLRewrite", "urlRewrite": rewrite}));
    }
    let headers = &rule.route.answer.headers;
    if share.upstream != UpstreamId::MONOLITH && !headers.is_empty() {
        let pairs = |all: &[(http::HeaderName, http::HeaderValue)]| {
            let pair = |(name, value): &(http::HeaderName, http::HeaderValue)| json!({"name": name.as_str(), "value": String::from_utf8_lossy(value.as_bytes())});
            all.iter().filter(|(_, value)| !value.is_empty()).map(pair).collect::<Vec<_>>()
        };
        let remove: Vec<&str> = headers.remove.iter().map(http::HeaderName::as_str).collect();
        let modifier = json!({"remove": remove, "set": pairs(&headers.set), "add": pairs(&headers.add)});
        filters.push(json!({"type": "ResponseHeaderModifier", "responseHeaderModifier": modifier}));
    }
    filters
}

/// The replacement of the prefix, where the rewrite is a prefix and the catch-all.
pub(super) fn prefix_rewrite(rule: &ExportRule<'_>) -> Option<String> {
    let rewrite = rule.route.rewrite.path.as_ref()?;
    let PathKind::Prefix(_) = kind(rule.template) else { return None };
    match rewrite.pieces.as_slice() {
        [PathPiece::Literal(before), PathPiece::Parameter(_)] if before.ends_with('/') => {
            let prefix = before.trim_end_matches('/');
            Some(if prefix.is_empty() { "/".to_owned() } else { prefix.to_owned() })
        }
        _ => None,
    }
}

/// Tells of pairs of rules that one request can meet and whose order is not the standard's.
pub(super) fn order(snapshot: &Snapshot, tell: &mut dyn FnMut(String, String)) {
    let rules: Vec<_> = ordered(snapshot, ExportTarget::HttpRoute).into_iter().filter(ExportRule::is_written).collect();
    for (at, first) in rules.iter().enumerate() {
        for second in &rules[at + 1..] {
            let (one, other) = (&first.route.rule, &second.route.rule);
            let hosts = covers(&one.host, &other.host) || covers(&other.host, &one.host);
            let same = first.route.name == second.route.name;
            if same || !hosts || one.excludes(other) || !overlap(first.template, second.template) {
                continue;
            }
            if standard(first, second) != Some(Ordering::Less) {
                let why = format!(
                    "`{}` and `{}` of `{}` take some paths both; which of them wins is the gateway's choice",
                    first.template, second.template, second.route.name
                );
                tell(first.route.name.to_string(), why);
            }
        }
    }
}

/// Which of two rules the standard takes first; `None` where it does not say.
fn standard(first: &ExportRule<'_>, second: &ExportRule<'_>) -> Option<Ordering> {
    let path = match (kind(first.template), kind(second.template)) {
        (PathKind::Exact, PathKind::Exact) => Ordering::Equal,
        (PathKind::Exact, _) => Ordering::Less,
        (_, PathKind::Exact) => Ordering::Greater,
        (PathKind::Prefix(one), PathKind::Prefix(other)) => other.cmp(&one),
        _ => return None,
    };
    let rank = |rule: &ExportRule<'_>| {
        let own = &rule.route.rule;
        let count = |on| own.conditions_on(on).count();
        (own.methods.is_some(), count(ConditionOn::Header), count(ConditionOn::Query))
    };
    Some(path.then_with(|| rank(second).cmp(&rank(first))))
}

/// Whether some path meets both, as far as literals tell.
fn overlap(one: &Template, other: &Template) -> bool {
    let (mut left, mut right) = (one.segments().iter(), other.segments().iter());
    loop {
        match (left.next(), right.next()) {
            (Some(Segment::Rest(_)), _) | (_, Some(Segment::Rest(_))) | (None, None) => return true,
            (Some(Segment::Literal(one)), Some(Segment::Literal(other))) if one != other => return false,
            (Some(_), Some(_)) => {}
            (None, Some(_)) | (Some(_), None) => return false,
        }
    }
}
