//! A second reader of requests in HTTP/1, strict, and with nothing of the program in it.

use http::Version;

/// RFC 9112 to the letter, less what it lets a server forgive.
pub struct Strict<'a> {
    pub method: &'a [u8],
    pub target: &'a [u8],
    pub version: Version,
    pub fields: Vec<(&'a [u8], &'a [u8])>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// It goes on beyond the input.
    Open,
    Wrong,
}

impl<'a> Strict<'a> {
    pub fn head(raw: &'a [u8]) -> Result<Self, &'static str> {
        let start = raw.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).ok_or("empty")?;
        let head = raw[start..].strip_suffix(b"\r\n\r\n").ok_or("no end")?;
        let mut lines = lines(head)?.into_iter();
        let mut words = lines.next().ok_or("no request line")?.split(|&byte| byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err("not three words");
        };
        if method.is_empty() || !method.iter().all(|&byte| is_token(byte)) {
            return Err("method");
        }
        if target.is_empty() || target.iter().any(|&byte| byte <= b' ' || byte == 0x7f || byte == b'#') {
            return Err("target");
        }
        let version = match version {
            b"HTTP/1.0" => Version::HTTP_10,
            // A later minor version is answered as the highest that is known (RFC 9110, 2.5).
            [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1'..=b'9'] => Version::HTTP_11,
            _ => return Err("version"),
        };
        let fields = lines.map(field).collect::<Result<Vec<_>, _>>()?;
        let strict = Self { method, target, version, fields };
        strict.framing()?;
        Ok(strict)
    }

    pub fn all(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let fields = self.fields.iter().filter(move |(own, _)| own.eq_ignore_ascii_case(name.as_bytes()));
        fields.map(|(_, value)| *value)
    }

    /// One length or one coding, one host.
    fn framing(&self) -> Result<(), &'static str> {
        let lengths: Vec<_> = self.all("content-length").collect();
        let codings: Vec<_> = self.all("transfer-encoding").collect();
        match (&lengths[..], &codings[..]) {
            ([], []) => {}
            ([length], []) if !length.is_empty() && length.iter().all(u8::is_ascii_digit) => {}
            ([], [coding]) if coding.eq_ignore_ascii_case(b"chunked") && self.version == Version::HTTP_11 => {}
            _ => return Err("framing"),
        }
        match self.all("host").count() {
            1 => Ok(()),
            0 if self.version == Version::HTTP_10 => Ok(()),
            _ => Err("host"),
        }
    }

    pub fn body(&self, rest: &[u8]) -> Result<Vec<u8>, &'static str> {
        if let Some(length) = self.all("content-length").next() {
            let length: usize = std::str::from_utf8(length).expect("digits").parse().map_err(|_| "length")?;
            return rest.get(..length).map(<[u8]>::to_vec).ok_or("cut");
        }
        if self.all("transfer-encoding").next().is_some() {
            return chunked(rest).map_err(|end| if end == End::Open { "cut" } else { "chunks" });
        }
        Ok(Vec::new())
    }
}

/// Lines that end with CR LF, and hold neither elsewhere.
fn lines(head: &[u8]) -> Result<Vec<&[u8]>, &'static str> {
    let mut lines = Vec::new();
    let mut rest = head;
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n").unwrap_or(rest.len());
        let line = &rest[..end];
        if line.iter().any(|byte| matches!(byte, b'\r' | b'\n')) {
            return Err("a bare line end");
        }
        lines.push(line);
        match rest.get(end + 2..) {
            Some(after) => rest = after,
            None => return Ok(lines),
        }
    }
}

fn field(line: &[u8]) -> Result<(&[u8], &[u8]), &'static str> {
    let colon = line.iter().position(|&byte| byte == b':').ok_or("no colon")?;
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    if name.is_empty() || !name.iter().all(|&byte| is_token(byte)) {
        return Err("name");
    }
    if value.iter().any(|&byte| (byte < b' ' && byte != b'\t') || byte == 0x7f) {
        return Err("value");
    }
    Ok((name, value))
}

/// Section 7.1: the data of the chunks up to the last one. Trailers are not looked at, as nothing sends them on.
pub fn chunked(mut rest: &[u8]) -> Result<Vec<u8>, End> {
    let mut data = Vec::new();
    loop {
        let Some(end) = rest.iter().position(|&byte| byte == b'\n') else {
            return Err(if rest.is_empty() || size(rest.strip_suffix(b"\r").unwrap_or(rest)).is_some() {
                End::Open
            } else {
                End::Wrong
            });
        };
        let size = rest[..end].strip_suffix(b"\r").and_then(size).ok_or(End::Wrong)?;
        rest = &rest[end + 1..];
        if size == 0 {
            return Ok(data);
        }
        let length = usize::try_from(size).map_err(|_| End::Wrong)?;
        data.extend_from_slice(rest.get(..length).ok_or(End::Open)?);
        match &rest[length..] {
            [b'\r', b'\n', after @ ..] => rest = after,
            [] | [b'\r'] => return Err(End::Open),
            _ => return Err(End::Wrong),
        }
    }
}

/// A chunk-size line without its end: digits, then nothing or an extension.
fn size(line: &[u8]) -> Option<u64> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let after = line[digits..].trim_ascii_start();
    let is_extension = after.first().is_none_or(|&byte| byte == b';');
    if !(1..=15).contains(&digits) || !is_extension || after.contains(&b'\r') {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(&line[..digits]).ok()?, 16).ok()
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
