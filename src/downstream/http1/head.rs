//! Checks on the bytes of a head before, or besides, what the message room reads of them.

use http::{Method, Version};

use crate::message::RequestHead;

/// Whether these bytes may begin a request: a method, or an empty line before it.
pub fn may_begin(bytes: &[u8]) -> bool {
    let line = &bytes[..memchr::memchr2(b' ', b'\n', bytes).unwrap_or(bytes.len())];
    !line.iter().any(|byte| !byte.is_ascii_graphic() && *byte != b'\r') && line.len() <= 64
}

/// As much as a log line needs of a head that was not understood: method and target as far as they can be read.
pub fn remains(raw: &[u8]) -> RequestHead {
    /// More of a target is not logged.
    const MOST: usize = 1024;
    let start = raw.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(0);
    let line = &raw[start..];
    let line = &line[..memchr::memchr2(b'\r', b'\n', line).unwrap_or(line.len())];
    let mut parts = line.splitn(2, |byte| *byte == b' ');
    let method = parts.next().and_then(|method| Method::from_bytes(method).ok()).filter(|m| m.as_str().len() <= 32);
    let target = parts.next().unwrap_or_default();
    let target = target.strip_suffix(b" HTTP/1.1").or_else(|| target.strip_suffix(b" HTTP/1.0")).unwrap_or(target);
    let target = &target[..target.len().min(MOST)];
    let method = method.unwrap_or_else(|| Method::from_bytes(b"-").expect("a token"));
    RequestHead::new(method, Version::HTTP_11, target)
}
