//! Headers at the edge: cookies, who is said to ask, and what belongs to one connection alone.
//!
//! An input is a byte of switches and lines `Name: value`.

use std::collections::BTreeSet;
use std::net::IpAddr;

use http::{HeaderName, Method, StatusCode, Version};
use multilith::compile::Network;
use multilith::guard::headers::{
    PeerFacts, ResponseContext, clean_response, client_address, receive, without_hop_by_hop,
};
use multilith::message::{Fields, Name, RequestHead, ResponseHead, digits, elements, is_value};
use multilith::route::Facts;

/// The peer, and the only one who is trusted when one is.
const PEER: &str = "10.0.0.9";
/// What a trusted proxy says of the client; it stands in no input by chance.
const CLIENT: &str = "203.0.113.77";

pub fn hold(input: &[u8]) {
    let Some((&switches, input)) = input.split_first() else { return };
    let lines: Vec<_> = input.split(|&byte| byte == b'\n').filter_map(line).take(100).collect();
    let peer: IpAddr = PEER.parse().expect("an address");
    let network = [Network { address: peer, prefix: 32 }];
    let trusted = if switches & 1 == 0 { &[][..] } else { &network[..] };
    let arrival = PeerFacts { peer, tls: switches & 2 != 0, subject: None, trusted, force: None, forwarded: false };
    let version = if switches & 4 == 0 { Version::HTTP_11 } else { Version::HTTP_10 };

    let sent = request(&lines, version);
    let mut kept = sent.clone();
    let received = receive(&mut kept, &arrival);
    assert_eq!(received.trusted, switches & 1 != 0);
    forwarding(&sent, &kept, &arrival);
    cookies(&sent.fields, &kept.fields);
    no_name_reads_like_ours(&kept.fields);
    well_formed(&kept);
    if trusted.is_empty() {
        let mut again = kept.clone();
        assert_eq!(receive(&mut again, &arrival), received);
        assert_eq!(list(&again.fields), list(&kept.fields), "cleaning twice");
    } else {
        only_the_trusted_are_believed(&lines, &network);
    }

    let mut copied = kept.clone();
    without_hop_by_hop(&mut copied.fields);
    for name in nominated(&kept.fields) {
        assert!(!copied.fields.has(&*name), "`Connection` names {}, and it goes on", name.escape_ascii());
    }
    for name in ["transfer-encoding", "keep-alive", "proxy-connection", "proxy-authorization", "http2-settings"] {
        assert!(!copied.fields.has(name), "{name} goes on");
    }
    assert!(copied.fields.all(Name::Te).all(|value| value == b"trailers"));
    let upgrade: Vec<_> = copied.fields.all(Name::Upgrade).collect();
    let connection: Vec<_> = copied.fields.all(Name::Connection).collect();
    if received.upgrade {
        assert_eq!(connection, [b"Upgrade"]);
        assert!(matches!(upgrade[..], [one] if one.eq_ignore_ascii_case(b"websocket")));
    } else {
        assert!(connection.is_empty() && upgrade.is_empty());
    }
    well_formed(&copied);
    answered(&lines, version);
}

/// Name, with its case, and value, if HTTP has such a field.
fn line(line: &[u8]) -> Option<(String, Vec<u8>)> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let name = std::str::from_utf8(&line[..colon]).ok()?;
    HeaderName::from_bytes(name.as_bytes()).ok()?;
    // The parser gives values without the space around them.
    let value = line[colon + 1..].trim_ascii();
    is_value(value).then(|| (name.to_owned(), value.to_vec()))
}

fn fields(lines: &[(String, Vec<u8>)]) -> Fields {
    let mut fields = Fields::new();
    for (name, value) in lines {
        fields.push_raw(name.as_bytes(), value);
    }
    fields
}

fn list(fields: &Fields) -> Vec<(Vec<u8>, Vec<u8>)> {
    fields.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}

fn request(lines: &[(String, Vec<u8>)], version: Version) -> RequestHead {
    let mut request = RequestHead::new(Method::GET, version, b"/a?b");
    for (name, value) in lines {
        request.fields.push_raw(name.as_bytes(), value);
    }
    request
}

/// Which client asks, how and for what is what the edge knows, with what a trusted peer has said before it.
fn forwarding(sent: &RequestHead, kept: &RequestHead, arrival: &PeerFacts<'_>) {
    let one = |name: Name| {
        let mut values = kept.fields.all(name);
        let first = values.next();
        assert!(values.next().is_none(), "{name:?} stands more than once");
        first
    };
    let host = sent.fields.get(Name::Host).filter(|host| !host.is_empty());
    let addresses = one(Name::XForwardedFor).expect("always written");
    let forwarded = one(Name::Forwarded);
    assert!(one(Name::XForwardedPort).is_some(), "always written");
    if arrival.trusted.is_empty() {
        assert_eq!(addresses, PEER.as_bytes());
        assert_eq!(forwarded, None);
        let proto: &[u8] = if arrival.tls { b"https" } else { b"http" };
        assert_eq!(one(Name::XForwardedProto), Some(proto));
        assert_eq!(one(Name::XForwardedHost), host);
        assert!(one(Name::XRealIp).is_none_or(|address| address == PEER.as_bytes()));
        let others = kept.fields.named().filter(|(name, text, _)| *name == Name::Other && begins(text, "x-forwarded-"));
        assert_eq!(others.count(), 0, "what the client says of itself goes on");
        return;
    }
    assert!(addresses.ends_with(PEER.as_bytes()), "{}", addresses.escape_ascii());
    for value in sent.fields.all(Name::XForwardedFor) {
        assert!(contains(addresses, value), "{} is lost", value.escape_ascii());
    }
    assert_eq!(forwarded.is_some(), sent.fields.has(Name::Forwarded));
    let Some(forwarded) = forwarded else { return };
    let element = format!("for={PEER}");
    assert!(contains(forwarded, element.as_bytes()), "{}", forwarded.escape_ascii());
    // Both families of fields name the same client.
    let peer: IpAddr = PEER.parse().expect("an address");
    let without = |name: Name| {
        let mut fields = kept.fields.clone();
        fields.remove(name);
        client_address(peer, &fields, arrival.trusted)
    };
    assert_eq!(without(Name::XForwardedFor), without(Name::Forwarded), "{}", forwarded.escape_ascii());
}

fn begins(text: &[u8], with: &str) -> bool {
    text.get(..with.len()).is_some_and(|head| head.eq_ignore_ascii_case(with.as_bytes()))
}

/// What a trusted proxy adds decides, whatever the client wrote before it, and whatever of the client's it quotes.
fn only_the_trusted_are_believed(lines: &[(String, Vec<u8>)], trusted: &[Network]) {
    let peer: IpAddr = PEER.parse().expect("an address");
    let client: IpAddr = CLIENT.parse().expect("an address");
    let sent = fields(lines);
    let found = client_address(peer, &sent, trusted);
    assert!(sent.has(Name::XForwardedFor) || sent.has(Name::Forwarded) || found == peer);

    for name in [Name::XForwardedFor, Name::Forwarded] {
        let own = if name == Name::Forwarded { format!("for={CLIENT};proto=https") } else { CLIENT.to_owned() };
        let mut before = sent.clone();
        if name == Name::Forwarded {
            // It would be asked first.
            before.remove(Name::XForwardedFor);
        }
        let mut after = before.clone();
        after.append(name, own.as_bytes());
        assert_eq!(client_address(peer, &after, trusted), client, "a line of its own: {after:?}");
        let values: Vec<_> = before.all(name).map(<[u8]>::to_vec).collect();
        if let Some((last, others)) = values.split_last() {
            let mut after = before.clone();
            after.remove(name);
            for value in others {
                after.append(name, value);
            }
            after.append(name, &[&last[..], b", ", own.as_bytes()].concat());
            assert_eq!(client_address(peer, &after, trusted), client, "at the end of the client's line: {after:?}");
        }
    }
    // A quoted string may hold anything (RFC 7239, section 4).
    for (_, value) in lines {
        let Ok(text) = std::str::from_utf8(value) else { continue };
        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
        for element in [
            format!("for={CLIENT};host=\"{quoted}\""),
            format!("host=\"{quoted}\";for={CLIENT}"),
            format!("by=_hidden;host=\"{quoted}\" ; For=\"{CLIENT}\";proto=http"),
        ] {
            let fields = Fields::from_iter([("forwarded", element.as_str())]);
            assert_eq!(client_address(peer, &fields, trusted), client, "{fields:?}");
        }
    }
}

/// One line of cookies goes on, and each cookie reads as before.
fn cookies(sent: &Fields, kept: &Fields) {
    assert!(kept.all(Name::Cookie).count() < 2, "crumbs go on");
    let mut names = BTreeSet::new();
    for line in sent.all(Name::Cookie) {
        for pair in line.split(|&byte| byte == b';') {
            let name = pair.split(|&byte| byte == b'=').next().unwrap_or_default();
            names.extend(std::str::from_utf8(name.trim_ascii()).ok().map(str::to_owned));
        }
    }
    for name in &names {
        assert_eq!(Facts::cookie_of(sent, name), Facts::cookie_of(kept, name), "the cookie {name:?}");
    }
}

/// Programs that take `_` for `-` read nothing that the edge has not written.
fn no_name_reads_like_ours(kept: &Fields) {
    let names = kept.iter().map(|(name, _)| String::from_utf8_lossy(name).to_ascii_lowercase());
    for name in names.filter(|name| name.contains('_')) {
        let read = name.replace('_', "-");
        let guarded = ["forwarded", "host", "content-length", "transfer-encoding", "connection", "x-real-ip", "te"];
        let families = ["x-forwarded-", "x-multilith-"];
        assert!(
            !guarded.contains(&read.as_str()) && !families.iter().any(|family| read.starts_with(family)),
            "{name} goes on"
        );
    }
    assert!(!kept.has(Name::Proxy));
    assert!(!kept.iter().any(|(name, _)| begins(name, "x-multilith-")));
}

/// What is written on the wire is read there as the same fields.
fn well_formed(request: &RequestHead) {
    let mut wire = Vec::new();
    request.write(&mut wire);
    let read = RequestHead::parse(&wire, false).unwrap_or_else(|_| panic!("a head: {}", wire.escape_ascii()));
    assert_eq!(list(&read.fields), list(&request.fields), "{}", wire.escape_ascii());
}

/// The names in `Connection` that a connection may call its own and that are not looked at by themselves.
fn nominated(fields: &Fields) -> Vec<Vec<u8>> {
    const OTHERS: [&str; 12] = [
        "host",
        "content-length",
        "content-type",
        "content-encoding",
        "cache-control",
        "set-cookie",
        "transfer-encoding",
        "close",
        "keep-alive",
        "connection",
        "te",
        "upgrade",
    ];
    let tokens = fields.all(Name::Connection).flat_map(elements).filter(|token| HeaderName::from_bytes(token).is_ok());
    tokens.map(<[u8]>::to_ascii_lowercase).filter(|name| !OTHERS.iter().any(|own| own.as_bytes() == name)).collect()
}

/// The same lines as a response's.
fn answered(lines: &[(String, Vec<u8>)], version: Version) {
    for status in [StatusCode::OK, StatusCode::SWITCHING_PROTOCOLS] {
        let mut response = ResponseHead::new(status);
        response.fields = fields(lines);
        let before = response.fields.clone();
        let passes = clean_response(&mut response, ResponseContext { version, upgrade: false });
        let lengths = lengths(&before);
        let one_length = lengths.len() < 2 && lengths.iter().all(Option::is_some);
        let refused = status == StatusCode::SWITCHING_PROTOCOLS || is_coded(&before) || !one_length;
        assert_eq!(passes.is_err(), refused, "{before:?}");
        if passes.is_err() {
            continue;
        }
        for name in nominated(&before) {
            let name = &*name;
            assert!(!response.fields.has(name), "`Connection` names {}", name.escape_ascii());
        }
        for name in ["connection", "transfer-encoding", "keep-alive", "proxy-connection", "upgrade", "te"] {
            assert!(!response.fields.has(name), "the client gets {name}");
        }
        let same = |name: Name| before.all(name).eq(response.fields.all(name));
        assert!([Name::SetCookie, Name::Host].into_iter().all(same), "lost");
        assert_eq!(
            response.fields.all(Name::ContentLength).filter_map(digits).collect::<Vec<_>>(),
            lengths.into_iter().flatten().collect::<Vec<_>>(),
            "another length"
        );
    }
}

/// A coding that would be lost.
fn is_coded(fields: &Fields) -> bool {
    let codings: Vec<_> =
        fields.all(Name::TransferEncoding).flat_map(elements).map(<[u8]>::to_ascii_lowercase).collect();
    !matches!(codings.iter().map(Vec::as_slice).collect::<Vec<_>>()[..], [] | [b"chunked" | b"identity"])
}

/// What is said of the length, each number once; `None` for what is none.
fn lengths(fields: &Fields) -> Vec<Option<u64>> {
    let mut all: Vec<_> = fields.all(Name::ContentLength).flat_map(elements).map(digits).collect();
    if fields.all(Name::ContentLength).any(|value| elements(value).next().is_none()) {
        all.push(None);
    }
    all.sort_unstable();
    all.dedup();
    all
}

fn contains(whole: &[u8], part: &[u8]) -> bool {
    part.is_empty() || whole.windows(part.len()).any(|window| window == part)
}
