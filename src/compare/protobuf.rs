//! Reads gRPC's frames and the wire format of protobuf by field number; no schema is needed.
//!
//! A part with a length is a text if it holds nothing but letters, else a message if it reads as one, else bytes. Sources: the
//! specification of gRPC over HTTP/2, and the description of the protobuf wire format.

use std::borrow::Cow;
use std::fmt::Write;

use super::json::Json;

const MAX_DEPTH: usize = 32;
const MAX_FIELDS: usize = 50_000;

/// The messages of a body, as a list of objects whose keys are field numbers. `None`: compressed, or no frames.
pub(super) fn frames(mut body: &[u8]) -> Option<Json<'static>> {
    let mut messages = Vec::new();
    let mut left = MAX_FIELDS;
    while !body.is_empty() {
        let (head, rest) = body.split_at_checked(5)?;
        let (0, length) = (*head.first()?, u32::from_be_bytes(head.get(1..5)?.try_into().ok()?)) else { return None };
        let (message, behind) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        messages.push(fields(message, 0, &mut left)?);
        body = behind;
    }
    match messages.len() {
        1 => messages.pop(),
        _ => Some(Json::Array(messages)),
    }
}

/// One message without a frame.
pub(super) fn message(bytes: &[u8]) -> Option<Json<'static>> {
    fields(bytes, 0, &mut MAX_FIELDS.clone())
}

fn fields(mut bytes: &[u8], depth: usize, left: &mut usize) -> Option<Json<'static>> {
    if depth > MAX_DEPTH {
        return None;
    }
    let mut members: Vec<(Cow<'static, str>, Json<'static>)> = Vec::new();
    while !bytes.is_empty() {
        *left = left.checked_sub(1)?;
        let key = varint(&mut bytes)?;
        let number = key >> 3;
        if number == 0 || number > 536_870_911 {
            return None;
        }
        let value = match key & 7 {
            0 => word(&varint(&mut bytes)?.to_string()),
            1 => word(&format!("0x{:016x}", u64::from_le_bytes(take(&mut bytes, 8)?.try_into().ok()?))),
            5 => word(&format!("0x{:08x}", u32::from_le_bytes(take(&mut bytes, 4)?.try_into().ok()?))),
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                part(take(&mut bytes, length)?, depth, left)
            }
            _ => return None,
        };
        members.push((Cow::Owned(number.to_string()), value));
    }
    Some(Json::Object(members))
}

fn part(bytes: &[u8], depth: usize, left: &mut usize) -> Json<'static> {
    let text =
        std::str::from_utf8(bytes).ok().filter(|text| !text.chars().any(|c| c.is_control() && !c.is_whitespace()));
    // A message may begin like white space: its first field, a text of nine to thirteen bytes.
    if let Some(text) = text.filter(|text| !text.starts_with(char::is_control)) {
        return word(text);
    }
    let mut budget = *left;
    if let Some(message) = fields(bytes, depth + 1, &mut budget).filter(|_| !bytes.is_empty()) {
        *left = budget;
        return message;
    }
    if let Some(text) = text {
        return word(text);
    }
    let mut out = String::from("0x");
    for byte in bytes {
        write!(out, "{byte:02x}").expect("writing to a String cannot fail");
    }
    word(&out)
}

fn word(text: &str) -> Json<'static> {
    Json::String(Cow::Owned(text.to_owned()))
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = *take(bytes, 1)?.first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn take<'b>(bytes: &mut &'b [u8], length: usize) -> Option<&'b [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_by_field_number() {
        let shown = |json: Option<Json<'_>>| {
            json.map(|json| {
                let mut out = String::new();
                json.write(&mut out);
                out
            })
        };
        // { 1: 150, 2: "testing", 3: { 1: 150 } }
        let bytes = b"\x08\x96\x01\x12\x07testing\x1a\x03\x08\x96\x01";
        let expected = r#"{"1":"150","2":"testing","3":{"1":"150"}}"#;
        assert_eq!(shown(message(bytes)).as_deref(), Some(expected));
        // { 1: { 1: "0123456789" } }: read as letters, it would be white space and digits.
        assert_eq!(shown(message(b"\x0a\x0c\x0a\x0a0123456789")).as_deref(), Some(r#"{"1":{"1":"0123456789"}}"#));
        assert_eq!(shown(message(b"\x0a\x03\n\na")).as_deref(), Some(r#"{"1":"\n\na"}"#));
        let mut framed = vec![0, 0, 0, 0, u8::try_from(bytes.len()).expect("short")];
        framed.extend(bytes);
        assert_eq!(shown(frames(&framed)).as_deref(), Some(expected));
        for wrong in [&b"\x01\0\0\0\0"[..], b"\0\0\0\0\x09abc", b"\0\0\0\0\x01\x07"] {
            assert_eq!(shown(frames(wrong)), None, "{wrong:?}");
        }
    }
}
