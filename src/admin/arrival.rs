//! Where a request to the admin listener comes from: the address, whether by https, and which program sent it.

use std::net::IpAddr;

use http::HeaderMap;

use super::Parts;

fn field<'a>(fields: &'a HeaderMap, name: &str) -> Option<&'a str> {
    fields.get(name).and_then(|value| value.to_str().ok())
}

fn is_trusted(parts: &Parts, peer: Option<IpAddr>) -> bool {
    let generation = parts.app.in_force.load();
    peer.is_some_and(|peer| generation.snapshot.server.trusted.iter().any(|network| network.contains(peer)))
}

/// A peer in `trusted` says so; another peer is not believed.
pub fn came_by_https(parts: &Parts, peer: Option<IpAddr>, fields: &HeaderMap) -> bool {
    is_trusted(parts, peer)
        && field(fields, "x-forwarded-proto").is_some_and(|proto| proto.trim().eq_ignore_ascii_case("https"))
}

/// Where the person sits: behind a trusted proxy what that says, else the peer.
pub fn address(parts: &Parts, peer: Option<IpAddr>, fields: &HeaderMap) -> Option<IpAddr> {
    let said = field(fields, "x-forwarded-for").and_then(|list| list.rsplit(',').next()?.trim().parse().ok());
    said.filter(|_| is_trusted(parts, peer)).or(peer)
}

/// The journal's words for it: ` from 10.0.0.7 (Firefox)`.
pub fn came_from(parts: &Parts, peer: Option<IpAddr>, fields: &HeaderMap) -> String {
    let address = address(parts, peer, fields).map(|address| format!(" from {address}")).unwrap_or_default();
    format!("{address} ({})", program(field(fields, "user-agent").unwrap_or("")))
}

/// Whether it was sent by the command line, as it says itself.
pub fn is_by_command_line(fields: &HeaderMap) -> bool {
    field(fields, "user-agent").is_some_and(|agent| program(agent) == "multilith")
}

/// A class, not a version: what people mean when they say what they used.
fn program(agent: &str) -> &'static str {
    let known = [
        ("multilith/", "multilith"),
        ("Firefox/", "Firefox"),
        ("Edg/", "Edge"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
        ("python", "Python"),
    ];
    known.iter().find(|(word, _)| agent.contains(word)).map_or("another program", |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_named_by_its_class() {
        for (agent, class) in [
            (crate::client::OUR_AGENT, "multilith"),
            ("Mozilla/5.0 (X11) Gecko/20100101 Firefox/140.0", "Firefox"),
            ("curl/8.5.0", "curl"),
            ("", "another program"),
        ] {
            assert_eq!(program(agent), class, "{agent}");
        }
    }
}
