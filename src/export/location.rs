//! The way back of addresses in answers, as regular expressions: what a service says of itself becomes what its client knows.
//!
//! A pattern is asked of the client's host and the header's value, written as `HOST | VALUE`.

use super::pattern::{self, Captures};
use super::rules::{ExportRule, Share};
use crate::compile::{Route, Snapshot};
use crate::endpoint::{Address, Source, UpstreamId, UpstreamSpec};
use crate::route::{PathPiece, PathRewrite, Segment, Template};

/// The headers that hold an address.
pub(super) const HEADERS: [&str; 3] = ["location", "content-location", "refresh"];

/// Most groups of a numbered pattern.
const MOST_GROUPS: usize = 9;

/// A pattern without `^`, and what the value becomes. The first that fits counts.
pub(super) struct Row {
    pub(super) pattern: String,
    pub(super) replacement: Vec<Part>,
}

pub(super) enum Part {
    Text(String),
    /// A group, as the target writes it.
    Group(String),
}

/// Whether anything is turned back for this answer.
pub(super) fn is_due(snapshot: &Snapshot, route: Option<&Route>, upstream: UpstreamId) -> bool {
    own_host(snapshot, upstream).is_some()
        || upstream != UpstreamId::MONOLITH && route.is_some_and(|route| route.answer.location)
}

fn own_host(snapshot: &Snapshot, upstream: UpstreamId) -> Option<&str> {
    snapshot.upstreams.get(upstream.index())?.host.as_deref()
}

/// The rows that turn addresses back in a header of a share's answers.
pub(super) fn of_share(
    snapshot: &Snapshot,
    rule: &ExportRule<'_>,
    share: &Share<'_>,
    style: Captures,
    header: &str,
) -> Vec<Row> {
    if share.upstream == UpstreamId::MONOLITH || !rule.route.answer.location {
        return of_upstream(snapshot, share.upstream, style, header);
    }
    let Some(spec) = snapshot.upstreams.get(share.upstream.index()) else { return Vec::new() };
    let route = rule.route;
    let own = route.rewrite.host.as_ref().and_then(|host| host.to_str().ok()).map(str::to_owned);
    let internal = internal(own.into_iter().chain(spec.host.as_deref().map(str::to_owned)).chain(endpoints(spec)));
    let others = others(snapshot, route, share.upstream);
    let mut rows = Vec::new();
    if let Some(rewrite) = &route.rewrite.path {
        rows.extend(mapped(rewrite, rule.template, &internal, Groups::new(style, header, true)));
    } else if !others.is_empty() {
        rows.push(kept(rule.template, &internal, Groups::new(style, header, true)));
    }
    for (rewrite, template) in others {
        rows.extend(mapped(rewrite, template, &internal, Groups::new(style, header, false)));
    }
    rows.push(stripped(&internal, Groups::new(style, header, false), None));
    rows
}

/// Whether a rewrite of the service cannot be turned back.
pub(super) fn has_lost_rows(snapshot: &Snapshot, rule: &ExportRule<'_>, share: &Share<'_>, is_nginx: bool) -> bool {
    if share.upstream == UpstreamId::MONOLITH {
        return false;
    }
    let style = if is_nginx { Captures::Named } else { Captures::Numbered };
    let own = rule.route.rewrite.path.as_ref().map(|rewrite| (rewrite, rule.template));
    let all = own
        .into_iter()
        .map(|own| (own, true))
        .chain(others(snapshot, rule.route, share.upstream).into_iter().map(|other| (other, false)));
    // Refresh has the most groups.
    let mut each =
        all.map(|((rewrite, template), is_own)| mapped(rewrite, template, "", Groups::new(style, "refresh", is_own)));
    each.any(|row| row.is_none())
}

/// The rows that turn addresses back, of an upstream that is asked under a host of its own.
pub(super) fn of_upstream(snapshot: &Snapshot, upstream: UpstreamId, style: Captures, header: &str) -> Vec<Row> {
    let (Some(host), Some(spec)) = (own_host(snapshot, upstream), snapshot.upstreams.get(upstream.index())) else {
        return Vec::new();
    };
    let internal = internal(std::iter::once(host.to_owned()).chain(endpoints(spec)));
    vec![stripped(&internal, Groups::new(style, header, false), Some(host))]
}

/// Rewrites of other routes of the same service under the same host; the longest first.
fn others<'a>(snapshot: &'a Snapshot, route: &Route, upstream: UpstreamId) -> Vec<(&'a PathRewrite, &'a Template)> {
    let asks = |other: &Route| other.policy.upstreams().any(|asked| asked == upstream);
    let mut all: Vec<(&PathRewrite, &Template)> = Vec::new();
    for other in snapshot.routes.iter().filter(|other| other.name != route.name && other.rule.host == route.rule.host) {
        if let Some(rewrite) = other.rewrite.path.as_ref().filter(|_| asks(other)) {
            all.extend(other.rule.paths.iter().map(|template| (rewrite, template)));
        }
    }
    all.sort_by_key(|(rewrite, _)| std::cmp::Reverse(rewrite.literal_bytes()));
    all
}

/// The endpoints as the file names them.
fn endpoints(spec: &UpstreamSpec) -> Vec<String> {
    match &spec.source {
        Source::Fixed(all) => all
            .iter()
            .filter(|(address, _)| matches!(address, Address::Tcp { .. }))
            .map(|(address, _)| address.to_string())
            .collect(),
        Source::Dns { name, port } => vec![format!("{name}:{port}")],
        _ => Vec::new(),
    }
}

/// Scheme and authority of hosts that only the proxy knows.
fn internal(hosts: impl Iterator<Item = String>) -> String {
    let mut all: Vec<String> = hosts.map(|host| authority(&host)).collect();
    all.sort();
    all.dedup();
    format!("(?i:https?:)?//(?i:{})", all.join("|"))
}

/// A host without a port is meant under all ports; the ports of http and https say nothing.
fn authority(host: &str) -> String {
    let port = host.rsplit_once(':').filter(|(_, port)| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()));
    match port {
        None => format!("{}(?::[^/?#]*)?", pattern::escape(host)),
        Some((name, "80" | "443")) => format!("{}(?::80|:443)?", pattern::escape(name)),
        Some(_) => pattern::escape(host),
    }
}

/// Names or numbers the groups of one pattern, and begins it.
struct Groups {
    style: Captures,
    count: usize,
    is_refresh: bool,
    /// The parameters of the request's own path can be asked.
    is_own: bool,
    head: String,
    before: Vec<Part>,
}

impl Groups {
    fn new(style: Captures, header: &str, is_own: bool) -> Self {
        let is_refresh = header == "refresh";
        let mut groups = Self { style, count: 0, is_refresh, is_own, head: String::new(), before: Vec::new() };
        let host = groups.open("ml_h", "[^ ]+?").0;
        groups.head = format!("{host}(?::80|:443)? [|] ");
        if is_refresh {
            let (group, value) = groups.open("ml_r", "[^=]*?(?i:url)=[ \\t]*[\"']?");
            groups.head.push_str(&group);
            groups.before.push(Part::Group(value));
        }
        groups
    }

    /// A group, and how its value is written.
    fn open(&mut self, name: &str, body: &str) -> (String, String) {
        self.count += 1;
        match self.style {
            Captures::Named => (format!("(?<{name}>{body})"), format!("${{{name}}}")),
            Captures::None | Captures::Numbered => (format!("({body})"), format!("\\{}", self.count)),
        }
    }

    /// The client's own host, with or without a scheme.
    fn public(&self) -> String {
        let host = if self.style == Captures::Named { "\\k<ml_h>" } else { "\\1" };
        format!("(?i:https?:)?//(?i:{host})(?::80|:443)?")
    }

    /// Query, fragment and, in `Refresh`, quotes.
    fn tail(&mut self) -> (String, String) {
        let body = if self.is_refresh { "(?:[?#\"'].*)?" } else { "(?:[?#].*)?" };
        self.open("ml_t", body)
    }

    fn row(mut self, pattern: &str, replacement: Vec<Part>) -> Row {
        let mut all = std::mem::take(&mut self.before);
        all.extend(replacement);
        Row { pattern: format!("{}{pattern}$", self.head), replacement: all }
    }
}

/// Addresses that a rewrite has made, as the client asks for them.
fn mapped(rewrite: &PathRewrite, template: &Template, internal: &str, mut groups: Groups) -> Option<Row> {
    // A path that would be resolved first is left alone.
    let undotted = "(?![^?#]*/[.]{1,2}(?:[/?#]|$))";
    let public = groups.public();
    let (origin, origin_value) = groups.open("ml_o", &public);
    let (path, back) = reversed(rewrite, template, &mut groups)?;
    let (tail, tail_value) = groups.tail();
    if groups.style == Captures::Numbered && groups.count > MOST_GROUPS {
        return None;
    }
    let mut replacement = vec![Part::Group(origin_value)];
    replacement.extend(back);
    replacement.push(Part::Group(tail_value));
    Some(groups.row(&format!("(?:{internal}|{origin}|(?!//)){undotted}{path}{tail}"), replacement))
}

/// The path that a rewrite makes under a template, and that of the client; `None` where a value of it is not known.
fn reversed(rewrite: &PathRewrite, template: &Template, groups: &mut Groups) -> Option<(String, Vec<Part>)> {
    let rest = match template.segments() {
        [.., Segment::Rest(name)] => Some(&**name),
        _ => None,
    };
    let is_slashed =
        |name: &str| template.segments().len() > 1 && rest == Some(name) && pattern::takes_slash(name, Some(rewrite));
    let (mut path, mut values): (String, Vec<(&str, String)>) = (String::new(), Vec::new());
    for (at, piece) in rewrite.pieces.iter().enumerate() {
        match piece {
            PathPiece::Literal(text) => {
                let before_rest =
                    matches!(rewrite.pieces.get(at + 1), Some(PathPiece::Parameter(name)) if is_slashed(name));
                let text = if before_rest { text.strip_suffix('/').unwrap_or(text) } else { text };
                path.push_str(&pattern::literal(text));
            }
            PathPiece::Parameter(name) if values.iter().any(|(known, _)| *known == &**name) => return None,
            PathPiece::Parameter(name) => {
                let end = if groups.is_refresh { "?#\"'" } else { "?#" };
                let body = match (rest == Some(&**name), is_slashed(name)) {
                    (_, true) => format!("/[^{end}]*|"),
                    (true, false) => format!("[^{end}]*"),
                    (false, false) => format!("[^/{end}]+"),
                };
                let (group, value) = groups.open(&format!("ml_b_{name}"), &body);
                path.push_str(&group);
                values.push((name, value));
            }
        }
    }
    let mut back = Vec::new();
    for segment in template.segments() {
        let value = |name: &str| {
            let read = values.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
            let own = (groups.is_own && groups.style == Captures::Named).then(|| format!("${{p_{name}}}"));
            read.or(own)
        };
        match segment {
            Segment::Literal(text) => back.push(Part::Text(format!("/{text}"))),
            Segment::Parameter(own) => {
                back.push(Part::Text(format!("/{}", own.prefix)));
                back.push(Part::Group(value(&own.name)?));
                back.push(Part::Text(own.suffix.to_string()));
            }
            Segment::Rest(name) => {
                if !is_slashed(name) {
                    back.push(Part::Text("/".to_owned()));
                }
                back.push(Part::Group(value(name)?));
            }
        }
    }
    Some((path, back))
}

/// Addresses of the request's own route, which the service has under the same path: they stay, without an internal host.
fn kept(template: &Template, internal: &str, mut groups: Groups) -> Row {
    let mut path = String::new();
    for segment in template.segments() {
        match segment {
            Segment::Literal(text) => path.extend(["/", &pattern::literal(text)]),
            Segment::Parameter(own) => {
                path.extend(["/", &pattern::literal(&own.prefix), "[^/?#]+", &pattern::literal(&own.suffix)]);
            }
            Segment::Rest(_) => path.push_str("(?:/[^?#]*)?"),
        }
    }
    let public = groups.public();
    let (tail, _) = groups.tail();
    let whole = format!("(?:{public}|(?!//)){path}{tail}");
    let (whole, value) = groups.open("ml_w", &whole);
    // The group of the whole opens before that of its tail.
    let value = if groups.style == Captures::Numbered { format!("\\{}", groups.count - 1) } else { value };
    groups.row(&format!("(?:{internal})?{whole}"), vec![Part::Group(value)])
}

/// Addresses of an internal host: an absolute path keeps what the client used. Never two slashes, which would be another host.
fn stripped(internal: &str, mut groups: Groups, unless: Option<&str>) -> Row {
    let end = if groups.is_refresh { "(?=[/?#\"']|$)" } else { "(?=[/?#]|$)" };
    let (tail, value) = groups.open("ml_t", ".*");
    let mut row =
        groups.row(&format!("{internal}{end}[/\\\\]*{tail}"), vec![Part::Text("/".to_owned()), Part::Group(value)]);
    if let Some(host) = unless {
        row.pattern = format!("(?!(?i:{}) [|]){}", pattern::escape(host), row.pattern);
    }
    row
}
