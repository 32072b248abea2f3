//! The head of a response.

use std::mem::MaybeUninit;

use http::{StatusCode, Version};

use super::{Fields, Malformed, Span};

/// A response's head: status, reason phrase as it came, fields.
#[derive(Debug, Clone)]
pub struct ResponseHead {
    pub status: StatusCode,
    /// The sender's version: HTTP/1.0, HTTP/1.1 or HTTP/2.
    pub version: Version,
    pub fields: Fields,
    reason: Option<Span>,
}

const FEW: usize = 32;
const MANY: usize = 512;

impl ResponseHead {
    /// A head that is made here: HTTP/1.1, no fields.
    #[must_use]
    pub fn new(status: StatusCode) -> Self {
        Self { status, version: Version::HTTP_11, fields: Fields::of(b"", 8), reason: None }
    }

    /// Reads the head of a response of HTTP/1: all bytes up to and with the empty line. Spaces before a colon and folded values
    /// are read as servers mean them.
    ///
    /// # Errors
    /// A head that is not HTTP/1.0 or 1.1; `status` of the error has no meaning here.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        const BAD: Malformed = Malformed::because("head");
        let mut config = httparse::ParserConfig::default();
        config.allow_spaces_after_header_name_in_responses(true).allow_obsolete_multiline_headers_in_responses(true);
        let mut response = httparse::Response::new(&mut []);
        let mut few = [const { MaybeUninit::uninit() }; FEW];
        let mut many = Vec::new();
        let mut parsed = config.parse_response_with_uninit_headers(&mut response, bytes, &mut few);
        if parsed == Err(httparse::Error::TooManyHeaders) {
            many.resize_with(MANY, MaybeUninit::uninit);
            response = httparse::Response::new(&mut []);
            parsed = config.parse_response_with_uninit_headers(&mut response, bytes, &mut many);
        }
        if !matches!(parsed, Ok(httparse::Status::Complete(_))) {
            return Err(BAD);
        }
        let status = response.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(BAD)?;
        let version = if response.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
        let mut fields = Fields::of(bytes, response.headers.len());
        for line in &*response.headers {
            if line.name.len() > usize::from(u16::MAX) {
                return Err(BAD);
            }
            fields.found(line.name.as_bytes(), line.value, bytes);
        }
        if has_fold(bytes) {
            fields.unfold();
        }
        Ok(Self { status, version, fields, reason: reason(bytes) })
    }

    /// The reason phrase as it came; empty if there was none.
    #[must_use]
    #[inline]
    pub fn reason(&self) -> &[u8] {
        self.reason.map_or(&b""[..], |reason| reason.get(&self.fields.text))
    }

    /// A response that comes before the final one (1xx), a switch of protocols not among them.
    #[must_use]
    #[inline]
    pub fn is_interim(&self) -> bool {
        self.status.is_informational() && self.status != StatusCode::SWITCHING_PROTOCOLS
    }

    /// Appends the head as HTTP/1.1 writes it, without the empty line: fields of the connection may follow.
    #[inline]
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"HTTP/1.1 ");
        out.extend_from_slice(self.status.as_str().as_bytes());
        out.push(b' ');
        match self.reason {
            Some(reason) => out.extend_from_slice(reason.get(&self.fields.text)),
            None => out.extend_from_slice(self.status.canonical_reason().unwrap_or_default().as_bytes()),
        }
        out.extend_from_slice(b"\r\n");
        self.fields.write(out);
    }
}

/// A line that begins with white space goes on with the one before.
fn has_fold(bytes: &[u8]) -> bool {
    let pairs = bytes.iter().zip(bytes.get(1..).unwrap_or_default());
    // No early end, so that many bytes are compared at once.
    let is = |byte: u8, wanted: u8| u8::from(byte == wanted);
    pairs.fold(0, |found, (end, next)| found | (is(*end, b'\n') & (is(*next, b' ') | is(*next, b'\t')))) != 0
}

/// The phrase behind the status, byte for byte: the parser drops a phrase that is not ASCII.
fn reason(bytes: &[u8]) -> Option<Span> {
    let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n'))?;
    let line = &bytes[start..start + memchr::memchr(b'\n', &bytes[start..])?];
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    // `HTTP/1.1 200 `
    let reason = line.get(13..).filter(|reason| !reason.is_empty())?;
    Some(Span::of(reason, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(head: &[u8]) -> String {
        let mut out = Vec::new();
        ResponseHead::parse(head).expect("a good head").write(&mut out);
        out.escape_ascii().to_string()
    }

    #[test]
    fn a_head_is_written_as_it_came() {
        for (head, expected) in [
            (&b"HTTP/1.1 200 OK\r\nserver: x\r\nSet-Cookie: a\r\nset-cookie: b\r\n\r\n"[..], None),
            (b"HTTP/1.1 200 Tr\xe8s bien\r\nX: \xe9\r\n\r\n", None),
            (b"HTTP/1.1 404\r\n\r\n", Some("HTTP/1.1 404 Not Found\\r\\n")),
            (b"HTTP/1.0 200 OK\r\nA : b\r\nC: d\r\n e\r\n\r\n", Some("HTTP/1.1 200 OK\\r\\nA: b\\r\\nC: d   e\\r\\n")),
        ] {
            let same = head[..head.len() - 2].escape_ascii().to_string();
            assert_eq!(again(head), expected.map_or(same, str::to_owned));
        }
    }

    #[test]
    fn what_is_not_http_is_refused() {
        for head in [
            &b"garbage\r\n\r\n"[..],
            b"HTTP/1.1 099 Odd\r\n\r\n",
            b"HTTP/2.0 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX: a",
        ] {
            assert!(ResponseHead::parse(head).is_err(), "{}", head.escape_ascii());
        }
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(MANY));
        assert_eq!(ResponseHead::parse(many.as_bytes()).expect("as many as there may be").fields.len(), MANY);
    }
}
