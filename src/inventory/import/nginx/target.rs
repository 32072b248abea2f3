//! Where a location leads: `proxy_pass` with what it does to the path, upstreams, and variables that choose among them.

use std::collections::BTreeMap;

use super::location::Pattern;
use super::syntax::Directive;
use crate::inventory::import::{ImportedService, ImportedSource};

/// An address or an upstream's name, with what stands behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyTarget {
    pub authority: String,
    pub https: bool,
    /// The path that replaces the location's.
    pub uri: Option<String>,
}

/// `http://NAME`, `https://host:port/path`, `http://unix:/run/app.sock:/path`.
pub fn parse(url: &str) -> Option<ProxyTarget> {
    let (scheme, behind) = url.split_once("://")?;
    let https = match scheme {
        "http" => false,
        "https" => true,
        _ => return None,
    };
    if let Some(socket) = behind.strip_prefix("unix:") {
        let (socket, uri) = match socket.split_once(':') {
            Some((socket, uri)) => (socket, Some(uri.to_owned()).filter(|uri| !uri.is_empty())),
            None => (socket, None),
        };
        return Some(ProxyTarget { authority: format!("unix:{socket}"), https, uri });
    }
    let (authority, uri) = match behind.find('/') {
        Some(at) => (&behind[..at], Some(behind[at..].to_owned())),
        None => (behind, None),
    };
    Some(ProxyTarget { authority: authority.to_owned(), https, uri })
}

/// The path that the service gets instead of the location's: `{rest}` is what the prefix leaves.
pub fn rewritten(pattern: &Pattern, uri: &str) -> Result<String, &'static str> {
    if uri.contains(['$', '?']) {
        return Err("a path made of variables, or with a query");
    }
    let uri = uri.replace('{', "%7B").replace('}', "%7D");
    match pattern {
        Pattern::Exact(_) => Ok(uri),
        Pattern::Prefix { text, .. } if text.ends_with('/') && !uri.ends_with('/') => {
            Err("a replacement without the slash that the location ends with: nginx joins both without one")
        }
        Pattern::Prefix { .. } => Ok(format!("{}/{{rest}}", uri.trim_end_matches('/'))),
        _ => Err("a replacement of a path that an expression takes"),
    }
}

/// `rewrite ^/a/(.*)$ /b/$1 break` of a location `/a/`, as the path that replaces its prefix.
pub fn rewrite(pattern: &Pattern, arguments: &[String]) -> Option<String> {
    let [expression, replacement, flag] = arguments else { return None };
    let Pattern::Prefix { text, .. } = pattern else { return None };
    let expression = expression.strip_prefix('^')?;
    let expression = expression.strip_suffix('$').unwrap_or(expression);
    let taken = expression.strip_suffix("(.*)").or_else(|| expression.strip_suffix("(.+)"))?;
    let given = replacement.strip_suffix("$1")?;
    let fits = taken == text || taken.trim_end_matches('/') == text.trim_end_matches('/') && taken.ends_with('/');
    (flag == "break" && fits && taken.ends_with('/') == given.ends_with('/') && given.starts_with('/'))
        .then(|| given.to_owned())
}

/// `upstream NAME { … }`; what is not taken goes to `left`.
pub fn service(directive: &Directive, left: &mut Vec<(String, &'static str)>) -> ImportedService {
    let mut service = ImportedService::default();
    for inside in directive.inside() {
        match (inside.name(), inside.arguments()) {
            ("server", [address, parameters @ ..]) => {
                if parameters.iter().any(|parameter| parameter == "down" || parameter == "backup") {
                    left.push((inside.told(), "a server that is down or in reserve"));
                    continue;
                }
                if !parameters.is_empty() {
                    left.push((inside.told(), "the server is taken, its parameters are not"));
                }
                service.addresses.push(with_port(address, false));
            }
            ("least_conn", _) => service.balance = Some("least-busy"),
            // Connections are kept here without a word.
            ("keepalive" | "keepalive_timeout" | "keepalive_requests" | "keepalive_time" | "zone", _) => {}
            _ => left.push((inside.told(), "no counterpart in an import")),
        }
    }
    service
}

/// A lone address.
pub fn single(target: &ProxyTarget) -> ImportedService {
    ImportedService {
        addresses: vec![with_port(&target.authority, target.https)],
        https: target.https,
        ..ImportedService::default()
    }
}

fn with_port(address: &str, https: bool) -> String {
    let has_port = address.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    if has_port || address.starts_with("unix:") {
        address.to_owned()
    } else {
        format!("{address}:{}", if https { 443 } else { 80 })
    }
}

/// The choice between the values of a variable.
#[derive(Debug, Clone)]
pub enum Choice {
    /// By what a request has: a table of routes.toml, the name in it, value and result of each, and the result of all others.
    By { table: ImportedSource, name: String, rows: Vec<(String, String)>, default: Option<String> },
    /// By a share of the clients: what they are known by, the share, its result, and that of the others.
    Share { by: String, share: String, result: String, others: String },
}

const MOST_ROWS: usize = 64;

/// The `map`s and `split_clients` that can be said in routes.
pub fn choice(directive: &Directive) -> Result<(String, Choice), &'static str> {
    let [source, target] = directive.arguments() else { return Err("no counterpart in an import") };
    let target = target.trim_start_matches('$').to_owned();
    let mut rows: Vec<(String, String)> = Vec::new();
    for row in directive.inside() {
        match &row.words[..] {
            [key, value] if !matches!(&**key, "include") => rows.push((key.clone(), value.clone())),
            _ => return Err("a table with flags or files"),
        }
    }
    if directive.name() == "split_clients" {
        return match &rows[..] {
            [(share, result), (star, others)] if star == "*" && share.ends_with('%') => Ok((
                target,
                Choice::Share {
                    by: source.clone(),
                    share: share.clone(),
                    result: result.clone(),
                    others: others.clone(),
                },
            )),
            _ => Err("more than two shares"),
        };
    }
    let source = source.trim_start_matches('$').trim_matches(['{', '}']);
    let by = [("http_", ImportedSource::Header), ("cookie_", ImportedSource::Cookie), ("arg_", ImportedSource::Query)];
    let (table, name) = by
        .into_iter()
        .find_map(|(prefix, table)| Some((table, source.strip_prefix(prefix)?.to_owned())))
        .ok_or("a table by something else than a header, a cookie or a query value")?;
    let name = if table == ImportedSource::Header { name.replace('_', "-") } else { name };
    let default = rows.iter().find(|(key, _)| key == "default").map(|(_, value)| value.clone());
    rows.retain(|(key, _)| key != "default");
    if rows.len() > MOST_ROWS {
        return Err("a table of more than 64 rows");
    }
    if rows.iter().any(|(key, _)| key.starts_with('~') || key.is_empty()) {
        return Err("a table with regular expressions or with what is missing");
    }
    for (key, _) in &mut rows {
        *key = key.trim_start_matches('\\').to_owned();
    }
    Ok((target, Choice::By { table, name, rows, default }))
}

pub type Choices = BTreeMap<String, Choice>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_replaces_the_path_is_what_nginx_sends() {
        let prefix = |text: &str| Pattern::Prefix { text: text.to_owned(), final_one: false };
        for (pattern, uri, expected) in [
            (prefix("/a/"), "/", Ok("/{rest}")),
            (prefix("/a/"), "/b/", Ok("/b/{rest}")),
            (prefix("/a"), "/b", Ok("/b/{rest}")),
            (prefix("/a/"), "/b", Err(())),
            (Pattern::Exact("/a".to_owned()), "/b", Ok("/b")),
            (prefix("/a/"), "/$x/", Err(())),
        ] {
            assert_eq!(rewritten(&pattern, uri).map_err(|_| ()), expected.map(str::to_owned), "{pattern:?} {uri}");
        }
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for (text, expected) in [
            ("^/a/(.*)$ /b/$1 break", Some("/b/")),
            ("^/a/(.*) /$1 break", Some("/")),
            ("^/a/(.*)$ /b/$1 last", None),
            ("^/a/x(.*)$ /b/$1 break", None),
            ("^/a/(.*)$ /b?x=$1 break", None),
        ] {
            assert_eq!(rewrite(&prefix("/a/"), &words(text)).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn targets_are_names_addresses_and_sockets() {
        for (url, authority, https, uri) in [
            ("http://app", "app", false, None),
            ("https://h:8443/x/", "h:8443", true, Some("/x/")),
            ("http://unix:/run/app.sock", "unix:/run/app.sock", false, None),
            ("http://unix:/run/app.sock:/x", "unix:/run/app.sock", false, Some("/x")),
        ] {
            let expected = ProxyTarget { authority: authority.to_owned(), https, uri: uri.map(str::to_owned) };
            assert_eq!(parse(url), Some(expected), "{url}");
        }
        assert_eq!(parse("app"), None);
    }
}
