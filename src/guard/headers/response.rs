//! Cleans an answer on its way to the client.

use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, StatusCode, Version};
use pingora::http::ResponseHeader;

use crate::guard::Refusal;

/// What the client asked, as far as it decides what the answer may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    pub version: Version,
    /// The request was one for an upgrade, after cleaning.
    pub upgrade: bool,
}

/// Removes the headers of the upstream's connection from an answer.
///
/// To be called in `response_filter`, after pingora has taken from the header how the answer is framed. A `101` that nobody
/// asked for is refused: its bytes would be taken for an answer that the client never gets. `Connection` and
/// `Transfer-Encoding` stay, because pingora frames by them, and writes its own `Connection`; but an HTTP/1.0 client cannot
/// read chunks (RFC 9112, 6.1), so it gets the answer up to the end of the connection.
pub fn answer(response: &mut ResponseHeader, asked: Asked) -> Result<(), Refusal> {
    if response.status == StatusCode::SWITCHING_PROTOCOLS {
        return if asked.upgrade { Ok(()) } else { Err(Refusal::closing(502, "unasked_upgrade")) };
    }
    let empty = response.status == StatusCode::NO_CONTENT;
    // Most answers have none of these: one look at each name is less work than one search for each of these.
    let (mut connection, mut length, mut foreign) = (false, None, Vec::new());
    for name in response.headers.keys() {
        match *name {
            header::CONNECTION => connection = true,
            // A 204 has no body and no length of one (RFC 9110, 8.6; RFC 9112, 6.1); not every client knows.
            header::CONTENT_LENGTH | header::TRANSFER_ENCODING if empty => foreign.push(name.clone()),
            header::CONTENT_LENGTH => length = repeated_length(&response.headers),
            header::TRANSFER_ENCODING if is_chunked_twice(&response.headers) => {
                return Err(Refusal::closing(502, "transfer_encoding"));
            }
            header::UPGRADE | header::PROXY_AUTHENTICATE | header::TE => foreign.push(name.clone()),
            header::TRANSFER_ENCODING if asked.version == Version::HTTP_10 => foreign.push(name.clone()),
            _ if matches!(name.as_str(), "keep-alive" | "proxy-connection") => foreign.push(name.clone()),
            _ => {}
        }
    }
    if connection {
        foreign.extend(nominated(&response.headers));
    }
    for name in &foreign {
        response.remove_header(name);
    }
    if let Some(length) = length {
        response.insert_header("Content-Length", length).expect("it was a header's value");
    }
    Ok(())
}

/// The same for a head that comes before the answer's own (1xx): it has no body, and pingora writes no `Connection` in it.
pub fn interim(response: &mut ResponseHeader) {
    for name in &nominated(&response.headers) {
        response.remove_header(name);
    }
    for name in
        [&header::CONNECTION, &header::CONTENT_LENGTH, &header::TRANSFER_ENCODING, &header::UPGRADE, &header::TE]
    {
        response.remove_header(name);
    }
    for name in ["keep-alive", "proxy-connection"] {
        response.remove_header(name);
    }
}

/// The length that is said more than once; a client may take two for a trick (RFC 9110, 8.6). Pingora has refused different ones.
fn repeated_length(headers: &HeaderMap<HeaderValue>) -> Option<HeaderValue> {
    let lines = headers.get_all(header::CONTENT_LENGTH).iter();
    let mut all = lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii));
    let first = all.next()?;
    let mut others = all.peekable();
    let repeated = others.peek().is_some() && others.all(|other| other == first);
    repeated.then(|| HeaderValue::from_bytes(first).ok()).flatten()
}

/// What one reader unwraps once and another twice.
fn is_chunked_twice(headers: &HeaderMap<HeaderValue>) -> bool {
    let codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let codings = codings.flat_map(|line| line.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii));
    codings.filter(|coding| coding.eq_ignore_ascii_case(b"chunked")).nth(1).is_some()
}

/// The headers that `Connection` names, without those whose loss would change the message. Allocates only if there are any.
pub(super) fn nominated(headers: &HeaderMap<HeaderValue>) -> Vec<HeaderName> {
    let mut names = Vec::new();
    for value in headers.get_all(header::CONNECTION) {
        for token in value.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
            if token.eq_ignore_ascii_case(b"close") || token.eq_ignore_ascii_case(b"keep-alive") {
                continue;
            }
            if let Ok(name) = HeaderName::from_bytes(token)
                && headers.contains_key(&name)
                && !is_end_to_end(&name)
            {
                names.push(name);
            }
        }
    }
    names
}

/// What no connection may call its own.
fn is_end_to_end(name: &HeaderName) -> bool {
    *name == header::HOST
        || *name == header::CONNECTION
        || *name == header::CONTENT_LENGTH
        || *name == header::CONTENT_TYPE
        || *name == header::CONTENT_ENCODING
        || *name == header::CACHE_CONTROL
        || *name == header::SET_COOKIE
        || *name == header::TRANSFER_ENCODING
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Asked = Asked { version: Version::HTTP_11, upgrade: false };

    type Lines = &'static [(&'static str, &'static str)];

    fn response(status: u16, lines: &[(&'static str, &'static str)]) -> ResponseHeader {
        let mut response = ResponseHeader::build(status, None).unwrap();
        for (name, value) in lines {
            response.append_header(*name, *value).unwrap();
        }
        response
    }

    fn wire(response: &ResponseHeader) -> String {
        let mut bytes = Vec::new();
        response.header_to_h1_wire(&mut bytes);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn what_belongs_to_the_upstreams_connection_stays_behind_and_case_survives() {
        let table: &[(Lines, &str)] = &[
            (&[("X-Thing", "1")], "X-Thing: 1\r\n"),
            (
                &[("Connection", "keep-alive"), ("Keep-Alive", "timeout=5"), ("ETag", "x")],
                "Connection: keep-alive\r\nETag: x\r\n",
            ),
            (
                &[("Connection", "X-Private, close"), ("X-PRIVATE", "1"), ("eTag", "x")],
                "Connection: X-Private, close\r\neTag: x\r\n",
            ),
            (
                &[("Connection", "Content-Length"), ("Content-Length", "3")],
                "Connection: Content-Length\r\nContent-Length: 3\r\n",
            ),
            (&[("Connection", "Set-Cookie"), ("Set-Cookie", "a=b")], "Connection: Set-Cookie\r\nSet-Cookie: a=b\r\n"),
            (&[("Upgrade", "h2c"), ("Proxy-Connection", "close")], ""),
            (&[("Transfer-Encoding", "chunked")], "Transfer-Encoding: chunked\r\n"),
        ];
        for (lines, expected) in table {
            let mut response = response(200, lines);
            answer(&mut response, PLAIN).unwrap();
            assert_eq!(wire(&response), *expected, "{lines:?}");
        }
    }

    #[test]
    fn a_length_is_said_once_and_never_of_what_has_no_body() {
        let table: &[(u16, Lines, &str)] = &[
            (200, &[("Content-Length", "2"), ("Content-Length", "2")], "Content-Length: 2\r\n"),
            (200, &[("Content-Length", "2 , 2")], "Content-Length: 2\r\n"),
            // Pingora refuses it; it is not for us to make a number of it.
            (200, &[("Content-Length", "2, x")], "Content-Length: 2, x\r\n"),
            (204, &[("Content-Length", "2"), ("A", "b")], "A: b\r\n"),
            (204, &[("Transfer-Encoding", "chunked")], ""),
            (304, &[("Content-Length", "2")], "Content-Length: 2\r\n"),
        ];
        for (status, lines, expected) in table {
            let mut response = response(*status, lines);
            answer(&mut response, PLAIN).unwrap();
            assert_eq!(wire(&response), *expected, "{status} {lines:?}");
        }
    }

    #[test]
    fn an_answer_that_is_chunked_twice_is_none() {
        let table: [Lines; 2] = [
            &[("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "Chunked")],
            &[("Transfer-Encoding", "chunked, chunked")],
        ];
        for lines in table {
            assert_eq!(answer(&mut response(200, lines), PLAIN).unwrap_err().status, 502, "{lines:?}");
        }
        let mut coded = response(200, &[("Transfer-Encoding", "gzip, chunked")]);
        answer(&mut coded, PLAIN).unwrap();
        assert_eq!(wire(&coded), "Transfer-Encoding: gzip, chunked\r\n");
    }

    #[test]
    fn a_head_before_the_answer_brings_nothing_of_its_connection_and_no_length() {
        let lines = [("Link", "</a>"), ("Connection", "X-Private"), ("X-Private", "1"), ("Content-Length", "9")];
        let mut early = response(103, &lines);
        interim(&mut early);
        assert_eq!(wire(&early), "Link: </a>\r\n");
    }

    #[test]
    fn a_client_of_http_1_0_gets_no_chunks() {
        let mut response = response(200, &[("Transfer-Encoding", "chunked"), ("A", "b")]);
        answer(&mut response, Asked { version: Version::HTTP_10, upgrade: false }).unwrap();
        assert_eq!(wire(&response), "A: b\r\n");
    }

    #[test]
    fn a_switch_of_protocols_is_passed_on_only_when_asked_for() {
        let lines = [("Upgrade", "websocket"), ("Connection", "Upgrade")];
        assert_eq!(answer(&mut response(101, &lines), PLAIN).unwrap_err().status, 502);
        let mut asked = response(101, &lines);
        answer(&mut asked, Asked { version: Version::HTTP_11, upgrade: true }).unwrap();
        assert!(asked.headers.contains_key("upgrade"));
    }
}
