//! Where an upstream's endpoints come from: exactly one of `url`, `endpoints` and `discover`.

use std::path::PathBuf;

use super::super::address::{AddressError, host_port, without_scheme};
use super::super::draft::Draft;
use super::super::url::upstream_url;
use super::containers;
use super::parts::Parts;
use super::registry_url::{etcd_members, registry_url};
use crate::config::{self, Field, Given, Item};
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::endpoint::{Address, Source};

/// The source; with an https URL also the host that its certificate must name.
pub(super) fn compile<'f>(parts: &Parts<'f>, draft: &mut Draft<'_>) -> (Source, Option<&'f str>) {
    let nothing = (Source::Fixed(Vec::new()), None);
    let given: Vec<(&str, Span)> = [
        ("url", parts.url.key()),
        ("endpoints", parts.endpoints.key()),
        ("discover", parts.discover.given().map(|given| given.key.clone())),
    ]
    .into_iter()
    .filter_map(|(name, key)| Some((name, key?)))
    .collect();
    match given.as_slice() {
        [] if parts.has_no_source() => missing(parts, draft),
        [(first, before), (second, key), ..] => several(parts, first, before, second, key, draft),
        _ => {}
    }
    if let Some(url) = parts.url.given() {
        return from_url(url, draft).unwrap_or(nothing);
    }
    if let Some(endpoints) = parts.endpoints.given() {
        return (Source::Fixed(from_endpoints(endpoints, draft)), None);
    }
    match parts.discover.given().and_then(|discover| from_registry(discover, draft)) {
        Some(source) => (source, None),
        None => nothing,
    }
}

fn missing(parts: &Parts<'_>, draft: &mut Draft<'_>) {
    draft.say(
        Code::UpstreamSource,
        parts.key.clone(),
        format!("`{}` does not say where its endpoints are", parts.name),
        "no address",
        "add one of `url = \"http://127.0.0.1:3000\"`, `endpoints = [\"10.0.0.5:7001\"]` and `discover.… = { … }`",
    );
}

fn several(parts: &Parts<'_>, first: &str, before: &Span, second: &str, key: &Span, draft: &mut Draft<'_>) {
    draft.push(
        Diagnostic::new(Code::UpstreamSource, format!("`{}` says twice where its endpoints are", parts.name))
            .at(key.clone())
            .label("and here")
            .related(before.clone(), "here")
            .help(format!("keep one of `{first}` and `{second}`")),
    );
}

fn from_url<'f>(url: &'f Given<String>, draft: &mut Draft<'_>) -> Option<(Source, Option<&'f str>)> {
    match upstream_url(&url.value) {
        Ok(read) => {
            let host = match &read.address {
                Address::Tcp { .. } if read.tls => Some(host_of(&url.value)),
                _ => None,
            };
            Some((Source::Fixed(vec![(read.address, 1)]), host))
        }
        Err((code, error)) => {
            let at = draft.part(url, error.part);
            let label = if code == Code::UrlWithPath { "remove this" } else { "not an upstream's URL" };
            draft.say(code, at, error.message, label, error.help);
            None
        }
    }
}

/// The host as it is written in a URL that could be read.
fn host_of(url: &str) -> &str {
    let authority = url.split("://").nth(1).unwrap_or("").split(['/', '?', '#']).next().unwrap_or("");
    match authority.strip_prefix('[') {
        Some(inner) => inner.split(']').next().unwrap_or(""),
        None => authority.split(':').next().unwrap_or(""),
    }
}

fn from_endpoints(given: &Given<Vec<Item<String>>>, draft: &mut Draft<'_>) -> Vec<(Address, u32)> {
    if given.value.is_empty() {
        draft.say(
            Code::UpstreamSource,
            given.span.clone(),
            "the list of endpoints is empty",
            "no address",
            "name at least one: `endpoints = [\"10.0.0.5:7001\"]`",
        );
    }
    let mut addresses: Vec<(Address, u32)> = Vec::new();
    for item in &given.value {
        let Some(address) = endpoint(item, draft) else { continue };
        if addresses.iter().any(|(known, _)| *known == address) {
            draft.say(
                Code::DuplicateValue,
                item.span.clone(),
                format!("the endpoint `{address}` is given twice"),
                "again",
                "remove one of the two",
            );
            continue;
        }
        addresses.push((address, 1));
    }
    addresses
}

fn endpoint(item: &Item<String>, draft: &mut Draft<'_>) -> Option<Address> {
    let text = &item.value;
    if let Some(path) = text.strip_prefix("unix:").filter(|path| path.starts_with('/')) {
        return Some(Address::Unix(PathBuf::from(path)));
    }
    let read =
        host_port(text, None).map(|read| Address::Tcp { host: read.host.to_ascii_lowercase().into(), port: read.port });
    match read {
        Ok(address) => Some(address),
        Err(error) => {
            let error = without_scheme(text).map_or(error, |url| AddressError {
                help: format!("{}; for TLS use `url` in place of `endpoints`", url.help),
                ..url
            });
            let at = draft.inside(&item.span, text, error.part);
            draft.say(Code::InvalidAddress, at, error.message, "not an address with a port", error.help);
            None
        }
    }
}

fn from_registry(given: &Given<config::Discover>, draft: &mut Draft<'_>) -> Option<Source> {
    let discover = &given.value;
    let mut found: Vec<Option<Source>> = Vec::new();
    if let Some(dns) = discover.dns.get() {
        found.push(
            dns.name
                .get()
                .zip(dns.port.get())
                .map(|(name, port)| Source::Dns { name: name.as_str().into(), port: *port }),
        );
    }
    if let Some(srv) = discover.srv.get() {
        found.push(srv.name.get().map(|name| Source::Srv { name: name.as_str().into() }));
    }
    if let Some(file) = discover.file.get() {
        found.push(file.path.get().map(|path| Source::File { path: path.clone() }));
    }
    if let Some(etcd) = discover.etcd.get() {
        found.push(from_etcd(etcd, draft));
    }
    if let Some(consul) = discover.consul.get() {
        found.push(from_consul(consul, draft));
    }
    if let Some(kubernetes) = discover.kubernetes.get() {
        found.push(containers::from_kubernetes(kubernetes, draft));
    }
    if let Some(docker) = discover.docker.get() {
        found.push(containers::from_docker(docker, draft));
    }
    let wrong = [
        matches!(discover.dns, Field::Wrong),
        matches!(discover.srv, Field::Wrong),
        matches!(discover.file, Field::Wrong),
        matches!(discover.etcd, Field::Wrong),
        matches!(discover.consul, Field::Wrong),
        matches!(discover.kubernetes, Field::Wrong),
        matches!(discover.docker, Field::Wrong),
    ];
    if found.len() != 1 && !wrong.contains(&true) {
        draft.say(
            Code::UpstreamSource,
            given.span.clone(),
            "`discover` needs exactly one registry",
            if found.is_empty() { "none" } else { "more than one" },
            "write one of `discover.dns`, `discover.srv`, `discover.file`, `discover.etcd`, `discover.consul`, `discover.kubernetes` and `discover.docker`",
        );
    }
    found.into_iter().next().flatten()
}

fn from_etcd(etcd: &config::Etcd, draft: &mut Draft<'_>) -> Option<Source> {
    let endpoints = etcd_members(etcd.endpoints.given()?, Code::UpstreamSource, draft);
    if let Some(prefix) = etcd.prefix.given().filter(|given| given.value.is_empty()) {
        let help = "write it like `prefix = \"/services/users/\"`";
        draft.say(Code::InvalidValue, prefix.span.clone(), "an empty prefix is every key of etcd", "empty", help);
    }
    Some(Source::Etcd { endpoints, prefix: etcd.prefix.get()?.as_str().into() })
}

fn from_consul(consul: &config::Consul, draft: &mut Draft<'_>) -> Option<Source> {
    let url = consul.url.given()?;
    registry_url(&url.value, &url.span, 8500, draft);
    Some(Source::Consul {
        url: url.value.as_str().into(),
        service: consul.service.get()?.as_str().into(),
        tag: consul.tag.get().map(|tag| tag.as_str().into()),
    })
}
