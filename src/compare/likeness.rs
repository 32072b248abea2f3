//! Texts that are written differently and are the same: what a mask covers, links to either side's own host, the order of a query.

use std::borrow::Cow;

use regex::Regex;

#[derive(Debug, Clone)]
pub(super) struct Likeness {
    masks: Vec<(String, Regex)>,
    compares_hosts: bool,
    compares_order: bool,
    /// The sides' own hosts, in lower case, with the port as their addresses have it.
    hosts: Vec<String>,
}

impl Likeness {
    pub(super) const fn new(masks: Vec<(String, Regex)>, unifies_hosts: bool, sorts_queries: bool) -> Self {
        Self { masks, compares_hosts: !unifies_hosts, compares_order: !sorts_queries, hosts: Vec::new() }
    }

    pub(super) fn learn(&mut self, hosts: impl IntoIterator<Item = String>) {
        for host in hosts {
            let host = host.to_ascii_lowercase();
            // A link does not name the port that its scheme has by itself.
            let bare = [":80", ":443"].iter().find_map(|port| host.strip_suffix(port));
            self.hosts.extend(bare.map(str::to_owned));
            self.hosts.push(host);
        }
    }

    /// Whether two texts of a field are the same; `host` is the one that the client named.
    pub(super) fn alike(&self, field: &str, texts: [&str; 2], host: Option<&str>) -> bool {
        let [a, b] = texts.map(|text| self.plain(field, text, host));
        a == b || !self.compares_order && in_any_order(&a).is_some_and(|a| in_any_order(&b).is_some_and(|b| a == b))
    }

    fn plain<'t>(&self, field: &str, text: &'t str, host: Option<&str>) -> Cow<'t, str> {
        let mut text = Cow::Borrowed(text);
        for (_, mask) in self.masks.iter().filter(|(name, _)| name == field) {
            text = Cow::Owned(mask.replace_all(&text, "").into_owned());
        }
        if !self.compares_hosts && text.contains("//") {
            text = Cow::Owned(self.without_hosts(&text, host));
        }
        text
    }

    /// `https://own.example/a` becomes `//a`, wherever it stands in a text.
    fn without_hosts(&self, text: &str, host: Option<&str>) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find("//") {
            let (before, after) = rest.split_at(at);
            let authority = after.get(2..).unwrap_or_default();
            let end = authority
                .find(|c: char| {
                    c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\'' | '<' | '>' | ')' | ',' | ';')
                })
                .unwrap_or(authority.len());
            let (name, behind) = authority.split_at(end);
            let name = name.to_ascii_lowercase();
            let is_own = !name.is_empty()
                && (self.hosts.contains(&name)
                    || host.is_some_and(|host| without_port(host).eq_ignore_ascii_case(without_port(&name))));
            if is_own {
                let bare = ["https:", "http:"].iter().find_map(|scheme| before.strip_suffix(scheme)).unwrap_or(before);
                out.push_str(bare);
                out.push_str("//");
                rest = behind;
            } else {
                out.push_str(before);
                out.push_str("//");
                rest = authority;
            }
        }
        out.push_str(rest);
        out
    }
}

/// Ports differ between a public name and the one behind it.
pub fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// A link with its query's pairs sorted. `None`: no link with a query.
fn in_any_order(text: &str) -> Option<String> {
    let (path, query) = text.split_once('?')?;
    if text.contains(char::is_whitespace) || !(path.contains('/') || path.is_empty()) {
        return None;
    }
    let (query, fragment) = query.split_once('#').unwrap_or((query, ""));
    let mut pairs: Vec<_> = query.split('&').collect();
    pairs.sort_unstable();
    Some(format!("{path}?{}#{fragment}", pairs.join("&")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_either_side_are_the_same() {
        let mask = Regex::new(r"comment-\d+").expect("a pattern");
        let mut likeness = Likeness::new(vec![("header:location".to_owned(), mask)], true, true);
        likeness.learn(["10.0.0.5:7001", "old.internal", "people.internal:80"].map(str::to_owned));
        let host = Some("shop.example:8080");
        for (field, a, b, same) in [
            ("$.a", "https://shop.example/x", "http://10.0.0.5:7001/x", true),
            ("$.a", "see https://shop.example/x.", "see http://OLD.internal/x.", true),
            ("$.a", "https://shop.example/x", "http://people.internal/x", true),
            ("$.a", "https://shop.example/x", "http://people.internal:80/x", true),
            ("$.a", "https://shop.example/x", "http://people.internal:81/x", false),
            ("$.a", "https://shop.example/x", "https://evil.example/x", false),
            ("$.a", "https://shop.example/x", "https://shop.example/y", false),
            ("$.a", "https://shop.example/", "https://10.0.0.5:7002/", false),
            ("$.a", "/x?a=1&b=2", "/x?b=2&a=1", true),
            ("$.a", "/x?a=1&b=2", "/x?b=2&a=2", false),
            ("$.a", "what? a=1&b=2", "what? b=2&a=1", false),
            ("header:location", "/p#comment-12", "/p#comment-977", true),
            ("header:link", "/p#comment-12", "/p#comment-977", false),
        ] {
            assert_eq!(likeness.alike(field, [a, b], host), same, "{a} {b}");
        }
        let strict = Likeness::new(Vec::new(), false, false);
        assert!(!strict.alike("$.a", ["/x?a=1&b=2", "/x?b=2&a=1"], host));
        assert!(!strict.alike("$.a", ["https://shop.example/x", "http://shop.example/x"], host));
    }
}
