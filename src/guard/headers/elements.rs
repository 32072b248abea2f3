//! The elements of `X-Forwarded-For` and `Forwarded`: one for each proxy that the request has passed.
//!
//! They are read from the right and in bytes: what is no text may stand left of what a proxy has added.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use crate::message::{Fields, Name};

/// One element, without the space around it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Element<'a> {
    /// Of `X-Forwarded-For`: an address alone.
    Address(&'a [u8]),
    /// Of `Forwarded`: pairs.
    Pairs(&'a [u8]),
}

impl<'a> Element<'a> {
    /// The `for` node: the client of the proxy that wrote the element, without quotes.
    pub(super) fn node(self) -> Option<&'a [u8]> {
        match self {
            Self::Address(text) => Some(text),
            Self::Pairs(pairs) => parameter(pairs, b"for"),
        }
    }

    /// `None`: the element has no node, or one without an address.
    pub(super) fn address(self) -> Option<IpAddr> {
        self.node().and_then(parse)
    }

    /// The value of a parameter of `Forwarded`, unquoted; an empty one says nothing.
    pub(super) fn parameter(self, name: &[u8]) -> Option<Cow<'a, [u8]>> {
        let Self::Pairs(pairs) = self else { return None };
        parameter(pairs, name).filter(|value| !value.is_empty()).map(unescaped)
    }
}

/// The elements of `X-Forwarded-For`, the last one first.
pub(super) fn addresses(fields: &Fields) -> impl Iterator<Item = Element<'_>> {
    from_the_right(fields, Name::XForwardedFor, false).map(Element::Address)
}

/// The elements of `Forwarded`, the last one first.
pub(super) fn forwarded(fields: &Fields) -> impl Iterator<Item = Element<'_>> {
    from_the_right(fields, Name::Forwarded, true).map(Element::Pairs)
}

/// An empty line is no element: it is not sent on either, and what is read here must be what the upstream reads.
fn from_the_right(fields: &Fields, name: Name, has_quotes: bool) -> impl Iterator<Item = &[u8]> {
    fields.all(name).rev().filter(|line| !line.is_empty()).flat_map(move |value| {
        let mut left = Some(value);
        std::iter::from_fn(move || {
            let (before, element) = split_last(left?, has_quotes);
            left = before;
            Some(element.trim_ascii())
        })
    })
}

/// The last element of a list, and what stands before its comma. A comma in a quoted string is none of the list's; as it
/// is read from the right, where the elements are well-formed, no quote that a client has left open reaches into them.
fn split_last(list: &[u8], has_quotes: bool) -> (Option<&[u8]>, &[u8]) {
    match bytes_from_the_right(list, has_quotes).find(|(_, byte, quoted)| *byte == b',' && !quoted) {
        Some((at, ..)) => (Some(&list[..at]), &list[at + 1..]),
        None => (None, list),
    }
}

/// Whether a quoted string is open at the left end of a line of `Forwarded`: behind another line it would reach into that one.
pub(super) fn is_open(line: &[u8]) -> bool {
    bytes_from_the_right(line, true).last().is_some_and(|(.., quoted)| quoted)
}

/// The bytes of a list, the last one first: each with its place, and whether a quoted string is open there.
fn bytes_from_the_right(list: &[u8], has_quotes: bool) -> impl Iterator<Item = (usize, u8, bool)> {
    let mut quoted = false;
    list.iter().enumerate().rev().map(move |(at, byte)| {
        if has_quotes && *byte == b'"' && !(quoted && is_escaped(list, at)) {
            quoted = !quoted;
        }
        (at, *byte, quoted)
    })
}

/// Whether the byte at this place has an odd number of backslashes before it.
fn is_escaped(text: &[u8], at: usize) -> bool {
    text[..at].iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// The value of a parameter in one element of `Forwarded`, without the quotes around it.
fn parameter<'a>(element: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut left = Some(element);
    while let Some(pairs) = left {
        let (pair, behind) = split_first(pairs);
        left = behind;
        let Some(equals) = pair.iter().position(|byte| *byte == b'=') else { continue };
        if pair[..equals].trim_ascii().eq_ignore_ascii_case(name) {
            let value = pair[equals + 1..].trim_ascii();
            return Some(value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value));
        }
    }
    None
}

/// The first pair of an element, and what stands behind its semicolon.
fn split_first(pairs: &[u8]) -> (&[u8], Option<&[u8]>) {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in pairs.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b';' if !quoted => return (&pairs[..at], Some(&pairs[at + 1..])),
            _ => {}
        }
    }
    (pairs, None)
}

/// The text of a quoted string: a backslash quotes the byte behind it.
fn unescaped(value: &[u8]) -> Cow<'_, [u8]> {
    if !value.contains(&b'\\') {
        return Cow::Borrowed(value);
    }
    let mut bytes = value.iter();
    let mut text = Vec::with_capacity(value.len());
    while let Some(byte) = bytes.next() {
        let byte = if *byte == b'\\' { bytes.next() } else { Some(byte) };
        text.extend(byte);
    }
    Cow::Owned(text)
}

/// An address alone, in brackets, or with a port, as proxies write it.
fn parse(address: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(address).ok()?;
    let address = text.parse::<IpAddr>().ok().or_else(|| {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        match bare {
            Some(inner) => inner.parse().ok(),
            None => text.parse::<SocketAddr>().ok().map(|socket| socket.ip()),
        }
    })?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_read_without_its_quotes() {
        let table: &[(&str, Option<&str>)] = &[
            ("for=a;host=shop.example", Some("shop.example")),
            ("Host=\"shop.example:81\" ; for=a", Some("shop.example:81")),
            ("host=\"a\\\"b\\\\\"", Some("a\"b\\")),
            ("host=", None),
            ("host=\"\"", None),
            ("by=\"a;host=b\"", None),
            ("xhost=a", None),
        ];
        for (element, expected) in table {
            let found = Element::Pairs(element.as_bytes()).parameter(b"host");
            assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{element}");
        }
    }
}
