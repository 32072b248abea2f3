//! Envoy: a bootstrap as JSON, which it reads as YAML; routes in order in one virtual host.

use serde_json::{Value, json};

use super::left_out::used;
use super::pattern::{self, Captures};
use super::rules::{ExportRule, Guard, Share, host_for};
use super::{ExportTarget, forgeable};
use crate::compile::{Network, Snapshot};
use crate::endpoint::{Address, Balance, HealthCheck, HttpVersions, Source, UpstreamId, UpstreamSpec, Verify};
use crate::migration::{ISSUED_COOKIE, UnitSource};
use crate::route::{Condition, ConditionKind, ConditionOn, PathRewrite, Segment, Template};

pub(super) const NOTES: &[&str] = &[
    "the monolith, too, gets the path in Envoy's normal form",
    "dot segments are resolved, also those of `..;`, and a backslash is read as a slash, where multilith refuses such a path",
    "bytes of a path that are not ASCII are answered with 400, `OPTIONS *` and an absolute target that has a query and no path with 404, one of https over plain HTTP with 403",
    "other malformed requests are refused by Envoy's rules, not by multilith's",
    "the Host is that of an absolute target, also where the client's says the same in other words",
    "`allow_custom_methods`, without which Envoy answers 400 to methods that it does not know, is a field that it calls work in progress",
    "a CORS preflight follows the method that it announces, not the headers, and has no cookies",
    "a query key that is percent-encoded in the URL is another key",
    "of several lines of a header or cookies of one name any may meet a condition; several Cookie lines stay several",
    "`OPTIONS` of an absolute target without a path asks for `/`",
    "`\\d`, `\\w` and `\\s` of a regex are those of ASCII; a value that is not UTF-8 may meet one",
    "a redirect names the scheme and the host of the request, also where multilith names the path alone",
    "`remove_on_match`, which takes off what a client says of itself, is a field of late versions",
    "X-Forwarded-Port is the listener's, not that of the Host",
    "no traceparent, no X-Multilith-Route, no X-Multilith-Side; X-Request-Id is Envoy's own",
];

const HTTP: &str =
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const ROUTER: &str = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";
const MUTATION: &str =
    "type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation";
const CLIENT: &str = "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%";
const RBAC: &str = "envoy.filters.http.rbac";
const RBAC_FILTER: &str = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC";
const RBAC_OF_ROUTE: &str = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBACPerRoute";
const TLS: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";
const PROTOCOL: &str = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

pub(super) fn write(snapshot: &Snapshot, rules: &[ExportRule<'_>]) -> String {
    // Requests that multilith refuses. The empty prefix is also that of `OPTIONS *`.
    let method = json!({"name": ":method", "string_match": regex(&pattern::REFUSED_METHODS.join("|"))});
    let path = regex(&format!("(?i).*(?:{}).*", pattern::REFUSED));
    let mut routes = vec![
        json!({"name": "refused method", "match": {"prefix": "", "headers": [method]}, "direct_response": {"status": 405}}),
        json!({"name": "refused path", "match": path, "direct_response": {"status": 400}}),
    ];
    routes.extend(snapshot.server.tls.client_ca_hosts.iter().map(|host| {
        // A host that needs a client certificate is closed: the target asks for none.
        let authority = asked(&pattern::escape(host));
        json!({"name": "needs a certificate", "match": {"prefix": "", "headers": [authority]}, "direct_response": {"status": 403}})
    }));
    for rule in rules {
        routes.extend(route(snapshot, rule));
    }
    routes.push(if snapshot.monolith_retired {
        json!({"name": "unmatched", "match": {"prefix": ""}, "direct_response": {"status": 404}})
    } else {
        let mut action = json!({"cluster": name(snapshot, UpstreamId::MONOLITH), "timeout": "0s"});
        put_host(&mut action, host_for(snapshot, None, UpstreamId::MONOLITH));
        json!({"name": "unmatched", "match": {"prefix": ""}, "route": action})
    });
    let manager = json!({
        "@type": HTTP,
        "stat_prefix": "edge",
        "use_remote_address": true,
        "skip_xff_append": false,
        "normalize_path": true,
        "merge_slashes": snapshot.matching.merge_slashes,
        "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
        "http_protocol_options": {"allow_custom_methods": true},
        // Before anything looks at them; what a client says of itself is not believed.
        "early_header_mutation_extensions": [{
            "name": "envoy.http.early_header_mutation.header_mutation",
            "typed_config": {"@type": MUTATION, "mutations": [{"remove_on_match": {"key_matcher": regex(&forgeable::pattern(snapshot))}}]},
        }],
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "stream_idle_timeout": "3600s",
        "route_config": {"virtual_hosts": [{
            "name": "any",
            "domains": ["*"],
            "request_headers_to_add": [
                json!({"header": {"key": "X-Real-IP", "value": CLIENT}, "append_action": "OVERWRITE_IF_EXISTS"}),
                forwarding("X-Forwarded-For", CLIENT),
                forwarding("X-Forwarded-Host", "%REQ(:authority)%"),
                forwarding("X-Forwarded-Port", "%DOWNSTREAM_LOCAL_PORT%"),
            ],
            "routes": routes,
        }]},
        "http_filters": filters(rules),
    });
    let listeners: Vec<Value> = (snapshot.server.listen.iter().enumerate())
        .map(|(number, listen)| {
            json!({
                "name": format!("edge{number}"),
                "address": socket(listen),
                "filter_chains": [{"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}],
            })
        })
        .collect();
    let clusters: Vec<Value> = used(snapshot, ExportTarget::Envoy).into_iter().map(cluster).collect();
    // Envoy's own limit is 100, which a long path or list of methods exceeds.
    let limit = json!({"name": "regexes", "static_layer": {"re2.max_program_size.error_level": 100_000}});
    let bootstrap = json!({
        "layered_runtime": {"layers": [limit]},
        "static_resources": {"listeners": listeners, "clusters": clusters},
    });
    serde_json::to_string_pretty(&bootstrap).expect("JSON serialises") + "\n"
}

/// The router, and in front of it what tells networks apart, where a route asks for that.
fn filters(rules: &[ExportRule<'_>]) -> Vec<Value> {
    let guarded = rules.iter().any(|rule| matches!(rule.guard, Guard::Networks(_)));
    let networks = guarded.then(|| json!({"name": RBAC, "typed_config": {"@type": RBAC_FILTER}}));
    let router =
        json!({"name": "envoy.filters.http.router", "typed_config": {"@type": ROUTER, "suppress_envoy_headers": true}});
    networks.into_iter().chain([router]).collect()
}

fn name(snapshot: &Snapshot, upstream: UpstreamId) -> &str {
    &snapshot.upstreams[upstream.index()].name
}

fn forwarding(name: &str, value: &str) -> Value {
    json!({"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"})
}

fn put_host(action: &mut Value, host: Option<String>) {
    if let Some(host) = host {
        action["host_rewrite_literal"] = json!(host);
    }
}

fn regex(regex: &str) -> Value {
    json!({"safe_regex": {"regex": regex}})
}

/// A host as clients ask for it: with or without a port and the root's dot.
fn asked(host: &str) -> Value {
    json!({"name": ":authority", "string_match": regex(&format!("(?i){host}[.]?(?::[0-9]*)?"))})
}

/// The route, and once more for the preflights that announce its methods.
fn route(snapshot: &Snapshot, rule: &ExportRule<'_>) -> Vec<Value> {
    let methods = rule.methods();
    let mut all = Vec::new();
    if methods.is_empty() {
        all.push(Vec::new());
    } else {
        let one = regex(&methods.join("|"));
        // A preflight stands for the request that it announces, also where its own method is among them.
        let announced = json!({"name": "access-control-request-method", "string_match": one});
        let mut plain = vec![json!({"name": ":method", "string_match": one})];
        if methods.contains(&"OPTIONS") {
            let name = "access-control-request-method";
            plain.push(json!({"name": name, "present_match": true, "invert_match": true}));
        }
        all.push(plain);
        all.push(vec![json!({"name": ":method", "string_match": {"exact": "OPTIONS"}}), announced]);
    }
    let mut routes = Vec::new();
    for (number, mut headers) in all.into_iter().enumerate() {
        if let Some(host) = pattern::host(&rule.route.rule.host) {
            headers.push(asked(&host));
        }
        let mut query_parameters = Vec::new();
        for condition in rule.conditions() {
            match condition.on {
                ConditionOn::Header => headers.push(header(condition)),
                ConditionOn::Cookie => headers.push(cookie(condition)),
                ConditionOn::Query => query_parameters.push(query(condition)),
            }
        }
        let mut matched = path(snapshot, rule);
        matched["headers"] = json!(headers);
        matched["query_parameters"] = json!(query_parameters);
        let name = if number == 0 { rule.key() } else { format!("{} (preflight)", rule.key()) };
        routes.push(with_action(snapshot, rule, json!({"name": name, "match": matched})));
    }
    routes
}

fn path(snapshot: &Snapshot, rule: &ExportRule<'_>) -> Value {
    let exact = !snapshot.matching.case_insensitive && !snapshot.matching.ignore_trailing_slash;
    let segments = rule.template.segments();
    let literals = segments.iter().all(|segment| matches!(segment, Segment::Literal(text) if !text.contains('%')));
    // Envoy leaves two slashes of a path that has nothing else.
    if exact && literals && !(snapshot.matching.merge_slashes && rule.template.as_str() == "/") {
        return json!({"path": rule.template.as_str()});
    }
    json!({"safe_regex": {"regex": pattern::path(rule.template, snapshot.matching, Captures::None, None)}})
}

fn takes_root(template: &Template) -> bool {
    template.as_str() == "/" || matches!(template.segments(), [Segment::Rest(_)])
}

fn header(condition: &Condition) -> Value {
    let name = &condition.name;
    match &condition.kind {
        ConditionKind::Equal(value) => json!({"name": name, "string_match": {"exact": value}}),
        ConditionKind::Present => json!({"name": name, "present_match": true}),
        ConditionKind::Absent => json!({"name": name, "present_match": true, "invert_match": true}),
        ConditionKind::Regex(regex) => {
            json!({"name": name, "string_match": {"safe_regex": {"regex": within(regex.as_str())}}})
        }
    }
}

/// Envoy's regexes take the whole value; `^` and `$` inside stay what they are.
fn within(regex: &str) -> String {
    format!(".*(?:{regex}).*")
}

fn cookie(condition: &Condition) -> Value {
    let name = pattern::escape(&condition.name);
    let value = match &condition.kind {
        ConditionKind::Equal(value) => quoted_or_not(&pattern::escape(value)),
        ConditionKind::Present | ConditionKind::Absent => "[^;]*".to_owned(),
        ConditionKind::Regex(regex) => {
            let inside = regex.as_str();
            let start = if inside.starts_with('^') { "" } else { "[^;]*" };
            let end = if inside.ends_with('$') { "" } else { "[^;]*" };
            quoted_or_not(&format!("{start}(?:{}){end}", inside.trim_start_matches('^').trim_end_matches('$')))
        }
    };
    let regex = format!("(?:.*;)?[ \\t]*{name}[ \\t]*=[ \\t]*{value}[ \\t]*(?:;.*)?");
    let matched = json!({"name": "cookie", "string_match": {"safe_regex": {"regex": regex}}});
    match condition.kind {
        ConditionKind::Absent => {
            let mut matched = matched;
            matched["invert_match"] = json!(true);
            matched["treat_missing_header_as_empty"] = json!(true);
            matched
        }
        _ => matched,
    }
}

/// A cookie's value, also between a pair of quotes.
fn quoted_or_not(value: &str) -> String {
    format!("(?:{value}|\"{value}\")")
}

fn query(condition: &Condition) -> Value {
    let name = &condition.name;
    match &condition.kind {
        // An empty regex is refused.
        ConditionKind::Equal(value) if value.is_empty() => json!({"name": name, "string_match": {"exact": ""}}),
        ConditionKind::Equal(value) => {
            json!({"name": name, "string_match": {"safe_regex": {"regex": pattern::encoded(value)}}})
        }
        ConditionKind::Present => json!({"name": name, "present_match": true}),
        ConditionKind::Absent => json!({"name": name, "present_match": false}),
        ConditionKind::Regex(regex) => {
            json!({"name": name, "string_match": {"safe_regex": {"regex": within(regex.as_str())}}})
        }
    }
}

fn with_action(snapshot: &Snapshot, rule: &ExportRule<'_>, mut route: Value) -> Value {
    if rule.is_closed() {
        route["direct_response"] = json!({"status": 403});
        return route;
    }
    if let Guard::Networks(networks) = rule.guard {
        let address = |network: &Network| json!({"direct_remote_ip": {"address_prefix": network.address.to_string(), "prefix_len": network.prefix}});
        let principals: Vec<Value> = networks.iter().map(address).collect();
        let policy = json!({"permissions": [{"any": true}], "principals": principals});
        let rules = json!({"action": "ALLOW", "policies": {"networks": policy}});
        route["typed_per_filter_config"] = json!({RBAC: {"@type": RBAC_OF_ROUTE, "rbac": {"rules": rules}}});
    }
    if let Some(redirect) = rule.redirect() {
        let from = pattern::address(rule.template, snapshot.matching, Captures::Numbered, redirect.path());
        let mut action = redirect_to(redirect.origin());
        action["response_code"] = json!(match redirect.status {
            301 => "MOVED_PERMANENTLY",
            302 => "FOUND",
            303 => "SEE_OTHER",
            307 => "TEMPORARY_REDIRECT",
            _ => "PERMANENT_REDIRECT",
        });
        action["regex_rewrite"] = substituted(&from, redirect.path(), rule.template);
        route["redirect"] = action;
        return route;
    }
    let shares = rule.shares();
    let mut action = match shares.as_slice() {
        [only] => {
            let mut action = json!({"cluster": name(snapshot, only.upstream)});
            put_host(&mut action, host_for(snapshot, Some(rule.route), only.upstream));
            edit(&mut route, rule, only);
            if let Some(rewrite) = rule.rewrite().filter(|_| only.upstream != UpstreamId::MONOLITH) {
                let from = pattern::path(rule.template, snapshot.matching, Captures::Numbered, Some(rewrite));
                action["regex_rewrite"] = substituted(&from, rewrite, rule.template);
            } else if snapshot.matching.merge_slashes
                && only.upstream != UpstreamId::MONOLITH
                && takes_root(rule.template)
            {
                action["regex_rewrite"] = json!({"pattern": {"regex": "^/+$"}, "substitution": "/"});
            }
            action
        }
        several => {
            let clusters: Vec<Value> = several
                .iter()
                .map(|share| {
                    let mut cluster = json!({"name": name(snapshot, share.upstream), "weight": share.buckets});
                    put_host(&mut cluster, host_for(snapshot, Some(rule.route), share.upstream));
                    edit(&mut cluster, rule, share);
                    cluster
                })
                .collect();
            let mut policies: Vec<Value> = rule.route.policy.sticky.iter().filter_map(hashed).collect();
            policies.push(json!({"cookie": {"name": ISSUED_COOKIE, "ttl": "31536000s", "path": "/"}}));
            json!({"weighted_clusters": {"use_hash_policy": true, "clusters": clusters}, "hash_policy": policies})
        }
    };
    action["timeout"] = json!("0s");
    route["route"] = action;
    route
}

fn substituted(from: &str, path: &PathRewrite, template: &Template) -> Value {
    let literal = |text: &str| text.replace('\\', "\\\\");
    let to = pattern::rewritten(path, template, literal, |_, number| format!("\\{number}"));
    json!({"pattern": {"regex": from}, "substitution": to})
}

/// Scheme, host and port of an origin; empty: those of the request.
fn redirect_to(origin: &str) -> Value {
    let Some((scheme, host)) = origin.split_once("://") else { return json!({}) };
    json!({"scheme_redirect": scheme, "host_redirect": host})
}

fn hashed(source: &UnitSource) -> Option<Value> {
    Some(match source {
        UnitSource::Header(name) => json!({"header": {"header_name": name.as_str()}, "terminal": true}),
        UnitSource::Cookie(name) => json!({"cookie": {"name": name}, "terminal": true}),
        UnitSource::Ip => json!({"connection_properties": {"source_ip": true}, "terminal": true}),
        UnitSource::Jwt(_) | UnitSource::Query(_) => return None,
    })
}

/// Headers of requests, and of a service's answers.
fn edit(of: &mut Value, rule: &ExportRule<'_>, share: &Share<'_>) {
    let edits = rule.edits(share);
    let option = |name: &str, value: &str, action: &str| json!({"header": {"key": name, "value": value.replace('%', "%%")}, "append_action": action});
    let put = |of: &mut Value, key: &str, set: Vec<(&str, &str)>, add: Vec<(&str, &str)>| {
        let set = set.into_iter().map(|(name, value)| option(name, value, "OVERWRITE_IF_EXISTS_OR_ADD"));
        let add = add.into_iter().map(|(name, value)| option(name, value, "APPEND_IF_EXISTS_OR_ADD"));
        let all: Vec<Value> = set.chain(add).collect();
        if !all.is_empty() {
            of[key] = json!(all);
        }
    };
    if !edits.remove.is_empty() {
        of["request_headers_to_remove"] = json!(edits.remove);
    }
    put(of, "request_headers_to_add", edits.set, edits.add);
    if share.upstream == UpstreamId::MONOLITH {
        return;
    }
    let headers = &rule.route.answer.headers;
    if !headers.remove.is_empty() {
        of["response_headers_to_remove"] =
            json!(headers.remove.iter().map(http::HeaderName::as_str).collect::<Vec<_>>());
    }
    let text = |(name, value): &'_ (http::HeaderName, http::HeaderValue)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let (set, add): (Vec<_>, Vec<_>) = (headers.set.iter().map(text).collect(), headers.add.iter().map(text).collect());
    put(of, "response_headers_to_add", lent(&set), lent(&add));
}

fn lent(all: &[(String, String)]) -> Vec<(&str, &str)> {
    all.iter().map(|(name, value)| (&**name, &**value)).collect()
}

fn socket(address: &str) -> Value {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, "0"));
    let host = host.trim_start_matches('[').trim_end_matches(']');
    json!({"socket_address": {"address": host, "port_value": port.parse::<u16>().unwrap_or(0)}})
}

fn cluster(spec: &UpstreamSpec) -> Value {
    let endpoint = |address: &Address, weight: u32| {
        let address = match address {
            Address::Unix(path) => json!({"pipe": {"path": path.display().to_string()}}),
            Address::Tcp { host, port } => json!({"socket_address": {"address": host, "port_value": port}}),
        };
        json!({"endpoint": {"address": address}, "load_balancing_weight": weight})
    };
    let (kind, endpoints) = match &spec.source {
        Source::Fixed(all) => {
            let named = all.iter().any(|(address, _)| match address {
                Address::Tcp { host, .. } => host.parse::<std::net::IpAddr>().is_err(),
                Address::Unix(_) => false,
            });
            let endpoints: Vec<Value> = all.iter().map(|(address, weight)| endpoint(address, *weight)).collect();
            (if named { "STRICT_DNS" } else { "STATIC" }, endpoints)
        }
        Source::Dns { name, port } => {
            let address = Address::Tcp { host: name.clone(), port: *port };
            ("STRICT_DNS", vec![endpoint(&address, 1)])
        }
        _ => ("STATIC", Vec::new()),
    };
    let connect = spec.timeouts.connect.map_or(86_400.0, |time| time.as_secs_f64());
    let mut cluster = json!({
        "name": spec.name,
        "type": kind,
        "connect_timeout": format!("{connect}s"),
        "lb_policy": if spec.balance == Balance::LeastBusy { "LEAST_REQUEST" } else { "ROUND_ROBIN" },
        "load_assignment": {"cluster_name": spec.name, "endpoints": [{"lb_endpoints": endpoints}]},
    });
    if let Some(tls) = &spec.tls {
        let ca = tls.ca.as_ref().map_or("/etc/ssl/certs/ca-certificates.crt".to_owned(), |ca| ca.display().to_string());
        let mut context = json!({"@type": TLS, "sni": tls.server_name});
        if tls.verify != Verify::Off {
            context["common_tls_context"] = json!({"validation_context": {
                "trusted_ca": {"filename": ca},
                "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": tls.server_name}}],
            }});
        }
        cluster["transport_socket"] = json!({"name": "envoy.transport_sockets.tls", "typed_config": context});
    }
    if spec.http == HttpVersions::Http2 {
        cluster["typed_extension_protocol_options"] = json!({
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions":
                {"@type": PROTOCOL, "explicit_http_config": {"http2_protocol_options": {}}},
        });
    }
    if let Some(health) = &spec.health {
        let check = match &health.check {
            // `left_out` says that it is no server of HTTP: whatever listens there is not asked.
            HealthCheck::Connect | HealthCheck::Target => json!({"tcp_health_check": {}}),
            HealthCheck::Http(asked) => {
                let host = asked.host.as_ref().and_then(|host| host.to_str().ok()).unwrap_or_default();
                let statuses = json!([{"start": asked.statuses.0, "end": asked.statuses.1 + 1}]);
                json!({"http_health_check": {"path": asked.path, "host": host, "method": asked.method.as_str(), "expected_statuses": statuses}})
            }
        };
        let mut all = json!({
            "timeout": format!("{}s", health.timeout.as_secs_f64()),
            "interval": format!("{}s", health.interval.as_secs_f64()),
            "healthy_threshold": health.healthy,
            "unhealthy_threshold": health.unhealthy,
        });
        if let (Value::Object(all), Value::Object(check)) = (&mut all, check) {
            all.extend(check);
        }
        cluster["health_checks"] = json!([all]);
    }
    cluster
}
