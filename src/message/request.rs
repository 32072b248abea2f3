//! The head of a request.

use http::{Method, Version};

use super::fields::Line;
use super::{Excerpt, Fields, Malformed, Name, Span};

/// A request's head: method, target byte for byte, fields.
#[derive(Debug, Clone)]
pub struct RequestHead {
    pub method: Method,
    /// HTTP/1.0, HTTP/1.1 or HTTP/2.
    pub version: Version,
    pub fields: Fields,
    target: Span,
    /// Bytes of the target before `?`.
    path_length: u32,
    /// Written as a line of Host, which is among the fields where the client has sent no other.
    authority: Option<Line>,
}

/// Fields that are found without a list on the heap.
const FEW: usize = 32;
/// More fields than any limit allows; one more is 431.
const MANY: usize = 1024;

impl RequestHead {
    /// A head that is made here: an empty list of fields.
    #[must_use]
    #[inline]
    pub fn new(method: Method, version: Version, target: &[u8]) -> Self {
        let fields = Fields::of(target, 8);
        let path_length = path_length(target);
        Self { method, version, fields, target: Span::new(0, target.len()), path_length, authority: None }
    }

    /// Reads the head of a request of HTTP/1: all bytes from the first of the method up to and with the empty line. The target may be any
    /// byte above 0x20 but 0x7F.
    ///
    /// # Errors
    /// A head that breaks the grammar of RFC 9112, a line that ends in LF alone unless `bare_line_feeds`, more fields than can be, a
    /// version that is not HTTP/1.
    pub fn parse(bytes: &[u8], bare_line_feeds: bool) -> Result<Self, Malformed> {
        if !bare_line_feeds && has_bare_line_feed(bytes) {
            return Err(Malformed::because("line_ending"));
        }
        let head = bytes;
        let end = memchr::memchr(b'\n', head).ok_or(Malformed::because("framing"))?;
        let line = head[..end].strip_suffix(b"\r").unwrap_or(&head[..end]);
        let (method, target, version) = request_line(line)?;
        let rest = &head[end + 1..];
        let mut few = [httparse::EMPTY_HEADER; FEW];
        let mut many = Vec::new();
        let found = match httparse::parse_headers(rest, &mut few) {
            Err(httparse::Error::TooManyHeaders) => {
                many.resize(MANY, httparse::EMPTY_HEADER);
                httparse::parse_headers(rest, &mut many)
            }
            other => other,
        };
        let lines = match found {
            Ok(httparse::Status::Complete((_, lines))) => lines,
            Err(httparse::Error::TooManyHeaders) => return Err(Malformed { status: 431, reason: "headers" }),
            Ok(httparse::Status::Partial) | Err(_) => return Err(Malformed::because("framing")),
        };
        let (target, path_length) = (Span::of(target, head), path_length(target));
        let mut fields = Fields::of(head, lines.len());
        for line in lines {
            if line.name.len() > usize::from(u16::MAX) {
                return Err(Malformed { status: 431, reason: "request_head" });
            }
            fields.found(line.name.as_bytes(), line.value, head);
        }
        Ok(Self { method, version, fields, target, path_length, authority: None })
    }

    /// The target as it came.
    #[must_use]
    #[inline]
    pub fn target(&self) -> &[u8] {
        self.target.get(&self.fields.text)
    }

    /// The part before `?`.
    #[must_use]
    #[inline]
    pub fn path(&self) -> &[u8] {
        self.path_span().get(&self.fields.text)
    }

    /// The same with what stands behind it.
    #[must_use]
    #[inline]
    pub fn path_excerpt(&self) -> Excerpt<'_> {
        self.path_span().excerpt(&self.fields.text)
    }

    const fn path_span(&self) -> Span {
        Span { at: self.target.at, length: self.path_length }
    }

    /// The part behind `?`.
    #[must_use]
    #[inline]
    pub fn query(&self) -> Option<&[u8]> {
        self.target().get(self.path_length as usize + 1..)
    }

    /// Puts another target in its place.
    #[inline]
    pub fn set_target(&mut self, target: &[u8]) {
        self.target = Span::new(self.fields.text.len(), target.len());
        self.path_length = path_length(target);
        self.fields.text.extend_from_slice(target);
    }

    /// `:authority` of HTTP/2, as long as no step has made it the Host field.
    #[must_use]
    #[inline]
    pub fn authority(&self) -> Option<&[u8]> {
        self.authority.map(|authority| authority.value().get(&self.fields.text))
    }

    #[inline]
    pub fn set_authority(&mut self, authority: Option<&[u8]>) {
        self.authority = authority.map(|authority| self.fields.line(Name::Host.into(), authority));
    }

    /// The authority becomes the first field where there is no Host.
    #[inline]
    pub fn name_host(&mut self) {
        if let Some(authority) = self.authority
            && !self.fields.has(Name::Host)
        {
            self.fields.prepend_line(authority);
        }
    }

    /// A copy with room for the lines that are added to it.
    #[must_use]
    #[inline]
    pub fn to_edit(&self) -> Self {
        Self { method: self.method.clone(), fields: self.fields.to_edit(), ..*self }
    }

    /// Appends the head as HTTP/1.1 writes it, with the empty line.
    #[inline]
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.method.as_str().as_bytes());
        out.push(b' ');
        out.extend_from_slice(self.target());
        out.extend_from_slice(b" HTTP/1.1\r\n");
        self.fields.write(out);
        out.extend_from_slice(b"\r\n");
    }
}

#[inline]
fn path_length(target: &[u8]) -> u32 {
    let length = memchr::memchr(b'?', target).unwrap_or(target.len());
    Span::new(0, length).length
}

/// A line feed without a carriage return before it.
fn has_bare_line_feed(bytes: &[u8]) -> bool {
    let pairs = bytes.iter().zip(bytes.get(1..).unwrap_or_default());
    // No early end, so that many bytes are compared at once.
    let bare = pairs.fold(0, |found, (before, byte)| found | (u8::from(*byte == b'\n') & u8::from(*before != b'\r')));
    bare != 0 || bytes.first() == Some(&b'\n')
}

fn request_line(line: &[u8]) -> Result<(Method, &[u8], Version), Malformed> {
    const BAD: Malformed = Malformed::because("framing");
    let space = memchr::memchr(b' ', line).ok_or(BAD)?;
    let (method, rest) = (&line[..space], &line[space + 1..]);
    let method = Method::from_bytes(method).map_err(|_| BAD)?;
    let space = memchr::memrchr(b' ', rest).ok_or(BAD)?;
    let (target, version) = (&rest[..space], &rest[space + 1..]);
    if target.is_empty() || target.iter().any(|byte| *byte <= b' ' || *byte == 0x7f) {
        return Err(Malformed::because("target"));
    }
    let version = match version {
        b"HTTP/1.1" => Version::HTTP_11,
        b"HTTP/1.0" => Version::HTTP_10,
        // A later minor version is answered as the highest that is known (RFC 9110, 2.5).
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor] if minor.is_ascii_digit() => Version::HTTP_11,
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
            return Err(Malformed { status: 505, reason: "framing" });
        }
        _ => return Err(BAD),
    };
    Ok((method, target, version))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(head: &[u8]) -> Result<RequestHead, Malformed> {
        RequestHead::parse(head, false)
    }

    #[test]
    fn a_head_is_written_as_it_came() {
        for head in [
            &b"GET /a?q={\"a\":1}&b=<x>`|^\xe9 HTTP/1.1\r\nhOsT: a\r\nX-Two: 1\r\nx-two: 2\r\nEmpty: \r\n\r\n"[..],
            b"get / HTTP/1.1\r\nHost: a\r\nX: caf\xe9\r\n\r\n",
        ] {
            let mut out = Vec::new();
            parse(head).expect("a good head").write(&mut out);
            assert_eq!(out.escape_ascii().to_string(), head.escape_ascii().to_string());
        }
        let mut out = Vec::new();
        parse(b"GET / HTTP/1.0\r\nHost:a\r\nX:   b \t\r\n\r\n").expect("a good head").write(&mut out);
        assert_eq!(out, b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n\r\n");
    }

    #[test]
    fn what_breaks_the_grammar_is_refused_with_its_reason() {
        for (head, status, reason) in [
            (&b"GET /\r\n\r\n"[..], 400, "framing"),
            (b"GET  / HTTP/1.1\r\n\r\n", 400, "target"),
            (b"GET /a b HTTP/1.1\r\n\r\n", 400, "target"),
            (b"GET /a\x01 HTTP/1.1\r\n\r\n", 400, "target"),
            (b"GET /a\tb HTTP/1.1\r\n\r\n", 400, "target"),
            (b"GET /\x7f HTTP/1.1\r\n\r\n", 400, "target"),
            (b"G@T / HTTP/1.1\r\n\r\n", 400, "framing"),
            (b"GET / HTTP/2.0\r\n\r\n", 505, "framing"),
            (b"GET / HTTQ/1.1\r\n\r\n", 400, "framing"),
            (b"GET / http/1.1\r\n\r\n", 400, "framing"),
            (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400, "framing"),
            (b"GET / HTTP/1.1\r\n a: b\r\n\r\n", 400, "framing"),
            (b"GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", 400, "framing"),
            (b"GET / HTTP/1.1\r\nA: b\0\r\n\r\n", 400, "framing"),
            (b"GET / HTTP/1.1\r\nnonsense\r\n\r\n", 400, "framing"),
            (b"GET / HTTP/1.1\nA: b\r\n\r\n", 400, "line_ending"),
            (b"\r\nGET / HTTP/1.1\r\n\r\n", 400, "framing"),
        ] {
            let found = parse(head).expect_err(&head.escape_ascii().to_string());
            assert_eq!((found.status, found.reason), (status, reason), "{}", head.escape_ascii());
        }
        assert!(RequestHead::parse(b"GET / HTTP/1.1\nA: b\n\n", true).is_ok(), "where the file allows it");
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(MANY + 1));
        assert_eq!(parse(many.as_bytes()).expect_err("too many").status, 431);
    }

    #[test]
    fn the_parts_of_a_target_are_found_and_can_be_replaced() {
        let mut head = parse(b"GET /a?b?c HTTP/1.7\r\nHost: x\r\n\r\n").expect("a good head");
        assert_eq!((head.path(), head.query(), head.version), (&b"/a"[..], Some(&b"b?c"[..]), Version::HTTP_11));
        assert_eq!((head.path_excerpt().len(), head.path_excerpt().onwards().first_chunk()), (2, Some(b"/a?b?c HTTP")));
        head.set_target(b"/x?");
        assert_eq!((head.path(), head.query()), (&b"/x"[..], Some(&b""[..])));
        head.set_target(b"/other");
        assert_eq!((head.target(), head.query()), (&b"/other"[..], None));
        assert_eq!(head.fields.get(Name::Host), Some(&b"x"[..]));
    }
}
