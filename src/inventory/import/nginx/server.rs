//! `server` blocks: their names become hosts, their locations routes.

use std::collections::{BTreeMap, BTreeSet};

use super::World;
use super::location::{self, Pattern};
use super::precedence;
use super::syntax::Directive;
use super::target::{self, Choice, ProxyTarget};
use crate::inventory::import::{Imported, ImportedCase, ImportedRoute, ImportedService, ImportedSource};
use crate::inventory::names::route_name;

/// Directives of a server or a location about which nothing need be said: what they do is done here, too, or is not about
/// routes.
const TAKEN: &[&str] =
    &["listen", "server_name", "location", "access_log", "error_log", "proxy_http_version", "internal"];
/// Headers that are sent here without being asked for.
const SENT: &[&str] = &[
    "host",
    "connection",
    "upgrade",
    "x-real-ip",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-request-id",
];

pub struct ServerBlock<'a> {
    place: &'a str,
    directives: &'a [Directive],
    names: Vec<&'a str>,
    /// Where it listens, without its options; a server that says nothing does so at 80.
    listens: BTreeSet<&'a str>,
    is_default: bool,
    locations: Vec<Location<'a>>,
}

struct Location<'a> {
    pattern: Option<Pattern>,
    directive: &'a Directive,
}

impl<'a> ServerBlock<'a> {
    pub fn of(directives: &'a [Directive], place: &'a str) -> Self {
        let named = |name: &'static str| directives.iter().filter(move |directive| directive.name() == name);
        let mut locations = Vec::new();
        gather(directives, &mut locations);
        let mut listens: BTreeSet<&str> =
            named("listen").filter_map(|listen| listen.arguments().first()).map(|at| port_of(at)).collect();
        if listens.is_empty() {
            listens.insert("80");
        }
        Self {
            place,
            directives,
            listens,
            names: named("server_name").flat_map(Directive::arguments).map(String::as_str).collect(),
            is_default: named("listen")
                .any(|listen| listen.arguments().iter().any(|word| word == "default_server" || word == "default")),
            locations,
        }
    }

    /// The Host that the server's locations inherit.
    fn host_header(&self) -> Option<&'a str> {
        host_header(self.directives)
    }
}

/// The port of a `listen`: `443`, `[::]:443` and `0.0.0.0:443` are one.
fn port_of(listen: &str) -> &str {
    let port = listen.rsplit(':').next().unwrap_or(listen);
    let is_port = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match port {
        port if is_port(port) => port,
        _ if listen.starts_with("unix:") => listen,
        _ => "80",
    }
}

/// Routes know no ports: servers of one name that differ in theirs become one host.
fn say_ports(servers: &[&ServerBlock<'_>], imported: &mut Imported) {
    let mut known: BTreeMap<&str, Vec<&BTreeSet<&str>>> = BTreeMap::new();
    for server in servers {
        let names: BTreeSet<&str> = server.names.iter().copied().collect();
        for name in names {
            known.entry(name).or_default().push(&server.listens);
        }
    }
    let differ = |all: &Vec<&BTreeSet<&str>>| all.iter().any(|listens| Some(listens) != all.first());
    for (name, all) in known.into_iter().filter(|(_, all)| differ(all)) {
        let ports: BTreeSet<&str> = all.into_iter().flatten().copied().collect();
        let ports: Vec<&str> = ports.into_iter().collect();
        imported.note(format!(
            "server_name {name}: its servers differ by port ({}), routes do not: what they take becomes one",
            ports.join(", ")
        ));
    }
}

/// Locations within locations are asked within them alone; their patterns say so by themselves.
fn gather<'a>(directives: &'a [Directive], found: &mut Vec<Location<'a>>) {
    for directive in directives.iter().filter(|directive| directive.name() == "location") {
        found.push(Location { pattern: location::pattern(directive.arguments()), directive });
        gather(directive.inside(), found);
    }
}

fn host_header(directives: &[Directive]) -> Option<&str> {
    directives.iter().find_map(|directive| match &directive.words[..] {
        [set, name, value] if set == "proxy_set_header" && name.eq_ignore_ascii_case("host") => Some(&**value),
        _ => None,
    })
}

pub fn import(servers: &[ServerBlock<'_>], world: &mut World<'_>, imported: &mut Imported) {
    let with_locations: Vec<&ServerBlock<'_>> = servers.iter().filter(|server| !server.locations.is_empty()).collect();
    for server in servers.iter().filter(|server| server.locations.is_empty()) {
        let answers = server.directives.iter().any(|directive| directive.name() == "return");
        let why = if answers { "a server that answers by itself" } else { "a server without locations" };
        imported.skip(format!("{}: server {}", server.place, server.names.join(" ")), why);
    }
    say_ports(&with_locations, imported);
    let default = with_locations.iter().position(|server| server.is_default).unwrap_or(0);
    if let Some(server) = with_locations.get(default) {
        world.monolith = monolith(server);
        match &world.monolith {
            Some(address) => imported.monolith = Some(service_of(address, world, imported)),
            None => imported.note(
                "no location `/` of the default server passes requests on: `--monolith` says where the monolith is",
            ),
        }
    }
    for (at, server) in with_locations.iter().enumerate() {
        let hosts = if at == default { vec![None] } else { hosts(server, imported) };
        for host in &hosts {
            server_routes(server, host.as_deref(), host == &hosts[0], world, imported);
        }
    }
    let elsewhere = imported.routes.iter().filter(|route| route.service.is_some()).count();
    if elsewhere > 0 {
        imported.note(format!(
            "{elsewhere} routes go to other upstreams than `/` in nginx. Here all stages are `monolith`: right while nginx is the monolith (`--monolith`); in nginx's place, make them `migrated`"
        ));
    }
}

fn monolith(server: &ServerBlock<'_>) -> Option<(String, bool)> {
    let root = server
        .locations
        .iter()
        .find(|location| matches!(&location.pattern, Some(Pattern::Prefix { text, .. }) if text == "/"))?;
    let pass = root.directive.inside().iter().find(|directive| directive.name() == "proxy_pass")?;
    let target = target::parse(pass.arguments().first()?)?;
    (!target.authority.contains('$')).then_some((target.authority, target.https))
}

/// `.example.com` is the name and what is below it. A name that is an expression is said.
fn hosts(server: &ServerBlock<'_>, imported: &mut Imported) -> Vec<Option<String>> {
    let mut hosts = Vec::new();
    for name in &server.names {
        match name.strip_prefix('.') {
            Some(apex) => hosts.extend([Some(apex.to_owned()), Some(format!("*{name}"))]),
            None if name.starts_with('~') || name.ends_with('*') => {
                imported
                    .skip(format!("{}: server_name {name}", server.place), "a host that is no name and no `*.name`");
            }
            None if name.is_empty() || *name == "_" => {}
            None => hosts.push(Some((*name).to_owned())),
        }
    }
    if hosts.is_empty() {
        imported.skip(format!("{}: server", server.place), "a further server without a name: another address or port");
    }
    hosts
}

/// The routes of one server under one of its names; what is left out is said for the first of them.
fn server_routes(
    server: &ServerBlock<'_>,
    host: Option<&str>,
    first: bool,
    world: &mut World<'_>,
    imported: &mut Imported,
) {
    let mut told = Imported::default();
    for directive in server.directives.iter().filter(|directive| !is_taken(directive)) {
        told.skip(directive.told(), "no counterpart in an import");
    }
    let mut templates = vec![Vec::new(); server.locations.len()];
    for (location, templates) in server.locations.iter().zip(&mut templates) {
        *templates = location_routes(location, server, host, world, &mut told, imported);
    }
    cases(server, host, &templates, imported);
    if first {
        imported.skipped.append(&mut told.skipped);
        imported.notes.append(&mut told.notes);
    }
}

fn cases(server: &ServerBlock<'_>, host: Option<&str>, templates: &[Vec<String>], imported: &mut Imported) {
    let known: Vec<&Location<'_>> = server.locations.iter().filter(|location| location.pattern.is_some()).collect();
    let patterns: Vec<&Pattern> = known.iter().filter_map(|location| location.pattern.as_ref()).collect();
    let all: Vec<String> = templates.iter().flatten().cloned().collect();
    for path in precedence::paths(&all) {
        // That a prefix takes its path without the last slash here is said already.
        let without_slash = |pattern: &&Pattern| matches!(pattern, Pattern::Prefix { text, .. } if text.strip_suffix('/') == Some(&*path));
        if patterns.iter().any(without_slash) {
            continue;
        }
        let Some(at) = location::chosen(&patterns, &path) else { continue };
        let location = known[at].directive;
        let own = server.locations.iter().position(|one| std::ptr::eq(one.directive, location));
        let templates = own.map_or_else(Vec::new, |own| templates[own].clone());
        imported.cases.push(ImportedCase { host: host.map(str::to_owned), path, location: location.told(), templates });
    }
}

fn is_taken(directive: &Directive) -> bool {
    TAKEN.contains(&directive.name())
        || matches!(&directive.words[..], [set, name, value] if set == "proxy_set_header"
            && SENT.contains(&&*name.to_ascii_lowercase())
            && (value.starts_with('$') || value.is_empty() || !name.eq_ignore_ascii_case("host")))
        || matches!(&directive.words[..], [redirect, how] if redirect == "proxy_redirect" && matches!(&**how, "off" | "default"))
}

/// Adds the routes of a location; gives their templates.
fn location_routes(
    location: &Location<'_>,
    server: &ServerBlock<'_>,
    host: Option<&str>,
    world: &mut World<'_>,
    told: &mut Imported,
    imported: &mut Imported,
) -> Vec<String> {
    let directive = location.directive;
    let inside = directive.inside();
    let Some(pattern) = &location.pattern else {
        told.skip(directive.told(), "no pattern of a location");
        return Vec::new();
    };
    if inside.iter().any(|directive| directive.name() == "internal") {
        told.skip(directive.told(), "an internal location: clients cannot ask for it");
        return Vec::new();
    }
    let templates = match location::templates(pattern) {
        Ok(templates) => templates,
        Err(why) => {
            told.skip(directive.told(), why);
            return Vec::new();
        }
    };
    if let Some(note) = templates.note {
        told.note(format!("{}: {note}", directive.told()));
    }
    let mut route = ImportedRoute { host: host.map(str::to_owned), ..ImportedRoute::default() };
    route.comments.push(directive.told());
    let mut variants = Vec::new();
    let mut replaced = None;
    for inner in inside {
        match (inner.name(), inner.arguments()) {
            ("rewrite", arguments) if target::rewrite(pattern, arguments).is_some() => {
                replaced = target::rewrite(pattern, arguments);
            }
            ("proxy_pass", [url]) => variants = targets(url, inner, world, told),
            ("proxy_set_header", [name, value]) if name.eq_ignore_ascii_case("host") && !value.contains('$') => {}
            (
                "return" | "root" | "alias" | "try_files" | "index" | "fastcgi_pass" | "uwsgi_pass" | "scgi_pass"
                | "grpc_pass",
                _,
            ) => {
                told.skip(inner.told(), "the path is taken, how nginx answers it is not");
            }
            _ if is_taken(inner) => {}
            _ => told.skip(inner.told(), "no counterpart in an import"),
        }
    }
    if variants.is_empty() {
        variants.push(Variant::default());
    }
    let header = host_header(inside).or_else(|| server.host_header()).filter(|value| !value.contains('$'));
    for variant in variants {
        let mut route = route.clone();
        route.condition = variant.condition;
        route.comments.extend(variant.comment);
        if let Some(target) = variant.target {
            let uri = replaced.as_ref().or(target.uri.as_ref());
            match uri.map(|uri| target::rewritten(pattern, uri)).transpose() {
                Ok(path) => route.rewrite_path = path.filter(|path| !is_same(path, pattern)),
                Err(why) => {
                    told.skip(directive.told(), why);
                    return Vec::new();
                }
            }
            let address = (target.authority.clone(), target.https);
            let is_monolith = world.monolith.as_ref() == Some(&address);
            if is_monolith && route.rewrite_path.is_some() {
                let comment = "the monolith gets paths as clients send them: its own address is a service for this one";
                route.comments.push(comment.to_owned());
            }
            if !is_monolith || route.rewrite_path.is_some() {
                route.service = Some(service_name(&address, world, imported));
                route.rewrite_host = header.map(str::to_owned);
            }
        }
        for path in &templates.paths {
            // A path that goes to the monolith without a route needs none.
            if path == "/{*rest}" && host.is_none() && route.service.is_none() && route.condition.is_none() {
                continue;
            }
            imported.add(ImportedRoute { path: path.clone(), ..route.clone() });
        }
    }
    templates.paths
}

/// Whether a rewrite gives the path that came.
fn is_same(path: &str, pattern: &Pattern) -> bool {
    match pattern {
        Pattern::Exact(text) => text == path,
        Pattern::Prefix { text, .. } => format!("{}/{{rest}}", text.trim_end_matches('/')) == path,
        _ => false,
    }
}

#[derive(Default)]
struct Variant {
    target: Option<ProxyTarget>,
    condition: Option<(ImportedSource, String, String)>,
    comment: Option<String>,
}

/// One target, or those that a variable chooses among.
fn targets(url: &str, directive: &Directive, world: &World<'_>, told: &mut Imported) -> Vec<Variant> {
    let Some(target) = target::parse(url) else {
        told.skip(directive.told(), "no address of HTTP");
        return Vec::new();
    };
    let variable = target.authority.strip_prefix('$').map(|name| name.trim_matches(['{', '}']));
    let to = |value: &str| Some(ProxyTarget { authority: value.to_owned(), ..target.clone() });
    match variable.and_then(|name| world.choices.get(name)) {
        None if target.authority.contains('$') => {
            told.skip(directive.told(), "a target made of variables");
            Vec::new()
        }
        None => vec![Variant { target: Some(target), ..Variant::default() }],
        Some(Choice::By { table, name, rows, default }) => {
            let rows = rows.iter().map(|(value, result)| Variant {
                target: to(result),
                condition: Some((*table, name.clone(), value.clone())),
                comment: None,
            });
            let default = default.as_deref().map(|value| Variant { target: to(value), ..Variant::default() });
            rows.chain(default).collect()
        }
        Some(Choice::Share { by, share, result, others }) => {
            if world.monolith.as_ref().is_none_or(|(authority, _)| authority != others) {
                told.skip(directive.told(), "shares of two services");
                return Vec::new();
            }
            let comment = format!("nginx: {share} of {by}: stage = \"canary\", weight = \"{share}\"");
            vec![Variant { target: to(result), condition: None, comment: Some(comment) }]
        }
    }
}

fn service_of(address: &(String, bool), world: &World<'_>, imported: &mut Imported) -> ImportedService {
    let target = ProxyTarget { authority: address.0.clone(), https: address.1, uri: None };
    match world.upstreams.get(&*address.0) {
        Some(upstream) => {
            let mut left = Vec::new();
            let mut service = target::service(upstream, &mut left);
            for (what, why) in left {
                imported.skip(what, why);
            }
            service.https = address.1;
            service
        }
        None => target::single(&target),
    }
}

fn service_name(address: &(String, bool), world: &mut World<'_>, imported: &mut Imported) -> String {
    if let Some(name) = world.services.get(address) {
        return name.clone();
    }
    let taken: BTreeSet<&String> = world.services.values().collect();
    let stem = match &*route_name(&address.0) {
        reserved @ ("monolith" | "unmatched" | "none") => format!("{reserved}-service"),
        name => name.to_owned(),
    };
    let mut name = stem.clone();
    let mut number = 2;
    while taken.contains(&name) {
        name = format!("{stem}-{number}");
        number += 1;
    }
    let service = ImportedService { name: name.clone(), ..service_of(address, world, imported) };
    imported.services.push(service);
    world.services.insert(address.clone(), name.clone());
    name
}
