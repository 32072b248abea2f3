//! `HAProxy`: rules in order, and clients in the same buckets as multilith's.

mod backend;
mod values;

use std::fmt::Write as _;
use std::time::Duration;

use super::left_out::used;
use super::location::{self, HEADERS, Part, Row};
use super::not_exported::NotExported;
use super::pattern::{self, Captures};
use super::rules::{ExportRule, Guard, Share, host_for};
use super::{ExportTarget, fallback, forgeable};
use crate::compile::Snapshot;
use crate::endpoint::UpstreamId;
use crate::migration::{ISSUED_COOKIE, UnitSource};
use crate::route::{ConditionKind, ConditionOn, MethodSet};
use values::{COOKIES, first_cookie, first_query, has_cookie, has_query, meets};

pub(super) const NOTES: &[&str] = &[
    "`normalize-uri` is an experimental directive of HAProxy 2.4 and later; the file switches it on",
    "dot segments are resolved, also where multilith refuses them, since the path as it stands has another route",
    "a `%` that begins no escape and characters that should be escaped reach a service as the client has spelt them; bytes that are not ASCII, and an absolute target with another host than Host, are answered with 400",
    "an absolute target that has a query and no path is answered with 400",
    "a regex is asked of bytes: `.` and `[^…]` are one of them, `\\d`, `\\w` and `\\s` those of ASCII, and a value that is not UTF-8 may meet it",
    "the Host is that of an absolute target without a default port, also where the client's says the same in other words",
    "other malformed requests are refused by HAProxy's rules, not by multilith's",
    "a CORS preflight follows the method that it announces, not the headers, and has no cookies",
    "of more than 8 Cookie lines the later ones are lost; bytes of a query that are not UTF-8 are another unit",
    "no X-Request-Id, no traceparent, no X-Multilith-Route, no X-Multilith-Side: the file has forwarding headers alone",
];

/// Cookie lines that become one.
const MOST_COOKIE_LINES: usize = 8;

pub(super) fn write(snapshot: &Snapshot, rules: &[ExportRule<'_>], left_out: &[NotExported]) -> String {
    let mut file = File { text: String::new(), snapshot };
    file.line(0, "# Written by `multilith export --to haproxy`.");
    for left_out in left_out {
        file.line(0, &format!("# multilith: NOT EXPORTED {left_out}"));
    }
    for note in NOTES {
        file.line(0, &format!("# multilith: {note}"));
    }
    file.head();
    file.line(0, "frontend edge");
    for listen in &snapshot.server.listen {
        file.line(1, &format!("bind {listen}"));
    }
    file.arrival();
    for rule in rules {
        file.rule(rule);
    }
    file.line(1, "# Who may ask, and who answers.");
    file.certificates();
    for rule in rules {
        file.side(rule);
    }
    file.line(1, "# What a service is sent.");
    file.line(1, "http-request set-var(txn.up) str(monolith) if !{ var(txn.up) -m found }");
    for rule in rules {
        file.edits(rule);
    }
    file.turned_back(rules);
    file.departure();
    for spec in used(snapshot, ExportTarget::Haproxy) {
        file.backend(spec);
    }
    file.text
}

struct File<'a> {
    text: String,
    snapshot: &'a Snapshot,
}

/// As `HAProxy` reads it between single quotes.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// A value in which nothing is a variable.
fn format_text(text: &str) -> String {
    quoted(&text.replace('%', "%%"))
}

impl File<'_> {
    fn line(&mut self, depth: usize, text: &str) {
        let _ = writeln!(self.text, "{}{text}", "    ".repeat(depth));
    }

    fn name(&self, upstream: UpstreamId) -> &str {
        &self.snapshot.upstreams[upstream.index()].name
    }

    fn head(&mut self) {
        let idle = milliseconds(self.snapshot.limits.idle_timeout);
        let head = milliseconds(self.snapshot.limits.header_timeout);
        self.line(0, "global");
        self.line(1, "expose-experimental-directives");
        self.line(0, "defaults");
        self.line(1, "mode http");
        for line in ["timeout connect 2s", "timeout client 60s", "timeout server 60s", "timeout tunnel 1h"] {
            self.line(1, line);
        }
        self.line(1, &format!("timeout http-request {head}"));
        self.line(1, &format!("timeout http-keep-alive {idle}"));
        // Nothing is sent a second time.
        self.line(1, "retries 0");
    }

    fn arrival(&mut self) {
        let matching = self.snapshot.matching;
        self.line(1, "# What multilith refuses.");
        let methods = pattern::REFUSED_METHODS.join(" ");
        self.line(1, &format!("http-request deny deny_status 405 if {{ method {methods} }}"));
        let targets = "url -m reg -i '^(?:[/*]|https?://|wss?://)'";
        self.line(1, &format!("http-request deny deny_status 400 if !{{ {targets} }}"));
        let paths = quoted(pattern::REFUSED);
        self.line(1, &format!("http-request deny deny_status 400 if {{ path -m reg -i {paths} }}"));
        self.cookies();
        // An absolute target without a path means the root; of OPTIONS it means the server.
        self.line(1, "http-request set-path / if !{ path -m len gt 0 } { url -m reg -i ^[a-z]+: } !METH_OPTIONS");
        self.line(1, "# The monolith gets the path as it came; rules look at the normal form.");
        self.line(1, "http-request set-var(txn.raw) pathq");
        self.line(1, "http-request set-var(txn.query) query");
        // With its question mark, also where nothing stands behind it.
        self.line(1, "http-request set-var(txn.question) 'pathq,regsub(\"^[^?]*\",\"\")'");
        self.line(1, "http-request set-var(txn.asked) req.hdr(host)");
        // Without a port and the root's dot.
        let host = "'req.hdr(host),lower,regsub(\":[0-9]*$\",\"\"),regsub(\"[.]$\",\"\")'";
        self.line(1, &format!("http-request set-var(txn.host) {host}"));
        // As text: HAProxy keeps a method that it does not know in no variable.
        self.line(1, "http-request set-var-fmt(txn.method) %[method]");
        let announced = "req.hdr(access-control-request-method)";
        self.line(
            1,
            &format!("http-request set-var(txn.method) {announced} if METH_OPTIONS {{ {announced} -m found }}"),
        );
        self.line(1, "http-request normalize-uri percent-to-uppercase");
        self.line(1, "http-request normalize-uri percent-decode-unreserved");
        self.line(1, "http-request normalize-uri path-strip-dot");
        self.line(1, "http-request normalize-uri path-strip-dotdot full");
        if matching.merge_slashes {
            self.line(1, "http-request normalize-uri path-merge-slashes");
        }
        // Normalising is meant for paths; it changes the query, too.
        self.line(1, "http-request set-query %[var(txn.query)] if { var(txn.query) -m len gt 0 }");
        self.line(1, "# What a client says of itself is not believed.");
        let forged = quoted(&format!("^(?:{})$", forgeable::pattern(self.snapshot)));
        self.line(1, &format!("http-request del-header {forged} -m reg"));
        for line in [
            "http-request set-header X-Real-IP %[src] if { req.fhdr(x-real-ip) -m found }",
            "http-request set-header X-Forwarded-For %[src]",
            "http-request set-header X-Forwarded-Proto http",
            "http-request set-header X-Forwarded-Host %[req.hdr(host)]",
            "http-request set-header X-Forwarded-Port 80",
            "http-request set-header X-Forwarded-Port '%[req.hdr(host),regsub(\"^.*:\",\"\")]' if { req.hdr(host) -m reg ':[0-9]+$' }",
        ] {
            self.line(1, line);
        }
        self.line(1, "# The first rule that fits.");
    }

    /// Several Cookie lines become one, as before HTTP/2.
    fn cookies(&mut self) {
        self.line(1, "http-request set-var(txn.cookies) req.fhdr(cookie,1)");
        for number in 2..=MOST_COOKIE_LINES {
            let joined = format!("'%[var(txn.cookies)]; %[req.fhdr(cookie,{number})]'");
            let has = format!("{{ req.fhdr_cnt(cookie) ge {number} }}");
            self.line(1, &format!("http-request set-var-fmt(txn.cookies) {joined} if {has}"));
        }
        self.line(1, "http-request set-header Cookie %[var(txn.cookies)] if { req.fhdr_cnt(cookie) gt 1 }");
    }

    fn rule(&mut self, rule: &ExportRule<'_>) {
        let mut asked = String::from("!{ var(txn.rule) -m found }");
        if let Some(host) = pattern::host(&rule.route.rule.host) {
            let _ = write!(asked, " {{ var(txn.host) -m reg {} }}", quoted(&format!("^{host}$")));
        }
        let path = pattern::path(rule.template, self.snapshot.matching, Captures::None, None);
        let _ = write!(asked, " {{ path -m reg {} }}", quoted(&path));
        let methods = rule.methods();
        if !methods.is_empty() {
            let _ = write!(asked, " {{ var(txn.method) -m str {} }}", methods.join(" "));
        }
        for condition in rule.conditions() {
            let not = if condition.kind == ConditionKind::Absent { "!" } else { "" };
            let (field, regex, value) = match condition.on {
                ConditionOn::Header => ("", None, format!("req.fhdr({},1)", condition.name)),
                ConditionOn::Cookie => (COOKIES, pattern::cookie(condition), first_cookie(&condition.name)),
                ConditionOn::Query => ("query", pattern::query(condition), first_query(&condition.name)),
            };
            if let Some(regex) = regex {
                let _ = write!(asked, " {not}{{ {field} -m reg {} }}", quoted(&regex));
                continue;
            }
            let has = match condition.on {
                ConditionOn::Header => String::new(),
                ConditionOn::Cookie => format!(" {}", has_cookie(&condition.name)),
                ConditionOn::Query => format!(" {}", has_query(&condition.name)),
            };
            let _ = write!(asked, "{has}{}", meets(&value, condition));
        }
        self.line(1, &format!("http-request set-var(txn.rule) str({}) if {asked}", rule.key()));
    }

    /// Sets `txn.up`, and `txn.side` where it is not the service.
    fn side(&mut self, rule: &ExportRule<'_>) {
        let is_rule = format!("{{ var(txn.rule) -m str {} }}", rule.key());
        if rule.is_closed() {
            self.line(1, "# multilith: NOT EXPORTED: what guards this route");
            self.line(1, &format!("http-request deny deny_status 403 if {is_rule}"));
            return;
        }
        if let Guard::Networks(networks) = rule.guard {
            let networks: Vec<String> = networks.iter().map(ToString::to_string).collect();
            let inside = networks.join(" ");
            self.line(1, &format!("http-request deny deny_status 403 if {is_rule} !{{ src {inside} }}"));
        }
        if let Some(redirect) = rule.redirect() {
            let from = pattern::address(rule.template, self.snapshot.matching, Captures::Numbered, redirect.path());
            let to = pattern::rewritten(redirect.path(), rule.template, literal, |_, number| format!("\\{number}"));
            self.line(1, &format!("http-request replace-path {} {} if {is_rule}", quoted(&from), quoted(&to)));
            let origin = redirect.origin().replace('%', "%%");
            let location = quoted(&format!("{origin}%[path]%[var(txn.question)]"));
            let status = redirect.status;
            self.line(1, &format!("http-request redirect code {status} location {location} if {is_rule}"));
            return;
        }
        self.fallback(rule, &is_rule);
        let shares = rule.shares();
        if let [only] = shares.as_slice() {
            if only.upstream != UpstreamId::MONOLITH {
                self.put(&is_rule, only);
            }
            return;
        }
        self.bucket(rule, &is_rule);
        let mut upper = 0;
        for share in &shares {
            let lower = upper;
            upper += share.buckets;
            let range = format!("{is_rule} {{ var(txn.bucket) -m int {lower}:{} }}", upper - 1);
            self.put(&range, share);
        }
    }

    /// The monolith answers where the checks found no server up. It gets the request as it came.
    fn fallback(&mut self, rule: &ExportRule<'_>, is_rule: &str) {
        let (Some(own), Some(service)) = (rule.fallback(), rule.route.policy.service) else { return };
        if !fallback::is_watched(self.snapshot, rule) {
            return;
        }
        let methods = match rule.methods() {
            _ if own.methods == MethodSet::all() => String::new(),
            taken => {
                let falls = fallback::methods(&taken, own);
                format!(" {{ var(txn.method) -m str {} }}", falls.join(" "))
            }
        };
        let nobody = format!("{{ nbsrv({}) eq 0 }}", self.name(service));
        self.line(1, &format!("http-request set-var(txn.rule) str(unmatched) if {is_rule} {nobody}{methods}"));
    }

    /// Hosts that need a client certificate are closed: the target asks for none.
    fn certificates(&mut self) {
        let hosts = &self.snapshot.server.tls.client_ca_hosts;
        if hosts.is_empty() {
            return;
        }
        let hosts = hosts.join(" ").to_lowercase();
        self.line(1, "# multilith: NOT EXPORTED: what clients of these hosts must show");
        self.line(1, &format!("http-request deny deny_status 403 if {{ var(txn.host) -m str {hosts} }}"));
    }

    /// Addresses in answers as the client asks for them: the value stands behind the host until a pattern fits.
    fn turned_back(&mut self, rules: &[ExportRule<'_>]) {
        let snapshot = self.snapshot;
        let shares = || rules.iter().flat_map(|rule| rule.shares().into_iter().map(move |share| (rule, share)));
        let own = location::is_due(snapshot, None, UpstreamId::MONOLITH) && !snapshot.monolith_retired;
        if !own && !shares().any(|(rule, share)| location::is_due(snapshot, Some(rule.route), share.upstream)) {
            return;
        }
        for header in HEADERS {
            // Of an empty value the mark would stay: the space at its end goes.
            let is_there = format!("{{ res.fhdr({header}) -m len gt 0 }}");
            let marked = format!("'%[var(txn.asked)] | %[res.fhdr({header})]'");
            self.line(1, &format!("http-response set-header {header} {marked} if {is_there}"));
            for (rule, share) in shares().filter(|(_, share)| share.upstream != UpstreamId::MONOLITH) {
                let when = answered(rule, &share);
                for row in location::of_share(snapshot, rule, &share, Captures::Numbered, header) {
                    self.back_row(header, &row, &when);
                }
            }
            for row in location::of_upstream(snapshot, UpstreamId::MONOLITH, Captures::Numbered, header) {
                self.back_row(header, &row, "if { var(txn.up) -m str monolith }");
            }
            self.line(1, &format!("http-response replace-header {header} '^(?:[^ ]* )?[|] (.*)$' '\\1'"));
        }
    }

    fn back_row(&mut self, header: &str, row: &Row, when: &str) {
        let mut to = String::new();
        for part in &row.replacement {
            match part {
                Part::Text(text) => to.push_str(&literal(text)),
                Part::Group(group) => to.push_str(group),
            }
        }
        let from = quoted(&format!("^{}", row.pattern));
        self.line(1, &format!("http-response replace-header {header} {from} {} {when}", quoted(&to)));
    }

    fn put(&mut self, when: &str, share: &Share<'_>) {
        let up = format!("http-request set-var(txn.up) str({}) if {when}", self.name(share.upstream));
        self.line(1, &up);
        self.line(1, &format!("http-request set-var(txn.side) str({}) if {when}", share.side));
    }

    /// `txn.bucket`: `xxh3_64(cohort, 0, unit) mod 10 000`. The hash is signed here, and 2^64 mod 10 000 is 1 616.
    fn bucket(&mut self, rule: &ExportRule<'_>, is_rule: &str) {
        let policy = &rule.route.policy;
        self.line(1, &format!("# The clients of `{}`, each in the bucket that multilith gives it.", policy.cohort));
        let missing = "!{ var(txn.unit) -m len gt 0 }";
        let issued = UnitSource::Cookie(ISSUED_COOKIE.into());
        for source in policy.sticky.iter().chain([&issued]) {
            let line = match source {
                UnitSource::Header(name) => {
                    format!(
                        "set-var(txn.unit) req.fhdr({name},1) if {is_rule} {missing} {{ req.fhdr({name},1) -m found }}"
                    )
                }
                UnitSource::Cookie(name) => {
                    format!("set-var(txn.unit) {} if {is_rule} {missing} {}", first_cookie(name), has_cookie(name))
                }
                UnitSource::Query(name) => {
                    format!("set-var(txn.unit) {} if {is_rule} {missing} {}", first_query(name), has_query(name))
                }
                // As text.
                UnitSource::Ip => format!("set-var-fmt(txn.unit) '%[src]' if {is_rule} {missing}"),
                UnitSource::Jwt(_) => continue,
            };
            self.line(1, &format!("http-request {line}"));
        }
        if policy.issue_cookie {
            self.line(1, &format!("http-request set-var(txn.issued) uuid,regsub(-,,g) if {is_rule} {missing}"));
            self.line(1, &format!("http-request set-var(txn.unit) var(txn.issued) if {is_rule} {missing}"));
        } else {
            self.line(1, &format!("http-request set-var(txn.unit) uuid if {is_rule} {missing}"));
        }
        // A name has no character that is one of HAProxy's own.
        let hash = format!("str({}%00),url_dec,concat(,txn.unit),xxh3", policy.cohort);
        self.line(1, &format!("http-request set-var(txn.hash) {} if {is_rule}", quoted(&hash)));
        self.line(
            1,
            &format!(
                "http-request set-var(txn.bucket) var(txn.hash),mod(10000) if {is_rule} {{ var(txn.hash) -m int ge 0 }}"
            ),
        );
        let below = "var(txn.hash),mod(10000),add(11616),mod(10000)";
        self.line(1, &format!("http-request set-var(txn.bucket) {below} if {is_rule} {{ var(txn.hash) -m int lt 0 }}"));
    }

    fn edits(&mut self, rule: &ExportRule<'_>) {
        for share in rule.shares() {
            let when = answered(rule, &share);
            let edits = rule.edits(&share);
            for name in &edits.remove {
                self.line(1, &format!("http-request del-header {name} {when}"));
            }
            for (name, value) in &edits.set {
                self.line(1, &format!("http-request set-header {name} {} {when}", format_text(value)));
            }
            for (name, value) in &edits.add {
                self.line(1, &format!("http-request add-header {name} {} {when}", format_text(value)));
            }
            if let Some(host) = host_for(self.snapshot, Some(rule.route), share.upstream) {
                self.line(1, &format!("http-request set-header Host {} {when}", format_text(&host)));
            }
            if share.upstream == UpstreamId::MONOLITH {
                continue;
            }
            self.answer(rule, &when);
            if let Some(rewrite) = rule.rewrite() {
                let from = pattern::path(rule.template, self.snapshot.matching, Captures::Numbered, Some(rewrite));
                let to = pattern::rewritten(rewrite, rule.template, literal, |_, number| format!("\\{number}"));
                self.line(1, &format!("http-request replace-path {} {} {when}", quoted(&from), quoted(&to)));
            }
        }
    }

    fn answer(&mut self, rule: &ExportRule<'_>, when: &str) {
        let headers = &rule.route.answer.headers;
        for name in &headers.remove {
            self.line(1, &format!("http-response del-header {name} {when}"));
        }
        for (verb, all) in [("set-header", &headers.set), ("add-header", &headers.add)] {
            for (name, value) in all {
                let value = format_text(&String::from_utf8_lossy(value.as_bytes()));
                self.line(1, &format!("http-response {verb} {name} {value} {when}"));
            }
        }
    }

    fn departure(&mut self) {
        let snapshot = self.snapshot;
        // An absolute target becomes a path; that of `OPTIONS *` has none.
        self.line(1, "http-request set-uri * if METH_OPTIONS !{ var(txn.raw) -m len gt 0 }");
        self.line(
            1,
            "http-request set-uri %[var(txn.raw)] if { var(txn.up) -m str monolith } { var(txn.raw) -m len gt 0 }",
        );
        self.line(1, "http-request set-uri %[pathq] if !{ var(txn.up) -m str monolith }");
        let issues = snapshot.routes.iter().any(|route| route.policy.issue_cookie);
        if issues {
            let cookie =
                format!("{ISSUED_COOKIE}=%[var(txn.issued)]; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax");
            self.line(1, &format!("http-response add-header Set-Cookie '{cookie}' if {{ var(txn.issued) -m found }}"));
        }
        if snapshot.monolith_retired {
            self.line(1, "http-request deny deny_status 404 if { var(txn.up) -m str monolith }");
            return self.line(1, "use_backend %[var(txn.up)]");
        }
        self.line(1, "use_backend %[var(txn.up)]");
        self.line(1, "default_backend monolith");
    }
}

/// Text of a replacement.
fn literal(text: &str) -> String {
    text.replace('%', "%%").replace('\\', "\\\\")
}

/// Requests of a rule that a share answers.
fn answered(rule: &ExportRule<'_>, share: &Share<'_>) -> String {
    let side = match rule.shares().len() {
        1 => String::new(),
        _ => format!(" {{ var(txn.side) -m str {} }}", share.side),
    };
    format!("if {{ var(txn.rule) -m str {} }}{side}", rule.key())
}

/// Without a limit a day.
fn milliseconds(time: Option<Duration>) -> String {
    let day = Duration::from_secs(86_400);
    format!("{}ms", time.unwrap_or(day).min(day).as_millis().max(1))
}
