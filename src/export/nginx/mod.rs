//! nginx: one map that chooses the rule, further ones for what follows from it, and one location.

mod server;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::left_out::used;
use super::not_exported::NotExported;
use super::pattern::{self, Captures};
use super::rules::{ExportRule, host_for};
use super::{ExportTarget, forgeable};
use crate::compile::Snapshot;
use crate::endpoint::{Balance, Source, UpstreamId};
use crate::migration::{BUCKETS, ISSUED_COOKIE, UnitSource};
use crate::route::{Condition, ConditionKind, ConditionOn, PathRewrite, Template};

pub(super) const NOTES: &[&str] = &[
    "a path that has escapes such as %2F or %20, or characters that should be escaped, is matched and reaches a service as the client has spelt it, and with dot segments it is refused",
    "dot segments of other paths are resolved, also where multilith refuses them, since the path as it stands has another route",
    "a path with a `%` that begins no escape or with dot segments that lead above `/`, `OPTIONS *` and a method with small letters are answered with 400",
    "other malformed requests are refused by nginx's rules, not by multilith's",
    "a CORS preflight follows the method that it announces, not the headers, and has no cookies",
    "`OPTIONS` of an absolute target without a path asks for `/`",
    "a regex is asked of bytes: `.` and `[^…]` are one of them, `\\d`, `\\w` and `\\s` those of ASCII, and a value that is not UTF-8 may meet it",
    "Location, Content-Location and Refresh without a value are left out where addresses are turned back",
    "to a condition a header with an empty value is absent; of a header's several lines versions before 1.23 read the first, later ones all, joined by commas",
    "headers with `_` in their names are dropped",
    "of what begins with X-Forwarded- and X-Multilith-, which no client may send, the known names are removed: nginx cannot remove a family",
    "no X-Request-Id, no traceparent, no X-Multilith-Route, no X-Multilith-Side: the file has forwarding headers alone",
];

/// The forwarding headers for upstreams.
const FORWARDED: [(&str, &str); 4] = [
    ("X-Forwarded-For", "$remote_addr"),
    ("X-Forwarded-Proto", "$scheme"),
    ("X-Forwarded-Host", "$ml_authority"),
    ("X-Forwarded-Port", "$ml_port"),
];

/// Keys that mean something of their own in a map, unless they are escaped.
const WORDS_OF_MAPS: [&str; 4] = ["default", "hostnames", "include", "volatile"];

/// Escapes of bytes that need none: nginx's decoding of them is multilith's.
const UNRESERVED: &str = "%(?:2[dDeE]|3[0-9]|4[1-9a-fA-F]|5[0-9aAfF]|6[1-9a-fA-F]|7[0-9aAeE])";

pub(super) fn write(snapshot: &Snapshot, rules: &[ExportRule<'_>], left_out: &[NotExported]) -> String {
    let mut file = File { text: String::new(), snapshot, dollar: false };
    let mut body = File { text: String::new(), snapshot, dollar: false };
    body.upstreams();
    body.rule_map(rules);
    body.sides(rules);
    body.targets(rules);
    let headers = body.headers(rules);
    body.server(rules, &headers);
    file.line(0, "# Written by `multilith export --to nginx`.");
    for left_out in left_out {
        file.line(0, &format!("# multilith: NOT EXPORTED {left_out}"));
    }
    for note in NOTES {
        file.line(0, &format!("# multilith: {note}"));
    }
    file.line(0, "worker_processes auto;");
    file.line(0, "events { worker_connections 10000; }");
    file.line(0, "http {");
    if body.dollar {
        file.line(1, "geo $ml_dollar { default \"$\"; }");
    }
    file.text + &body.text + "}\n"
}

struct File<'a> {
    text: String,
    snapshot: &'a Snapshot,
    /// A value has a `$`, which nginx can write only as a variable.
    dollar: bool,
}

/// As nginx reads it between double quotes.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

impl File<'_> {
    fn line(&mut self, depth: usize, text: &str) {
        let _ = writeln!(self.text, "{}{text}", "    ".repeat(depth));
    }

    fn map(&mut self, from: &str, to: &str, default: &str, rows: &[(String, String)]) {
        self.line(1, &format!("map {from} {to} {{"));
        self.line(2, &format!("default {default};"));
        for (key, value) in rows {
            let escape = if WORDS_OF_MAPS.contains(&&**key) { "\\" } else { "" };
            self.line(2, &format!("{escape}{key} {value};"));
        }
        self.line(1, "}");
    }

    /// A value in which nothing is a variable.
    fn value(&mut self, text: &str) -> String {
        self.dollar |= text.contains('$');
        text.replace('$', "${ml_dollar}")
    }

    fn name(&self, upstream: UpstreamId) -> &str {
        &self.snapshot.upstreams[upstream.index()].name
    }

    /// A part of a variable's name that is the route's alone.
    fn number(&self, rule: &ExportRule<'_>) -> String {
        let is_it = |route: &std::sync::Arc<crate::compile::Route>| route.name == rule.route.name;
        self.snapshot.routes.iter().position(is_it).unwrap_or_default().to_string()
    }

    fn upstreams(&mut self) {
        let snapshot = self.snapshot;
        for spec in used(snapshot, ExportTarget::Nginx) {
            self.line(1, &format!("upstream {} {{", spec.name));
            if spec.balance == Balance::LeastBusy {
                self.line(2, "least_conn;");
            }
            match &spec.source {
                Source::Fixed(endpoints) => {
                    for (address, weight) in endpoints {
                        let weight = if *weight == 1 { String::new() } else { format!(" weight={weight}") };
                        self.line(2, &format!("server {address}{weight} max_fails=0;"));
                    }
                }
                Source::Dns { name, port } => self.line(2, &format!("server {name}:{port} max_fails=0;")),
                _ => self.line(2, "server 127.0.0.1:9 down; # multilith: NOT EXPORTED: write the endpoints here"),
            }
            self.line(2, "keepalive 64;");
            self.line(1, "}");
        }
    }

    /// `$ml_authority`: host and port that the client asks for. An absolute target names them; a Host that says the same stays.
    fn authority(&mut self) {
        let same = |scheme: &str, port: u16| {
            let pattern = format!(
                "~*^[^ ]+ {scheme}://(?<ml_same>[^/? ]+?)(?::(?:{port})?)?[/? ].* [|]\\k<ml_same>(?::(?:{port})?)?$"
            );
            (quoted(&pattern), "$http_host".to_owned())
        };
        let named = (quoted("~*^[^ ]+ (?:https?|wss?)://(?<ml_named>[^/? ]+)"), "$ml_named".to_owned());
        let rows =
            [same("(?:http|ws)", 80), same("(?:https|wss)", 443), named, (quoted("~^[^ ]+ [^/* ]"), "!".to_owned())];
        self.map("\"$request |$http_host\"", "$ml_authority", "$http_host", &rows);
    }

    /// `$ml_rule`: the first rule that fits, by conditions, method, host and path.
    fn rule_map(&mut self, rules: &[ExportRule<'_>]) {
        self.authority();
        self.line(1, "# The path in normal form; as it came where it has escapes that mean something; empty where it is refused.");
        let plain = format!("~^(?:[^?%]|{UNRESERVED})*(?:[?]|$)");
        let rows = [
            (quoted(&format!("~*^(?:[^?]*(?:{})|.*#)", pattern::REFUSED)), "\"\"".to_owned()),
            (quoted(&plain), "$uri".to_owned()),
            (quoted("~*^[^?]*/(?:[.]|%2e){1,2}(?:[/?]|$)"), "\"\"".to_owned()),
            (quoted("~^(?<ml_raw>[^?]*)"), "$ml_raw".to_owned()),
        ];
        self.map("$request_uri", "$ml_path", "\"\"", &rows);
        // With its question mark, also where nothing stands behind it.
        let query = (quoted("~^[^?]*(?<ml_q>[?].*)$"), "$ml_q".to_owned());
        self.map("$request_uri", "$ml_query", "\"\"", &[query]);
        let rows = [(quoted("~^OPTIONS:(?<ml_announced>.+)$"), "$ml_announced".to_owned())];
        self.map("\"$request_method:$http_access_control_request_method\"", "$ml_method", "$request_method", &rows);
        let mut bits = String::new();
        let mut all: Vec<(usize, usize)> = Vec::new();
        for (at, rule) in rules.iter().enumerate() {
            for condition in rule.conditions() {
                let bit = all.len();
                all.push((at, bit));
                let _ = write!(bits, "$ml_c{bit}");
                self.condition(bit, condition);
            }
        }
        self.line(1, "# The first rule that fits: conditions, method, host, path.");
        let matching = self.snapshot.matching;
        let mut rows = Vec::new();
        for (at, rule) in rules.iter().enumerate() {
            let own: Vec<usize> = all.iter().filter(|(of, _)| *of == at).map(|(_, bit)| *bit).collect();
            let own = (0..all.len()).map(|bit| if own.contains(&bit) { '1' } else { '.' }).collect::<String>();
            let methods = match rule.methods() {
                methods if methods.is_empty() => "[^ ]*".to_owned(),
                methods => format!("(?:{})", methods.join("|")),
            };
            let host = pattern::host(&rule.route.rule.host).unwrap_or_else(|| "[^ ]*".to_owned());
            let path = match rule.redirect() {
                Some(redirect) => pattern::address(rule.template, matching, Captures::Named, redirect.path()),
                None => pattern::path(rule.template, matching, Captures::Named, rule.route.rewrite.path.as_ref()),
            };
            let flag = if path.starts_with("(?i)") { "(?i)" } else { "" };
            let path = path.trim_start_matches("(?i)").trim_start_matches('^');
            rows.push((quoted(&format!("~^{own} {methods} {host} {flag}{path}")), rule.key()));
        }
        self.map(&format!("\"{bits} $ml_method $host $ml_path\""), "$ml_rule", "unmatched", &rows);
    }

    fn condition(&mut self, bit: usize, condition: &Condition) {
        let to = format!("$ml_c{bit}");
        let is_absent = matches!(condition.kind, ConditionKind::Absent);
        let (hit, miss) = if is_absent { ("0", "1") } else { ("1", "0") };
        let regex = match (condition.on, &condition.kind) {
            (ConditionOn::Query, _) => pattern::query(condition),
            (ConditionOn::Cookie, _) => pattern::cookie(condition),
            (ConditionOn::Header, ConditionKind::Equal(value)) => Some(format!("^{}$", pattern::escape(value))),
            (ConditionOn::Header, ConditionKind::Present | ConditionKind::Absent) => Some(".".to_owned()),
            (ConditionOn::Header, ConditionKind::Regex(_)) => None,
        };
        let from = match condition.on {
            ConditionOn::Header => self.header(&condition.name),
            ConditionOn::Query if regex.is_some() => "$args".to_owned(),
            ConditionOn::Query => self.first_query(&condition.name, &bit.to_string()),
            ConditionOn::Cookie if regex.is_some() => "$http_cookie".to_owned(),
            ConditionOn::Cookie => self.first_cookie(&condition.name, &bit.to_string()),
        };
        let regex = match (regex, &condition.kind) {
            (Some(regex), _) => regex,
            (None, ConditionKind::Regex(regex)) => pattern::ending(regex.as_str()),
            (None, _) => return,
        };
        self.map(&from, &to, miss, &[(quoted(&format!("~{regex}")), hit.to_owned())]);
    }

    /// A header as multilith's rules see it: what a client says of itself is replaced or gone before they look.
    fn header(&self, name: &str) -> String {
        match name {
            "host" => "$ml_authority".to_owned(),
            "x-real-ip" => "$ml_real_ip".to_owned(),
            name if forgeable::has(self.snapshot, name) || name.contains('_') => {
                let written = FORWARDED.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
                written.map_or("\"\"", |(_, value)| value).to_owned()
            }
            _ => format!("$http_{}", name.replace('-', "_")),
        }
    }

    /// A variable with the first value of a query key.
    fn first_query(&mut self, name: &str, id: &str) -> String {
        let name = pattern::encoded_key(name);
        let row = (quoted(&format!("~^(?:(?!{name}=)[^&]*&)*{name}=(?<ml_q{id}>[^&]*)")), format!("$ml_q{id}"));
        self.map("$args", &format!("$ml_v{id}"), "\"\"", &[row]);
        format!("$ml_v{id}")
    }

    /// A variable with the first value of a cookie.
    fn first_cookie(&mut self, name: &str, id: &str) -> String {
        let found = pattern::first_cookie(name);
        let row =
            |body: &str, group: &str| (quoted(&format!("~{found}{body}[ \\t]*(?:;|$)")), format!("$ml_{group}{id}"));
        // Quotes are a pair or part of the value.
        let rows = [row(&format!("\"(?<ml_j{id}>[^;]*)\""), "j"), row(&format!("(?<ml_k{id}>[^;]*?)"), "k")];
        self.map("$http_cookie", &format!("$ml_v{id}"), "\"\"", &rows);
        format!("$ml_v{id}")
    }

    /// `$ml_side` and `$ml_up`: the side that answers.
    fn sides(&mut self, rules: &[ExportRule<'_>]) {
        let mut rows = Vec::new();
        let mut upstreams = Vec::new();
        let mut told = BTreeSet::new();
        for rule in rules {
            let (key, shares) = (rule.key(), rule.shares());
            let cohort = self.number(rule);
            let side = match shares.as_slice() {
                [only] => only.side.to_owned(),
                _ => format!("$ml_side_{cohort}"),
            };
            if shares.len() > 1 && told.insert(cohort.clone()) {
                self.division(rule, &cohort);
            }
            if side != "monolith" {
                rows.push((key.clone(), side));
            }
            for share in shares.iter().filter(|share| share.upstream != UpstreamId::MONOLITH) {
                upstreams.push((format!("{key}@{}", share.side), self.name(share.upstream).to_owned()));
            }
        }
        let unmatched = if self.snapshot.monolith_retired { "none" } else { "monolith" };
        rows.insert(0, ("unmatched".to_owned(), unmatched.to_owned()));
        self.map("$ml_rule", "$ml_side", "monolith", &rows);
        let monolith = self.name(UpstreamId::MONOLITH).to_owned();
        self.map("\"$ml_rule@$ml_side\"", "$ml_up", &monolith, &upstreams);
    }

    fn division(&mut self, rule: &ExportRule<'_>, cohort: &str) {
        let policy = &rule.route.policy;
        self.line(
            1,
            &format!(
                "# Clients of `{}`: another hash than multilith's, so that the shares stay and some clients move.",
                policy.cohort
            ),
        );
        let mut unit = format!("$cookie_{ISSUED_COOKIE}");
        for (at, source) in policy.sticky.iter().enumerate().rev() {
            let from = match source {
                UnitSource::Header(name) => self.header(name.as_str()),
                UnitSource::Cookie(name) if !is_variable(name) => self.first_cookie(name, &format!("u{cohort}_{at}")),
                UnitSource::Query(name) if !is_variable(name) => self.first_query(name, &format!("u{cohort}_{at}")),
                UnitSource::Cookie(name) => format!("$cookie_{name}"),
                UnitSource::Query(name) => format!("$arg_{name}"),
                UnitSource::Ip => "$remote_addr".to_owned(),
                UnitSource::Jwt(_) => continue,
            };
            let to = format!("$ml_unit_{cohort}_{at}");
            self.map(&from, &to, &from, &[("\"\"".to_owned(), unit)]);
            unit = to;
        }
        let salt = self.value(&quoted(&policy.cohort));
        self.line(1, &format!("split_clients {}{unit}\" $ml_side_{cohort} {{", salt.trim_end_matches('"')));
        let shares = rule.shares();
        for (at, share) in shares.iter().enumerate() {
            let percent = format!("{}.{:02}%", share.buckets / 100, share.buckets % 100);
            let share_of = if at + 1 == shares.len() { "*" } else { &percent };
            self.line(2, &format!("{share_of} {};", share.side));
        }
        self.line(1, "}");
        debug_assert!(shares.iter().map(|share| share.buckets).sum::<u16>() == BUCKETS);
    }

    /// `$ml_target`: path and query as they are sent; `$ml_host`: the Host.
    fn targets(&mut self, rules: &[ExportRule<'_>]) {
        let (mut targets, mut hosts) = (Vec::new(), Vec::new());
        let monolith =
            host_for(self.snapshot, None, UpstreamId::MONOLITH).unwrap_or_else(|| "$ml_authority".to_owned());
        for rule in rules {
            for share in rule.shares() {
                let key = format!("{}@{}", rule.key(), share.side);
                if let Some(host) = host_for(self.snapshot, Some(rule.route), share.upstream) {
                    hosts.push((key.clone(), quoted(&host)));
                } else if share.upstream != UpstreamId::MONOLITH && monolith != "$ml_authority" {
                    hosts.push((key.clone(), "$ml_authority".to_owned()));
                }
                if share.upstream == UpstreamId::MONOLITH {
                    continue;
                }
                let path = match &rule.route.rewrite.path {
                    None => "$ml_path".to_owned(),
                    Some(rewrite) => self.expanded(rewrite, rule.template),
                };
                targets.push((key, format!("\"{path}$ml_query\"")));
            }
        }
        self.map("\"$ml_rule@$ml_side\"", "$ml_target", "$request_uri", &targets);
        self.map("\"$ml_rule@$ml_side\"", "$ml_host", &monolith, &hosts);
    }

    /// A path with the values of the rule's parameters.
    fn expanded(&mut self, path: &PathRewrite, template: &Template) -> String {
        let marked = pattern::rewritten(path, template, str::to_owned, |name, _| format!("\u{1}{name}\u{2}"));
        self.value(&marked).replace('\u{1}', "${p_").replace('\u{2}', "}")
    }

    /// A map for each header that a rule changes; the names.
    fn headers(&mut self, rules: &[ExportRule<'_>]) -> Vec<String> {
        let mut names = BTreeSet::new();
        let mut edits = Vec::new();
        for rule in rules {
            for share in rule.shares() {
                let own = rule.edits(&share);
                let key = format!("{}@{}", rule.key(), share.side);
                names.extend(own.remove.iter().copied());
                names.extend(own.set.iter().chain(&own.add).map(|(name, _)| *name));
                edits.push((key, own));
            }
        }
        for name in &names {
            let mut rows = Vec::new();
            for (key, own) in &edits {
                let set = own.set.iter().rev().chain(&own.add).find(|(set, _)| set == name).map(|(_, value)| *value);
                let value = set.or_else(|| own.remove.contains(name).then_some(""));
                if let Some(value) = value {
                    let value = self.value(&quoted(value));
                    rows.push((key.clone(), value));
                }
            }
            let client = self.header(name);
            self.map("\"$ml_rule@$ml_side\"", &format!("$ml_h_{}", name.replace('-', "_")), &client, &rows);
        }
        names.into_iter().map(str::to_owned).collect()
    }
}

/// nginx ends the name of a variable at anything else.
fn is_variable(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
