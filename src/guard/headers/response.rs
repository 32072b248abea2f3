//! Cleans a response on its way to the client.

use http::{StatusCode, Version};

use super::hop_by_hop::{is_among, nominated};
use crate::guard::Refusal;
use crate::message::{Fields, Name, ResponseHead, digits, elements};

/// The part of the request that decides which fields the response may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseContext {
    pub version: Version,
    /// The request was one for an upgrade, after cleaning.
    pub upgrade: bool,
}

/// Removes the fields of the upstream's connection from a response: `Connection` and what it names, `Keep-Alive`, `Proxy-`
/// fields, `TE`, `Upgrade`, `Transfer-Encoding`. The client's end writes how the body is framed.
///
/// To be called after the framing has been read from the head. `Trailer` stays, except for a client of HTTP/1.0, which gets
/// no trailers.
///
/// # Errors
/// 502: a `101` that the client did not ask for (its bytes would be taken for a response that the client never gets), a
/// transfer coding beside `chunked` (it would be lost), lengths that differ or are none.
pub fn clean_response(response: &mut ResponseHead, asked: ResponseContext) -> Result<(), Refusal> {
    if response.status == StatusCode::SWITCHING_PROTOCOLS {
        return if asked.upgrade { Ok(()) } else { Err(Refusal::closing(502, "unasked_upgrade")) };
    }
    // Most responses have none of these: one look at each name is less work than one search for each of these.
    let (mut connection, mut lengths, mut foreign, mut coded) = (false, 0_usize, false, false);
    for (name, _, value) in response.fields.named() {
        match name {
            Name::Connection => connection = true,
            Name::ContentLength => lengths += value.split(|byte| *byte == b',').count(),
            Name::TransferEncoding => coded = true,
            Name::Trailer => foreign |= asked.version == Version::HTTP_10,
            _ => foreign |= is_of_connection(name),
        }
    }
    if coded && !is_chunked_alone(&response.fields) {
        return Err(Refusal::closing(502, "transfer_encoding"));
    }
    // A 204 has no body and no length of one (RFC 9110, 8.6; RFC 9112, 6.1); not every client knows.
    let bodiless = response.status == StatusCode::NO_CONTENT;
    if lengths > 0 && !bodiless {
        check_length(&mut response.fields, lengths)?;
    }
    if connection || foreign || coded || (bodiless && lengths > 0) {
        let named = nominated(&response.fields);
        response.fields.retain(|name, text, _| match name {
            Name::Connection | Name::TransferEncoding => false,
            Name::ContentLength => !bodiless,
            Name::Trailer => asked.version != Version::HTTP_10,
            _ => !is_of_connection(name) && !is_among(&named, text),
        });
    }
    Ok(())
}

/// The same for a head that comes before the response's own (1xx): it has no body and no length.
pub fn interim(response: &mut ResponseHead) {
    let named = nominated(&response.fields);
    response.fields.retain(|name, text, _| match name {
        Name::Connection | Name::TransferEncoding | Name::ContentLength => false,
        _ => !is_of_connection(name) && !is_among(&named, text),
    });
}

const fn is_of_connection(name: Name) -> bool {
    matches!(
        name,
        Name::KeepAlive
            | Name::ProxyConnection
            | Name::ProxyAuthenticate
            | Name::ProxyAuthorization
            | Name::Te
            | Name::Upgrade
    )
}

/// Refuses lengths that differ, and makes one of those that are equal: a client may take two for a trick (RFC 9110, 8.6).
fn check_length(fields: &mut Fields, count: usize) -> Result<(), Refusal> {
    const BAD: Refusal = Refusal::closing(502, "content_length");
    if fields.all(Name::ContentLength).any(|value| elements(value).next().is_none()) {
        return Err(BAD);
    }
    let mut all = fields.all(Name::ContentLength).flat_map(elements);
    let first = all.next().ok_or(BAD)?;
    let number = digits(first).ok_or(BAD)?;
    if !all.by_ref().all(|other| digits(other) == Some(number)) {
        return Err(BAD);
    }
    drop(all);
    if count > 1 {
        let first = first.to_vec();
        fields.set(Name::ContentLength, &first);
    }
    Ok(())
}

/// One `chunked`, which the upstream's end has taken off; or `identity`, which old servers say for nothing. Any other coding
/// would be lost here, and what one reader unwraps once and another twice is refused.
fn is_chunked_alone(fields: &Fields) -> bool {
    let mut codings = fields.all(Name::TransferEncoding).flat_map(elements);
    let known = |coding: &[u8]| [&b"chunked"[..], b"identity"].iter().any(|own| coding.eq_ignore_ascii_case(own));
    codings.next().is_none_or(known) && codings.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: ResponseContext = ResponseContext { version: Version::HTTP_11, upgrade: false };

    type Lines = &'static [(&'static str, &'static str)];

    fn response(status: u16, lines: &[(&'static str, &'static str)]) -> ResponseHead {
        let mut response = ResponseHead::new(StatusCode::from_u16(status).unwrap());
        response.fields = lines.iter().copied().collect();
        response
    }

    fn wire(response: &ResponseHead) -> String {
        let mut bytes = Vec::new();
        response.fields.write(&mut bytes);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn what_belongs_to_the_upstreams_connection_stays_behind_and_case_survives() {
        let table: &[(Lines, &str)] = &[
            (&[("X-Thing", "1")], "X-Thing: 1\r\n"),
            (&[("Connection", "keep-alive"), ("Keep-Alive", "timeout=5"), ("ETag", "x")], "ETag: x\r\n"),
            (&[("Connection", "X-Private, close"), ("X-PRIVATE", "1"), ("eTag", "x")], "eTag: x\r\n"),
            (&[("Connection", "Content-Length"), ("Content-Length", "3")], "Content-Length: 3\r\n"),
            (&[("Connection", "Set-Cookie"), ("Set-Cookie", "a=b")], "Set-Cookie: a=b\r\n"),
            (&[("Upgrade", "h2c"), ("Proxy-Connection", "close"), ("Proxy-Authenticate", "x"), ("TE", "x")], ""),
            (&[("Transfer-Encoding", "chunked"), ("Trailer", "X-Sum")], "Trailer: X-Sum\r\n"),
            (&[("date", "x"), ("Server", "y"), ("date", "z")], "date: x\r\nServer: y\r\ndate: z\r\n"),
        ];
        for (lines, expected) in table {
            let mut response = response(200, lines);
            clean_response(&mut response, PLAIN).unwrap();
            assert_eq!(wire(&response), *expected, "{lines:?}");
        }
    }

    #[test]
    fn a_length_is_said_once_and_never_of_what_has_no_body() {
        let table: &[(u16, Lines, &str)] = &[
            (200, &[("content-length", "2"), ("A", "b")], "content-length: 2\r\nA: b\r\n"),
            (200, &[("Content-Length", "2"), ("A", "b"), ("Content-Length", "2")], "Content-Length: 2\r\nA: b\r\n"),
            (200, &[("Content-Length", "2 , 2")], "Content-Length: 2\r\n"),
            (204, &[("Content-Length", "2"), ("A", "b")], "A: b\r\n"),
            (204, &[("Content-Length", "x")], ""),
            (204, &[("Transfer-Encoding", "chunked")], ""),
            (304, &[("Content-Length", "2")], "Content-Length: 2\r\n"),
        ];
        for (status, lines, expected) in table {
            let mut response = response(*status, lines);
            clean_response(&mut response, PLAIN).unwrap();
            assert_eq!(wire(&response), *expected, "{status} {lines:?}");
        }
    }

    #[test]
    fn lengths_that_differ_or_are_none_are_refused() {
        let table: [Lines; 6] = [
            &[("Content-Length", "2, x")],
            &[("Content-Length", "2"), ("content-length", "3")],
            &[("Content-Length", "+2")],
            &[("Content-Length", "")],
            &[("Content-Length", "2"), ("Content-Length", "")],
            &[("Content-Length", "99999999999999999999")],
        ];
        for lines in table {
            let refused = clean_response(&mut response(200, lines), PLAIN).unwrap_err();
            assert_eq!((refused.status, refused.reason), (502, "content_length"), "{lines:?}");
        }
    }

    #[test]
    fn a_response_with_a_coding_beside_chunked_is_refused() {
        let table: [Lines; 4] = [
            &[("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "Chunked")],
            &[("Transfer-Encoding", "chunked, chunked")],
            &[("Transfer-Encoding", "gzip, chunked")],
            &[("Transfer-Encoding", "identity, chunked")],
        ];
        for lines in table {
            let refused = clean_response(&mut response(200, lines), PLAIN).unwrap_err();
            assert_eq!((refused.status, refused.reason), (502, "transfer_encoding"), "{lines:?}");
        }
        let mut old = response(200, &[("Transfer-Encoding", "identity"), ("A", "b")]);
        clean_response(&mut old, PLAIN).unwrap();
        assert_eq!(wire(&old), "A: b\r\n");
    }

    #[test]
    fn a_head_before_the_answer_brings_nothing_of_its_connection_and_no_length() {
        let lines = [("Link", "</a>"), ("Connection", "X-Private"), ("X-Private", "1"), ("Content-Length", "9")];
        let mut early = response(103, &lines);
        interim(&mut early);
        assert_eq!(wire(&early), "Link: </a>\r\n");
    }

    #[test]
    fn a_client_of_http_1_0_gets_no_trailers() {
        let mut response = response(200, &[("Transfer-Encoding", "chunked"), ("A", "b"), ("Trailer", "X-Sum")]);
        clean_response(&mut response, ResponseContext { version: Version::HTTP_10, upgrade: false }).unwrap();
        assert_eq!(wire(&response), "A: b\r\n");
    }

    #[test]
    fn a_switch_of_protocols_is_passed_on_only_when_asked_for() {
        let lines = [("Upgrade", "websocket"), ("Connection", "Upgrade")];
        assert_eq!(clean_response(&mut response(101, &lines), PLAIN).unwrap_err().status, 502);
        let mut asked = response(101, &lines);
        clean_response(&mut asked, ResponseContext { version: Version::HTTP_11, upgrade: true }).unwrap();
        assert_eq!(wire(&asked), "Upgrade: websocket\r\nConnection: Upgrade\r\n");
    }
}
