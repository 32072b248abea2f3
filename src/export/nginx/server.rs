//! The one location of the written server, what answers before it, and the locations behind it that fall back.

use std::collections::BTreeSet;

use super::{FORWARDED, File, quoted};
use crate::compile::Network;
use crate::endpoint::{UpstreamId, Verify};
use crate::export::fallback::{self, MOST_GROUPS};
use crate::export::forgeable;
use crate::export::location::{self, HEADERS, Part, Row};
use crate::export::pattern::{self, Captures, REFUSED_METHODS};
use crate::export::rules::{ExportRule, Guard, host_for};

/// The first of the statuses that send a request from the one location to that of a fallback; no client sees them.
const FALLBACK: usize = 560;

impl File<'_> {
    /// `$ml_closed`: 1 for requests that are refused.
    fn closed(&mut self, rules: &[ExportRule<'_>]) -> bool {
        let mut rows = Vec::new();
        let mut told = BTreeSet::new();
        for rule in rules {
            let value = match rule.guard {
                _ if rule.is_closed() => "1".to_owned(),
                Guard::Networks(networks) => {
                    let number = self.number(rule);
                    if told.insert(number.clone()) {
                        self.outside(&number, networks);
                    }
                    format!("$ml_outside_{number}")
                }
                Guard::Open | Guard::Closed => continue,
            };
            rows.push((rule.key(), value));
        }
        self.map("$ml_rule", "$ml_closed", "0", &rows);
        !rows.is_empty()
    }

    fn outside(&mut self, number: &str, networks: &[Network]) {
        self.line(1, &format!("geo $ml_outside_{number} {{"));
        self.line(2, "default 1;");
        let each: BTreeSet<String> = networks.iter().map(ToString::to_string).collect();
        for network in each {
            self.line(2, &format!("{network} 0;"));
        }
        self.line(1, "}");
    }

    /// `$ml_redirect` and `$ml_location`; the statuses.
    fn redirects(&mut self, rules: &[ExportRule<'_>]) -> BTreeSet<u16> {
        let (mut statuses, mut locations) = (Vec::new(), Vec::new());
        for rule in rules {
            let Some(redirect) = rule.redirect() else { continue };
            let path = self.expanded(redirect.path(), rule.template);
            let origin = self.value(redirect.origin());
            statuses.push((rule.key(), redirect.status));
            locations.push((rule.key(), format!("\"{origin}{path}$ml_query\"")));
        }
        if !locations.is_empty() {
            let rows: Vec<_> = statuses.iter().map(|(key, status)| (key.clone(), status.to_string())).collect();
            self.map("$ml_rule", "$ml_redirect", "0", &rows);
            self.map("$ml_rule", "$ml_location", "\"\"", &locations);
        }
        statuses.into_iter().map(|(_, status)| status).collect()
    }

    /// `$ml_fallback`: the number of the location for requests that the monolith may answer in the place of a service.
    fn fallbacks(&mut self, rules: &[ExportRule<'_>], groups: &[Vec<u16>]) {
        let mut rows = Vec::new();
        for rule in rules {
            let Some(own) = rule.fallback() else { continue };
            let statuses: Vec<u16> = own.statuses.iter().collect();
            let methods = fallback::safe_methods(rule, own);
            let number = groups.iter().position(|group| *group == statuses);
            let (Some(number), false) = (number, methods.is_empty()) else { continue };
            let key = pattern::escape(&rule.key());
            rows.push((quoted(&format!("~^{key}@service@(?:{})$", methods.join("|"))), format!("f{number}")));
        }
        self.map("\"$ml_rule@$ml_side@$request_method\"", "$ml_fallback", "no", &rows);
    }

    /// `$ml_back_…`: addresses in answers as the client asks for them; whether there are any.
    fn turned_back(&mut self, rules: &[ExportRule<'_>]) -> bool {
        let snapshot = self.snapshot;
        let shares = || rules.iter().flat_map(|rule| rule.shares().into_iter().map(move |share| (rule, share)));
        let own = location::is_due(snapshot, None, UpstreamId::MONOLITH) && !snapshot.monolith_retired;
        let due = own || shares().any(|(rule, share)| location::is_due(snapshot, Some(rule.route), share.upstream));
        if !due {
            return false;
        }
        for header in HEADERS {
            let name = header.replace('-', "_");
            let mut rows = Vec::new();
            for (rule, share) in shares().filter(|(_, share)| share.upstream != UpstreamId::MONOLITH) {
                let key = pattern::escape(&format!("{}@{}", rule.key(), share.side));
                let all = location::of_share(snapshot, rule, &share, Captures::Named, header);
                rows.extend(all.into_iter().map(|row| self.back_row(&key, &row)));
            }
            let monolith = location::of_upstream(snapshot, UpstreamId::MONOLITH, Captures::Named, header);
            rows.extend(monolith.into_iter().map(|row| self.back_row("[^ ]*@monolith", &row)));
            let from = format!("\"$ml_by $ml_authority | $upstream_http_{name}\"");
            self.map(&from, &format!("$ml_back_{name}"), &format!("$upstream_http_{name}"), &rows);
        }
        true
    }

    fn back_row(&mut self, key: &str, row: &Row) -> (String, String) {
        let mut to = String::new();
        for part in &row.replacement {
            match part {
                Part::Text(text) => to.push_str(&self.value(&text.replace('\\', "\\\\").replace('"', "\\\""))),
                Part::Group(group) => to.push_str(group),
            }
        }
        (quoted(&format!("~^{key} {}", row.pattern)), format!("\"{to}\""))
    }

    /// `$ml_real_ip`: the client's address, where it says one itself; `$ml_port`: the port that it asks for.
    fn client(&mut self) {
        let none = ("\"\"".to_owned(), "\"\"".to_owned());
        self.map("$http_x_real_ip", "$ml_real_ip", "$remote_addr", &[none]);
        let asked = (quoted("~:(?<ml_asked_port>[0-9]+)$"), "$ml_asked_port".to_owned());
        let secure = (quoted("~^https "), "443".to_owned());
        self.map("\"$scheme $ml_authority\"", "$ml_port", "80", &[asked, secure]);
    }

    pub(super) fn server(&mut self, rules: &[ExportRule<'_>], headers: &[String]) {
        let tls = self.tls();
        self.map("$http_upgrade", "$ml_connection", "upgrade", &[("\"\"".to_owned(), "\"\"".to_owned())]);
        self.client();
        let is_closed = self.closed(rules);
        let redirects = self.redirects(rules);
        let mut groups = fallback::groups(rules);
        groups.truncate(MOST_GROUPS);
        if !groups.is_empty() {
            self.fallbacks(rules, &groups);
        }
        let turns_back = self.turned_back(rules);
        let hosts: Vec<_> = self.snapshot.server.tls.client_ca_hosts.iter().map(|host| quoted(host)).collect();
        if !hosts.is_empty() {
            let rows: Vec<_> = hosts.into_iter().map(|host| (host, "1".to_owned())).collect();
            self.map("$host", "$ml_needs_certificate", "0", &rows);
        }
        self.line(1, "server {");
        for listen in &self.snapshot.server.listen {
            self.line(2, &format!("listen {listen};"));
        }
        let body = self.snapshot.limits.body.unwrap_or(0);
        self.line(2, &format!("client_max_body_size {body};"));
        let merged = if self.snapshot.matching.merge_slashes { "on" } else { "off" };
        self.line(2, &format!("merge_slashes {merged};"));
        if !redirects.is_empty() {
            self.line(2, "absolute_redirect off;");
        }
        self.line(2, "location / {");
        self.line(3, "if ($ml_path = \"\") { return 400; }");
        self.line(3, "if ($ml_authority = \"!\") { return 400; }");
        self.line(3, &format!("if ($request_method ~ ^(?:{})$) {{ return 405; }}", REFUSED_METHODS.join("|")));
        if !self.snapshot.server.tls.client_ca_hosts.is_empty() {
            self.line(3, "# multilith: NOT EXPORTED: what clients of these hosts must show");
            self.line(3, "if ($ml_needs_certificate) { return 403; }");
        }
        if is_closed {
            self.line(3, "if ($ml_closed) { return 403; }");
        }
        for status in redirects {
            self.line(3, &format!("if ($ml_redirect = {status}) {{ return {status} $ml_location; }}"));
        }
        if self.snapshot.monolith_retired {
            self.line(3, "if ($ml_side = none) { return 404; }");
        }
        if turns_back {
            self.line(3, "set $ml_by \"$ml_rule@$ml_side\";");
        }
        if !groups.is_empty() {
            self.line(3, "# Named locations keep the method.");
            self.line(3, "recursive_error_pages on;");
            for number in 0..groups.len() {
                let status = FALLBACK + number;
                self.line(3, &format!("error_page {status} = @ml_service_{number};"));
                self.line(3, &format!("if ($ml_fallback = f{number}) {{ return {status}; }}"));
            }
        }
        self.line(3, "proxy_next_upstream off;");
        self.line(3, "proxy_request_buffering off;");
        self.passed(headers, &tls, turns_back);
        self.line(2, "}");
        for (number, statuses) in groups.iter().enumerate() {
            self.with_fallback(number, statuses, headers, &tls, turns_back);
        }
        if !groups.is_empty() {
            self.monolith(turns_back);
        }
        self.line(1, "}");
    }

    /// A location for the service; its failures go to the monolith.
    fn with_fallback(&mut self, number: usize, statuses: &[u16], headers: &[String], tls: &[String], turns_back: bool) {
        let all: BTreeSet<u16> = statuses.iter().copied().chain(fallback::OWN).collect();
        let all: Vec<String> = all.iter().map(ToString::to_string).collect();
        self.line(2, "# Safe methods alone: nginx cannot tell a service that was not reached from one that broke off.");
        self.line(2, &format!("location @ml_service_{number} {{"));
        self.line(3, "recursive_error_pages on;");
        let intercepts = if statuses.is_empty() { "off" } else { "on" };
        self.line(3, &format!("proxy_intercept_errors {intercepts};"));
        self.line(3, &format!("error_page {} = @ml_monolith;", all.join(" ")));
        self.line(3, "proxy_next_upstream error;");
        self.passed(headers, tls, turns_back);
        self.line(2, "}");
    }

    /// The monolith in the place of a service: the request as it came.
    fn monolith(&mut self, turns_back: bool) {
        let snapshot = self.snapshot;
        let Some(spec) = snapshot.upstreams.get(UpstreamId::MONOLITH.index()) else { return };
        let name = spec.name.clone();
        let host =
            host_for(snapshot, None, UpstreamId::MONOLITH).map_or("$ml_authority".to_owned(), |host| quoted(&host));
        let tls = match &spec.tls {
            Some(own) => {
                let mut lines = self.tls_lines();
                lines.retain(|line| !line.starts_with("proxy_ssl_name "));
                lines.push(format!("proxy_ssl_name {};", quoted(&own.server_name)));
                lines
            }
            None => Vec::new(),
        };
        let scheme = if spec.tls.is_some() { "https" } else { "http" };
        self.line(2, "location @ml_monolith {");
        if turns_back {
            self.line(3, "set $ml_by \"@monolith\";");
        }
        self.line(3, "proxy_next_upstream error;");
        self.forwarded(&host, &[], turns_back);
        for line in &tls {
            self.line(3, line);
        }
        self.line(3, &format!("proxy_pass {scheme}://{name}$request_uri;"));
        self.line(2, "}");
    }

    /// To the upstream that answers, as the rule says.
    fn passed(&mut self, headers: &[String], tls: &[String], turns_back: bool) {
        self.forwarded("$ml_host", headers, turns_back);
        for name in headers {
            self.line(3, &format!("proxy_set_header {name} $ml_h_{};", name.replace('-', "_")));
        }
        for line in tls {
            self.line(3, line);
        }
        let scheme = if tls.is_empty() { "http" } else { "$ml_scheme" };
        self.line(3, &format!("proxy_pass {scheme}://$ml_up$ml_target;"));
    }

    fn forwarded(&mut self, host: &str, edited: &[String], turns_back: bool) {
        let timeouts = self.snapshot.upstreams.iter().map(|spec| spec.timeouts);
        let longest = |of: fn(&crate::endpoint::Timeouts) -> Option<std::time::Duration>| {
            let each: Vec<_> = timeouts.clone().map(|timeouts| of(&timeouts)).collect();
            each.iter().copied().collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().max())
        };
        let connect = fallback::seconds(longest(|timeouts| timeouts.connect)).min(75);
        let read = fallback::seconds(longest(|timeouts| timeouts.answer));
        self.line(3, "proxy_http_version 1.1;");
        self.line(3, "proxy_buffering off;");
        self.line(3, "proxy_redirect off;");
        self.line(3, &format!("proxy_set_header Host {host};"));
        self.line(3, "proxy_set_header Upgrade $http_upgrade;");
        self.line(3, "proxy_set_header Connection $ml_connection;");
        // Several Cookie lines become one, as before HTTP/2.
        for (name, value) in FORWARDED.into_iter().chain([("X-Real-IP", "$ml_real_ip"), ("Cookie", "$http_cookie")]) {
            if !edited.iter().any(|edited| edited.eq_ignore_ascii_case(name)) {
                self.line(3, &format!("proxy_set_header {name} {value};"));
            }
        }
        for name in forgeable::names(self.snapshot) {
            if !edited.iter().any(|edited| edited == name) {
                self.line(3, &format!("proxy_set_header {name} \"\";"));
            }
        }
        self.line(3, &format!("proxy_connect_timeout {connect}s;"));
        self.line(3, &format!("proxy_read_timeout {read}s;"));
        for header in HEADERS.iter().filter(|_| turns_back) {
            self.line(3, &format!("proxy_hide_header {header};"));
            self.line(3, &format!("add_header {header} $ml_back_{} always;", header.replace('-', "_")));
        }
    }

    /// The lines of a location in front of upstreams of which some speak TLS.
    fn tls(&mut self) -> Vec<String> {
        let snapshot = self.snapshot;
        let with: Vec<_> =
            snapshot.upstreams.iter().filter_map(|spec| Some((&*spec.name, spec.tls.as_ref()?))).collect();
        if with.is_empty() {
            return Vec::new();
        }
        let rows = |value: fn(&crate::endpoint::TlsIdentity) -> String| {
            with.iter().map(|(name, tls)| ((*name).to_owned(), value(tls))).collect::<Vec<_>>()
        };
        self.map("$ml_up", "$ml_scheme", "http", &rows(|_| "https".to_owned()));
        self.map("$ml_up", "$ml_tls_name", "\"\"", &rows(|tls| quoted(&tls.server_name)));
        self.tls_lines()
    }

    fn tls_lines(&self) -> Vec<String> {
        let with: Vec<_> = self.snapshot.upstreams.iter().filter_map(|spec| spec.tls.as_ref()).collect();
        let Some(first) = with.first() else { return Vec::new() };
        let alike = with.iter().all(|tls| tls.ca == first.ca && tls.verify == first.verify);
        let system = "/etc/ssl/certs/ca-certificates.crt".to_owned();
        let ca = first.ca.as_ref().filter(|_| alike).map_or(system, |ca| ca.display().to_string());
        let verify = if alike && first.verify == Verify::Off { "off" } else { "on" };
        vec![
            "proxy_ssl_server_name on;".to_owned(),
            "proxy_ssl_name $ml_tls_name;".to_owned(),
            format!("proxy_ssl_verify {verify};"),
            format!("proxy_ssl_trusted_certificate {};", quoted(&ca)),
        ]
    }
}
