//! Tags in the spelling that nearly all pages use, read at the speed of their bytes.
//!
//! A tag of another spelling, or with a character reference in it, is left to the tokenizer: what is read here is read by it in
//! the same way, wherever it reads a tag at all. Its only `>` is its last byte: before that the tokenizer ends no tag.

use html5ever::tendril::StrTendril;
use html5ever::{Attribute, LocalName, QualName, ns};

#[derive(Debug)]
pub(super) struct PlainTag {
    pub(super) name: LocalName,
    pub(super) is_end: bool,
    pub(super) closes_itself: bool,
    pub(super) attributes: Vec<Attribute>,
    /// Bytes from `<` to `>`.
    pub(super) length: usize,
}

/// The tag with which a text begins: `<a href="/x" hidden>`, `<br/>` or `</a>`, in lower case, with values in double quotes.
pub(super) fn read(text: &str) -> Option<PlainTag> {
    let after = text.strip_prefix('<')?;
    if let Some(after) = after.strip_prefix('/') {
        let (name, rest) = name(after)?;
        let rest = rest.strip_prefix('>')?;
        let length = text.len() - rest.len();
        return Some(PlainTag {
            name: name.into(),
            is_end: true,
            closes_itself: false,
            attributes: Vec::new(),
            length,
        });
    }
    let (tag, mut rest) = name(after)?;
    let mut attributes: Vec<Attribute> = Vec::new();
    loop {
        let next = rest.trim_start_matches([' ', '\n', '\t']);
        let closes_itself = next.starts_with("/>");
        if closes_itself || next.starts_with('>') {
            let length = text.len() - next.len() + if closes_itself { 2 } else { 1 };
            return Some(PlainTag { name: tag.into(), is_end: false, closes_itself, attributes, length });
        }
        if next.len() == rest.len() {
            return None;
        }
        let (name, behind) = name(next)?;
        let (value, behind) = match behind.strip_prefix("=\"") {
            Some(value) => value.split_once('"')?,
            None if behind.starts_with('=') => return None,
            None => ("", behind),
        };
        if value.bytes().any(|byte| matches!(byte, b'&' | b'>' | b'\r' | 0)) {
            return None;
        }
        let name = QualName::new(None, ns!(), name.into());
        if attributes.iter().any(|known| known.name == name) {
            return None;
        }
        attributes.push(Attribute { name, value: StrTendril::from_slice(value) });
        rest = behind;
    }
}

/// A letter and letters, digits and dashes behind it.
fn name(text: &str) -> Option<(&str, &str)> {
    let is_in = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
    let length = text.bytes().position(|byte| !is_in(&byte))?;
    text.split_at_checked(length).filter(|(name, _)| name.starts_with(|c: char| c.is_ascii_lowercase()))
}
