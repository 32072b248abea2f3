//! Makes a request's head of the fields in a header block, and says what is wrong with it (RFC 9113, 8.2 and 8.3).

use http::{Method, Version};

use crate::message::{Fields, Malformed, Name, RequestHead, digits, may_trail};

/// Overhead of a field in the size of a list (RFC 9113, 6.5.2).
const OVERHEAD: usize = 32;

/// How much a head may be.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The size of the list of fields, as RFC 9113, 6.5.2 counts it.
    pub list: usize,
    /// The number of fields, pseudo-fields not among them.
    pub fields: usize,
}

/// Takes the fields of one header block in their order.
#[derive(Debug)]
pub struct HeadReader {
    bounds: Bounds,
    size: usize,
    fault: Option<Malformed>,
    /// The part that has come; method and target are placeholders until then.
    head: RequestHead,
    method: bool,
    scheme: Option<Scheme>,
    path: bool,
    /// The pseudo-fields are all there, and good.
    begun: bool,
    length: Option<u64>,
    cookies: u32,
}

/// As far as it has a default port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
    Other,
}

const BAD: Malformed = Malformed::because("framing");
const TARGET: Malformed = Malformed::because("target");
const HOST: Malformed = Malformed::because("host");
const LENGTH: Malformed = Malformed::because("content_length");

impl HeadReader {
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            size: 0,
            fault: None,
            head: RequestHead::new(Method::GET, Version::HTTP_2, b""),
            method: false,
            scheme: None,
            path: false,
            begun: false,
            length: None,
            cookies: 0,
        }
    }

    /// The next field of the block. Behind a fault nothing more is kept.
    pub fn field(&mut self, name: &[u8], value: &[u8]) {
        self.size = self.size.saturating_add(name.len() + value.len() + OVERHEAD);
        if self.fault.is_none()
            && let Err(fault) = self.take(name, value)
        {
            self.fault = Some(fault);
        }
    }

    /// The size of the list so far.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.size
    }

    fn take(&mut self, name: &[u8], value: &[u8]) -> Result<(), Malformed> {
        if self.size > self.bounds.list {
            return Err(Malformed { status: 431, reason: "request_head" });
        }
        if name.first() == Some(&b':') {
            return self.pseudo(name, value);
        }
        if !self.begun {
            self.begin()?;
        }
        if self.head.fields.len() >= self.bounds.fields {
            return Err(Malformed { status: 431, reason: "headers" });
        }
        let value = checked(name, value)?;
        let known = Name::of(name);
        match known {
            Name::Connection | Name::KeepAlive | Name::ProxyConnection | Name::Upgrade => {
                return Err(Malformed::because("connection"));
            }
            Name::TransferEncoding => return Err(Malformed::because("transfer_encoding")),
            Name::Te if !value.eq_ignore_ascii_case(b"trailers") => return Err(Malformed::because("connection")),
            Name::ContentLength => {
                if self.length.is_some() {
                    return Err(LENGTH);
                }
                self.length = Some(digits(value).ok_or(LENGTH)?);
            }
            Name::Cookie => self.cookies += 1,
            _ => {}
        }
        self.head.fields.push_known(known, name, value);
        Ok(())
    }

    fn pseudo(&mut self, name: &[u8], value: &[u8]) -> Result<(), Malformed> {
        if self.begun {
            return Err(BAD);
        }
        let again = match name {
            b":method" => {
                self.head.method = Method::from_bytes(value).map_err(|_| BAD)?;
                std::mem::replace(&mut self.method, true)
            }
            b":scheme" => {
                let scheme = match value {
                    b"http" => Scheme::Http,
                    b"https" => Scheme::Https,
                    [first, rest @ ..] if first.is_ascii_alphabetic() && rest.iter().all(|byte| in_scheme(*byte)) => {
                        Scheme::Other
                    }
                    _ => return Err(BAD),
                };
                self.scheme.replace(scheme).is_some()
            }
            b":path" => {
                self.head.set_target(value);
                std::mem::replace(&mut self.path, true)
            }
            b":authority" => {
                let again = self.head.authority().is_some();
                self.head.set_authority(Some(value));
                again
            }
            // One that is not known, or of a response, or of an extension that was not announced.
            _ => return Err(BAD),
        };
        if again { Err(BAD) } else { Ok(()) }
    }

    /// The head, once the block was read to its end, and the first rule that it breaks: then it is as much of the head as is
    /// known, for the log. `bodiless`: the stream ends with it.
    #[must_use]
    pub fn finish(mut self, bodiless: bool) -> (RequestHead, Option<Malformed>) {
        let fault = self.fault.or_else(|| self.check(bodiless).err());
        if !self.begun && !is_target(self.head.target()) {
            self.head.set_target(b"-");
        }
        if fault.is_none() && self.cookies > 1 {
            join_cookies(&mut self.head.fields);
        }
        self.head.name_host();
        (self.head, fault)
    }

    /// Checks the rules that need all fields.
    fn check(&mut self, bodiless: bool) -> Result<(), Malformed> {
        if !self.begun {
            self.begin()?;
        }
        if bodiless && self.length.is_some_and(|length| length > 0) {
            return Err(LENGTH);
        }
        self.check_hosts()
    }

    /// The pseudo-fields are all there. The target is the path as it came; of CONNECT, which has none, the authority.
    fn begin(&mut self) -> Result<(), Malformed> {
        let Self { head, method, scheme, path, begun, .. } = self;
        if head.method == Method::CONNECT {
            match head.authority() {
                Some(authority) if !*path && scheme.is_none() && is_target(authority) => {
                    let target = authority.to_vec();
                    head.set_target(&target);
                }
                _ => return Err(BAD),
            }
        } else if !(*method && *path && scheme.is_some()) {
            return Err(BAD);
        } else {
            match head.target() {
                b"*" if head.method == Method::OPTIONS => {}
                target @ [b'/', ..] if is_target(target) => {}
                _ => return Err(TARGET),
            }
        }
        *begun = true;
        Ok(())
    }

    /// `:authority` and Host have to name the same.
    fn check_hosts(&self) -> Result<(), Malformed> {
        let Some(authority) = self.head.authority() else { return Ok(()) };
        let port = match self.scheme {
            Some(Scheme::Http) => &b":80"[..],
            Some(Scheme::Https) => b":443",
            _ => b":",
        };
        let is_same = |other| without(other, port).eq_ignore_ascii_case(without(authority, port));
        let same = self.head.fields.all(Name::Host).all(is_same);
        if same { Ok(()) } else { Err(HOST) }
    }
}

/// A host without this port, or an empty one.
fn without<'h>(host: &'h [u8], port: &[u8]) -> &'h [u8] {
    host.strip_suffix(port).or_else(|| host.strip_suffix(b":")).unwrap_or(host)
}

/// Takes the fields behind a body.
#[derive(Debug)]
pub struct TrailerReader {
    bounds: Bounds,
    size: usize,
    fault: Option<Malformed>,
    fields: Fields,
}

impl TrailerReader {
    #[must_use]
    pub const fn new(bounds: Bounds) -> Self {
        Self { bounds, size: 0, fault: None, fields: Fields::new() }
    }

    /// The next field of the block. Fields that may not stand behind a body are left out.
    pub fn field(&mut self, name: &[u8], value: &[u8]) {
        self.size = self.size.saturating_add(name.len() + value.len() + OVERHEAD);
        if self.fault.is_some() {
            return;
        }
        if self.size > self.bounds.list || self.fields.len() >= self.bounds.fields {
            self.fault = Some(Malformed { status: 431, reason: "request_head" });
            return;
        }
        match checked(name, value) {
            Ok(value) if may_trail(name) => self.fields.push_raw(name, value),
            Ok(_) => {}
            // A pseudo-field is no token.
            Err(fault) => self.fault = Some(fault),
        }
    }

    /// The size of the list so far.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.size
    }

    /// # Errors
    /// The first rule that was broken.
    pub fn finish(self) -> Result<Fields, Malformed> {
        self.fault.map_or(Ok(self.fields), Err)
    }
}

/// Crumbs of cookies become one field again, in the place of the first (RFC 9113, 8.2.3).
fn join_cookies(fields: &mut Fields) {
    let joined = fields.all(Name::Cookie).collect::<Vec<_>>().join(&b"; "[..]);
    fields.set(Name::Cookie, &joined);
}

/// The value of a field without white space around it.
fn checked<'v>(name: &[u8], value: &'v [u8]) -> Result<&'v [u8], Malformed> {
    let lower =
        !name.is_empty() && u16::try_from(name.len()).is_ok() && name.iter().all(|byte| USE[usize::from(*byte)].0);
    let plain = value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~' | 0x80..));
    if lower && plain { Ok(trimmed(value)) } else { Err(BAD) }
}

fn trimmed(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Any printable byte, and every byte above 0x7F, as they come.
fn is_target(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| USE[usize::from(*byte)].1)
}

const fn in_scheme(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}

/// Whether a byte may stand in a name, and in a target.
static USE: [(bool, bool); 256] = {
    let mut bytes = [(false, true); 256];
    let mut byte = 0_u8;
    while byte < 128 {
        bytes[byte as usize] = (in_name(byte), byte > b' ' && !matches!(byte, 0x7f | b'#'));
        byte += 1;
    }
    bytes
};

/// A token without capital letters.
const fn in_name(byte: u8) -> bool {
    byte.is_ascii_lowercase()
        || byte.is_ascii_digit()
        || matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { list: 1000, fields: 5 };
    type Field<'a> = (&'a [u8], &'a [u8]);
    const GET: [Field<'static>; 4] =
        [(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/a"), (b":authority", b"Edge.test:443")];

    fn read(fields: &[Field<'_>], bodiless: bool) -> Result<RequestHead, Malformed> {
        let mut reader = HeadReader::new(BOUNDS);
        for (name, value) in fields {
            reader.field(name, value);
        }
        let (head, fault) = reader.finish(bodiless);
        fault.map_or(Ok(head), Err)
    }

    #[test]
    fn what_is_known_of_a_malformed_head_is_kept_for_the_log() {
        for (fields, expected) in [
            (with(&[(b"user-agent", b"x"), (b"X", b"y")]), "GET /a HTTP/1.1|Host: Edge.test:443|user-agent: x||"),
            (put(2, b"/a\x01"), "GET - HTTP/1.1|Host: Edge.test:443||"),
            (with(&[(b"host", b"b")]), "GET /a HTTP/1.1|host: b||"),
            (vec![(&b"x"[..], &b"y"[..])], "GET - HTTP/1.1||"),
        ] {
            let mut reader = HeadReader::new(BOUNDS);
            for (name, value) in &fields {
                reader.field(name, value);
            }
            let (head, fault) = reader.finish(true);
            assert_eq!((written(&head).as_str(), fault.is_some()), (expected, true));
        }
    }

    fn with(more: &[Field<'static>]) -> Vec<Field<'static>> {
        [&GET[..], more].concat()
    }

    fn put(place: usize, value: &'static [u8]) -> Vec<Field<'static>> {
        let mut fields = GET.to_vec();
        fields[place].1 = value;
        fields
    }

    fn written(head: &RequestHead) -> String {
        let mut out = Vec::new();
        head.write(&mut out);
        out.escape_ascii().to_string().replace("\\r\\n", "|")
    }

    #[test]
    fn a_head_says_what_came_in_its_order_with_the_host_first() {
        for (fields, expected) in [
            (with(&[]), "GET /a HTTP/1.1|Host: Edge.test:443||"),
            (
                with(&[(b"x-b", b"1"), (b"x-a", b" 2\t"), (b"x-b", b"")]),
                "GET /a HTTP/1.1|Host: Edge.test:443|x-b: 1|x-a: 2|x-b: ||",
            ),
            (with(&[(b"x", b"y"), (b"host", b"edge.test")]), "GET /a HTTP/1.1|x: y|host: edge.test||"),
            (
                with(&[(b"cookie", b"a=1"), (b"x", b"y"), (b"cookie", b"c=2; d=3"), (b"cookie", b"e=4")]),
                "GET /a HTTP/1.1|Host: Edge.test:443|Cookie: a=1; c=2; d=3; e=4|x: y||",
            ),
            (
                with(&[(b"te", b"trailers"), (b"x", b"\xe9")]),
                "GET /a HTTP/1.1|Host: Edge.test:443|te: trailers|x: \\xe9||",
            ),
            (put(2, b"/a?q={\"a\":1}&<x>`\xe9"), "GET /a?q={\\\"a\\\":1}&<x>`\\xe9 HTTP/1.1|Host: Edge.test:443||"),
        ] {
            let head = read(&fields, true).expect(expected);
            assert_eq!(written(&head), expected);
            assert_eq!((head.version, head.authority()), (Version::HTTP_2, Some(&b"Edge.test:443"[..])));
        }
        let mut options = put(2, b"*");
        options[0].1 = b"OPTIONS";
        assert_eq!(read(&options, true).expect("a good head").target(), b"*");
        let connect = [(&b":method"[..], &b"CONNECT"[..]), (b":authority", b"a:1")];
        assert_eq!(read(&connect, true).expect("refused later").target(), b"a:1");
        let no_host = read(&GET[..3], true).expect("refused later");
        assert!(!no_host.fields.has(Name::Host) && no_host.authority().is_none());
        let length = with(&[(b"content-length", b"5")]);
        assert!(read(&length, false).is_ok());
    }

    #[test]
    fn what_breaks_the_rules_of_heads_is_refused_with_its_reason() {
        let without = |place: usize| {
            let mut fields = GET.to_vec();
            fields.remove(place);
            fields
        };
        let before = |place: usize, name, value| {
            let mut fields = GET.to_vec();
            fields.insert(place, (name, value));
            fields
        };
        let long = [b'x'; 900];
        let long: &'static [u8] = Box::leak(Box::new(long));
        for (fields, status, reason) in [
            (without(0), 400, "framing"),
            (without(1), 400, "framing"),
            (without(2), 400, "framing"),
            (before(1, b":method", b"GET"), 400, "framing"),
            (before(1, b":path", b"/b"), 400, "framing"),
            (before(1, b":scheme", b"https"), 400, "framing"),
            (before(1, b":authority", b"Edge.test"), 400, "framing"),
            (before(0, b"x", b"y"), 400, "framing"),
            (before(2, b"x", b"y"), 400, "framing"),
            (before(1, b":status", b"200"), 400, "framing"),
            (before(1, b":protocol", b"websocket"), 400, "framing"),
            (before(1, b":", b""), 400, "framing"),
            (put(0, b"G T"), 400, "framing"),
            (put(0, b""), 400, "framing"),
            (put(0, b"CONNECT"), 400, "framing"),
            (put(1, b""), 400, "framing"),
            (put(1, b"ht tp"), 400, "framing"),
            (put(2, b""), 400, "target"),
            (put(2, b"a"), 400, "target"),
            (put(2, b"*"), 400, "target"),
            (put(2, b"http://a/"), 400, "target"),
            (put(2, b"/a b"), 400, "target"),
            (put(2, b"/a#b"), 400, "target"),
            (put(2, b"/a\x01"), 400, "target"),
            (put(2, b"/a\x7f"), 400, "target"),
            (put(2, b"/a\r\nX: y"), 400, "target"),
            (with(&[(b"host", b"other.test")]), 400, "host"),
            (with(&[(b"host", b"edge.test:80")]), 400, "host"),
            (with(&[(b"host", b"edge.test"), (b"host", b"b")]), 400, "host"),
            (with(&[(b"X", b"y")]), 400, "framing"),
            (with(&[(b"", b"y")]), 400, "framing"),
            (with(&[(b"x y", b"")]), 400, "framing"),
            (with(&[(b"x\xe9", b"")]), 400, "framing"),
            (with(&[(b"x", b"a\r\nb: c")]), 400, "framing"),
            (with(&[(b"x", b"a\0")]), 400, "framing"),
            (with(&[(b"x", b"a\x7f")]), 400, "framing"),
            (with(&[(b"connection", b"close")]), 400, "connection"),
            (with(&[(b"keep-alive", b"1")]), 400, "connection"),
            (with(&[(b"proxy-connection", b"x")]), 400, "connection"),
            (with(&[(b"upgrade", b"websocket")]), 400, "connection"),
            (with(&[(b"te", b"gzip")]), 400, "connection"),
            (with(&[(b"transfer-encoding", b"chunked")]), 400, "transfer_encoding"),
            (with(&[(b"content-length", b"5")]), 400, "content_length"),
            (with(&[(b"content-length", b"0"), (b"content-length", b"0")]), 400, "content_length"),
            (with(&[(b"content-length", b"+0")]), 400, "content_length"),
            (with(&[(b"content-length", b"")]), 400, "content_length"),
            (with(&[(b"content-length", b"0, 0")]), 400, "content_length"),
            (with(&[(b"content-length", b"99999999999999999999")]), 400, "content_length"),
            (with(&[(b"x", long)]), 431, "request_head"),
            (with(&[(&b"x"[..], &b""[..]); 6]), 431, "headers"),
        ] {
            let shown: Vec<_> =
                fields.iter().map(|(n, v)| format!("{}: {}", n.escape_ascii(), v.escape_ascii())).collect();
            let found = read(&fields, true).expect_err(&format!("{shown:?}"));
            assert_eq!((found.status, found.reason), (status, reason), "{shown:?}");
        }
    }

    #[test]
    fn trailers_are_fields_that_say_nothing_of_the_head() {
        let read = |fields: &[Field<'_>]| {
            let mut reader = TrailerReader::new(BOUNDS);
            for (name, value) in fields {
                reader.field(name, value);
            }
            reader.finish()
        };
        let fields =
            read(&[(b"grpc-status", b"0"), (b"content-length", b"5"), (b"x-sum", b"1")]).expect("good trailers");
        assert_eq!(fields.iter().collect::<Vec<_>>(), [(&b"grpc-status"[..], &b"0"[..]), (b"x-sum", b"1")]);
        for bad in [(&b":path"[..], &b"/"[..]), (b"X", b"y"), (b"x", b"\n")] {
            assert_eq!(read(&[(b"x", b"y"), bad]).expect_err("bad trailers"), BAD);
        }
        assert_eq!(read(&[(b"x", &[b'y'; 1000])]).expect_err("long trailers").status, 431);
    }
}
