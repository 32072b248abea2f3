//! The way back of an address that a service names: what its client must ask for to get there.

use super::generation::Generation;
use crate::compile::Route;
use crate::endpoint::UpstreamId;
use crate::message::Name;
use crate::route::{Captures, Found, Matching, PathRewrite, Template, normalise_bytes};

/// The headers that hold an address; `Refresh` has it behind a number of seconds.
pub const NAMES: [Name; 3] = [Name::Location, Name::ContentLocation, Name::Refresh];

/// The request that was answered, and the upstream that answered it.
pub struct AnsweredRequest<'a> {
    pub generation: &'a Generation,
    pub found: Option<Found>,
    pub from: UpstreamId,
    /// The path that the client asked for, byte for byte.
    pub path: &'a [u8],
    /// The host that it asked.
    pub host: &'a str,
    /// The endpoint, as the file or a registry names it and as it was resolved.
    pub endpoint: [&'a str; 2],
}

/// The input for reading one answer's addresses.
pub struct Reverse<'a> {
    /// Hosts under which only the proxy knows the service.
    internal: Vec<&'a str>,
    /// The host that the client asked.
    public: &'a str,
    matching: Matching,
    /// The request's own template, the path that it took, and the rewrite between the client and the service.
    own: Option<(&'a Template, String, Option<&'a PathRewrite>)>,
    /// Rewrites of other routes of the same service under the same host.
    others: Vec<(&'a [Template], &'a PathRewrite)>,
}

impl<'a> Reverse<'a> {
    pub fn of(route: &'a Route, asked: &'a AnsweredRequest<'a>) -> Self {
        let snapshot = &asked.generation.snapshot;
        let rewritten = route.rewrite.host.as_ref().and_then(|host| host.to_str().ok());
        let upstream = snapshot.upstreams.get(asked.from.index()).and_then(|spec| spec.host.as_deref());
        let path = normalise_bytes(asked.path, &snapshot.matching).ok();
        let own = asked.found.map(|found| snapshot.table.template(found)).zip(path);
        let others = asked.generation.rewriting.get(asked.from.index()).into_iter().flatten();
        let others = others.filter(|other| other.name != route.name && other.rule.host == route.rule.host);
        Self {
            internal: rewritten.into_iter().chain(upstream).chain(asked.endpoint).collect(),
            public: asked.host,
            matching: snapshot.matching,
            own: own.map(|(template, path)| (template, path.as_str().to_owned(), route.rewrite.path.as_ref())),
            others: others.filter_map(|other| Some((&*other.rule.paths, other.rewrite.path.as_ref()?))).collect(),
        }
    }

    /// For an upstream that is asked under a host of its own: its paths are the client's.
    pub fn of_host(host: &'a str, asked: &'a AnsweredRequest<'a>) -> Self {
        Self {
            internal: std::iter::once(host).chain(asked.endpoint).collect(),
            public: asked.host,
            matching: asked.generation.snapshot.matching,
            own: None,
            others: Vec::new(),
        }
    }

    /// The address as the client must see it; `None`: as it is.
    pub fn back(&self, address: &str) -> Option<String> {
        let (before, rest) = split_authority(address);
        let (origin, internal) = match before {
            None => ("", false),
            Some((scheme, authority)) if self.is_internal(authority) => {
                ("", !scheme.is_empty() || !authority.is_empty())
            }
            Some((_, authority)) if same_host(authority, self.public) => {
                (&address[..address.len() - rest.len()], false)
            }
            // Another host's address is none of ours.
            Some(_) => return None,
        };
        let end = rest.find(['?', '#']).unwrap_or(rest.len());
        let (path, tail) = rest.split_at(end);
        let absolute = match path {
            "" if before.is_some() => "/".to_owned(),
            // The same page, another query or another place in it: relative to what the client asked for.
            "" => return None,
            _ if path.starts_with('/') => path.to_owned(),
            // A scheme without `//`, as in `mailto:`.
            _ if path.split('/').next().is_some_and(|first| first.contains(':')) => return None,
            _ => self.resolved(path)?,
        };
        let back = self.path_back(&absolute);
        // An absolute path keeps the scheme, host and port that the client used, whatever stands in front of us.
        match back {
            Some(path) if !internal => Some(format!("{origin}{path}{tail}")),
            None if !internal => None,
            path => Some(format!("{}{tail}", with_one_slash(path.as_deref().unwrap_or(&absolute)))),
        }
    }

    /// The same for `5; url=…`, with or without quotes around the address.
    pub fn refresh(&self, value: &str) -> Option<String> {
        let at = value.to_ascii_lowercase().find("url=")? + 4;
        let (before, url) = value.split_at(at);
        let bare = url.trim().trim_matches(['"', '\'']);
        let changed = self.back(bare)?;
        Some(format!("{before}{}", url.replacen(bare, &changed, 1)))
    }

    fn is_internal(&self, authority: &str) -> bool {
        let name = authority.rsplit_once(':').map_or(authority, |(name, _)| name);
        self.internal.iter().any(|host| same_host(authority, host) || name.eq_ignore_ascii_case(host))
    }

    /// A relative address stands beside what the service was asked for. Without a rewrite that is what the client asked for.
    fn resolved(&self, relative: &str) -> Option<String> {
        let (template, path, rewrite) = self.own.as_ref()?;
        let asked = (*rewrite)?.expand(&template.captures(path));
        let folder = asked.rfind('/').map_or("/", |slash| &asked[..=slash]);
        Some(format!("{folder}{relative}"))
    }

    fn path_back(&self, path: &str) -> Option<String> {
        let normal = normalise_bytes(path.as_bytes(), &self.matching).ok()?;
        let normal = normal.as_str();
        if let Some((template, asked, rewrite)) = &self.own {
            let captures = template.captures(asked);
            match rewrite {
                Some(rewrite) => {
                    if let Some(back) = rewrite.reverse(template, normal, Some(&captures), self.matching) {
                        return Some(back);
                    }
                }
                // The service has the client's paths, and this is one of them.
                None if template.takes(normal, self.matching) => return None,
                None => {}
            }
        }
        self.others.iter().find_map(|(templates, rewrite)| {
            templates
                .iter()
                .find_map(|template| rewrite.reverse(template, normal, None::<&Captures<'_>>, self.matching))
        })
    }
}

/// Without its host, `//evil.example/x` would name another one; browsers read `\\` there as `/`.
fn with_one_slash(path: &str) -> String {
    format!("/{}", path.trim_start_matches(['/', '\\']))
}

/// Scheme and authority, if the address has them, and what follows.
fn split_authority(address: &str) -> (Option<(&str, &str)>, &str) {
    let Some((scheme, rest)) = address.split_once("//") else { return (None, address) };
    let is_scheme = scheme.is_empty() || scheme.eq_ignore_ascii_case("http:") || scheme.eq_ignore_ascii_case("https:");
    if !is_scheme {
        return (None, address);
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    (Some((scheme, authority)), rest)
}

/// Without a port that says nothing.
fn same_host(one: &str, other: &str) -> bool {
    let bare = |host: &str| {
        host.strip_suffix(":80").or_else(|| host.strip_suffix(":443")).unwrap_or(host).to_ascii_lowercase()
    };
    bare(one) == bare(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(rewrite: Option<&str>, table: &[(&str, Option<&str>)]) {
        let template = Template::parse("/api/users/{id}").expect("a template");
        let create = [Template::parse("/shop/{*rest}").expect("a template")];
        let own = rewrite.map(|text| PathRewrite::parse(text, std::slice::from_ref(&template)).expect("a rewrite"));
        let other = PathRewrite::parse("/store/{rest}", &create).expect("a rewrite");
        let reverse = Reverse {
            internal: vec!["users.internal", "backend:7001", "127.0.0.1:7001"],
            public: "shop.example:8080",
            matching: Matching::default(),
            own: Some((&template, "/api/users/3".to_owned(), own.as_ref())),
            others: vec![(&create, &other)],
        };
        for (address, expected) in table {
            assert_eq!(reverse.back(address).as_deref(), *expected, "{address} with {rewrite:?}");
        }
    }

    #[test]
    fn a_service_on_another_host_is_found_under_the_clients() {
        told(
            None,
            &[
                ("http://users.internal/api/users/7", Some("/api/users/7")),
                ("http://users.internal:81/x?y=1#z", Some("/x?y=1#z")),
                ("https://USERS.internal", Some("/")),
                ("http://users.internal//evil.example/x", Some("/evil.example/x")),
                ("http://users.internal/\\evil.example", Some("/evil.example")),
                ("http://backend:7001/login", Some("/login")),
                ("//127.0.0.1:7001/login", Some("/login")),
                ("http://127.0.0.1:7002/login", None),
                ("http://elsewhere.example/api/users/7", None),
                ("http://shop.example:8080/api/users/7", None),
                ("/api/users/7", None),
                ("7", None),
                ("mailto:someone@users.internal", None),
                ("http://users.internal/store/cart", Some("/shop/cart")),
                ("", None),
            ],
        );
    }

    #[test]
    fn a_rewritten_path_goes_back_through_the_rewrite() {
        told(
            Some("/v2/people/{id}"),
            &[
                ("/v2/people/7", Some("/api/users/7")),
                ("/v2/people/7?tab=1#top", Some("/api/users/7?tab=1#top")),
                ("http://users.internal/v2/people/7", Some("/api/users/7")),
                ("http://shop.example:8080/v2/people/7", Some("http://shop.example:8080/api/users/7")),
                ("http://elsewhere.example/v2/people/7", None),
                ("8", Some("/api/users/8")),
                ("../people/./8", Some("/api/users/8")),
                ("?page=2", None),
                ("#top", None),
                ("/store/cart", Some("/shop/cart")),
                ("/login", None),
                ("http://users.internal/login", Some("/login")),
            ],
        );
    }

    #[test]
    fn a_refresh_keeps_its_seconds_and_quotes() {
        let template = Template::parse("/a/{id}").expect("a template");
        let rewrite = PathRewrite::parse("/b/{id}", std::slice::from_ref(&template)).expect("a rewrite");
        let reverse = Reverse {
            internal: vec!["users.internal"],
            public: "shop.example",
            matching: Matching::default(),
            own: Some((&template, "/a/1".to_owned(), Some(&rewrite))),
            others: Vec::new(),
        };
        let table = [
            ("5; url=/b/2", Some("5; url=/a/2")),
            ("0;URL=\"http://users.internal/b/2\"", Some("0;URL=\"/a/2\"")),
            ("0; url='/b/2'", Some("0; url='/a/2'")),
            ("5", None),
            ("5; url=http://elsewhere.example/b/2", None),
        ];
        for (value, expected) in table {
            assert_eq!(reverse.refresh(value).as_deref(), expected, "{value}");
        }
    }
}
