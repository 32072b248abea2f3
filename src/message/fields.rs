//! The fields of a head, in the order in which they came: one buffer, and a span for each name and value.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Excerpt, Name, Span};

/// The key by which a field is looked up. Names are compared without case.
#[derive(Debug, Clone, Copy)]
pub enum Key<'a> {
    Known(Name),
    Other(&'a [u8]),
}

impl From<Name> for Key<'_> {
    fn from(name: Name) -> Self {
        Self::Known(name)
    }
}

impl<'a> From<&'a [u8]> for Key<'a> {
    fn from(text: &'a [u8]) -> Self {
        match Name::of(text) {
            Name::Other => Self::Other(text),
            known => Self::Known(known),
        }
    }
}

impl<'a> From<&'a str> for Key<'a> {
    fn from(text: &'a str) -> Self {
        text.as_bytes().into()
    }
}

impl<'a> From<&'a HeaderName> for Key<'a> {
    fn from(name: &'a HeaderName) -> Self {
        name.as_str().into()
    }
}

/// One line. `name: value\r\n` stands in the buffer from `name.at`, unless the sender wrote other white space.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    at: u32,
    value_at: u32,
    value_length: u32,
    name_length: u16,
    name: Name,
}

impl Line {
    pub(super) const fn value(self) -> Span {
        Span { at: self.value_at, length: self.value_length }
    }

    const fn name_span(self) -> Span {
        Span { at: self.at, length: self.name_length as u32 }
    }
}

/// The fields of one head or of one trailer section.
#[derive(Clone, Default)]
pub struct Fields {
    pub(super) text: Vec<u8>,
    lines: Vec<Line>,
    /// A bit for each name that a line has, or had before it was removed: most look-ups are for names that no line has.
    names: u64,
}

/// Room for a line that a step adds, so that most heads are never moved.
const SPARE: usize = 512;

impl Fields {
    #[must_use]
    pub const fn new() -> Self {
        Self { text: Vec::new(), lines: Vec::new(), names: 0 }
    }

    /// Takes the bytes of a head; [`Fields::found`] is called for each field in it.
    pub(super) fn of(head: &[u8], count: usize) -> Self {
        let mut text = Vec::with_capacity(head.len() + SPARE);
        text.extend_from_slice(head);
        Self { text, lines: Vec::with_capacity(count + 8), names: 0 }
    }

    /// A copy with room for the lines that are added to it.
    #[inline]
    pub(super) fn to_edit(&self) -> Self {
        let mut text = Vec::with_capacity(self.text.len() + SPARE);
        text.extend_from_slice(&self.text);
        let mut lines = Vec::with_capacity(self.lines.len() + 8);
        lines.extend_from_slice(&self.lines);
        Self { text, lines, names: self.names }
    }

    /// A field of the head that this was made of. `name` and `value` are parts of `head`. Names longer than 64 KiB are refused
    /// before.
    pub(super) fn found(&mut self, name: &[u8], value: &[u8], head: &[u8]) {
        let (name_span, value_span) = (Span::of(name, head), Span::of(value, head));
        self.push(Line {
            at: name_span.at,
            value_at: if value.is_empty() { name_span.at } else { value_span.at },
            value_length: value_span.length,
            name_length: u16::try_from(name.len()).unwrap_or(u16::MAX),
            name: Name::of(name),
        });
    }

    /// The line ends in folded values become spaces (RFC 9112, 5.2). A request with one is refused before.
    pub(super) fn unfold(&mut self) {
        for line in &self.lines {
            let value = &mut self.text[line.value_at as usize..][..line.value_length as usize];
            value.iter_mut().filter(|byte| matches!(byte, b'\r' | b'\n')).for_each(|byte| *byte = b' ');
        }
    }

    #[must_use]
    pub const fn len(&self) -> usize {
        self.lines.len()
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    #[inline]
    fn push(&mut self, line: Line) {
        self.names |= line.name.bit();
        self.lines.push(line);
    }

    /// `false`: no line has this name. Asked before each look-up, a hundred times a request: as a call it costs more than it saves.
    #[inline]
    const fn may_have(&self, key: Key<'_>) -> bool {
        let name = match key {
            Key::Known(name) => name,
            Key::Other(_) => Name::Other,
        };
        self.names & name.bit() != 0
    }

    #[inline]
    fn matches(&self, line: &Line, key: Key<'_>) -> bool {
        match key {
            Key::Known(name) => line.name == name,
            Key::Other(text) => self.has_text(line, text),
        }
    }

    #[inline(never)]
    fn has_text(&self, line: &Line, text: &[u8]) -> bool {
        line.name == Name::Other
            && usize::from(line.name_length) == text.len()
            && line.name_span().get(&self.text).eq_ignore_ascii_case(text)
    }

    /// The first line with this name.
    #[inline]
    fn first(&self, key: Key<'_>) -> Option<&Line> {
        if !self.may_have(key) {
            return None;
        }
        self.lines.iter().find(|line| self.matches(line, key))
    }

    /// The first value under this name, without white space around it.
    #[must_use]
    pub fn get<'k>(&self, key: impl Into<Key<'k>>) -> Option<&[u8]> {
        self.first(key.into()).map(|line| line.value().get(&self.text))
    }

    /// The same with what stands behind it in the buffer.
    #[must_use]
    #[inline]
    pub fn excerpt(&self, name: Name) -> Option<Excerpt<'_>> {
        self.first(name.into()).map(|line| line.value().excerpt(&self.text))
    }

    /// The value where it is UTF-8.
    #[must_use]
    pub fn text<'k>(&self, key: impl Into<Key<'k>>) -> Option<&str> {
        std::str::from_utf8(self.get(key)?).ok()
    }

    /// All values under this name, in their order.
    pub fn all<'s, 'k: 's>(&'s self, key: impl Into<Key<'k>>) -> impl DoubleEndedIterator<Item = &'s [u8]> {
        let key = key.into();
        let lines = if self.may_have(key) { &self.lines[..] } else { &[] };
        lines.iter().filter(move |line| self.matches(line, key)).map(|line| line.value().get(&self.text))
    }

    #[must_use]
    pub fn has<'k>(&self, key: impl Into<Key<'k>>) -> bool {
        self.first(key.into()).is_some()
    }

    /// Name and value of each field, in their order, in the sender's case.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.lines.iter().map(|line| (line.name_span().get(&self.text), line.value().get(&self.text)))
    }

    /// The same with the number of each name.
    pub fn named(&self) -> impl Iterator<Item = (Name, &[u8], &[u8])> {
        self.lines.iter().map(|line| (line.name, line.name_span().get(&self.text), line.value().get(&self.text)))
    }

    /// Removes every field of this name.
    pub fn remove<'k>(&mut self, key: impl Into<Key<'k>>) {
        let key = key.into();
        if self.has(key) {
            self.retain(|name, text, _| match key {
                Key::Known(known) => name != known,
                Key::Other(other) => !text.eq_ignore_ascii_case(other),
            });
        }
    }

    /// Keeps the fields for which `keep` says so: the name's number, the name, the value.
    pub fn retain(&mut self, mut keep: impl FnMut(Name, &[u8], &[u8]) -> bool) {
        let text = &self.text;
        self.lines.retain(|line| keep(line.name, line.name_span().get(text), line.value().get(text)));
    }

    /// Gives this name one value: in the place of the first field that has it, else at the end. The value holds no line end.
    pub fn set<'k>(&mut self, key: impl Into<Key<'k>>, value: &[u8]) {
        let key = key.into();
        if !self.may_have(key) {
            return self.append(key, value);
        }
        let Some(first) = self.lines.iter().position(|line| self.matches(line, key)) else {
            return self.append(key, value);
        };
        let line = self.line(key, value);
        self.lines[first] = line;
        let mut at = 0;
        let text = &self.text;
        self.lines.retain(|line| {
            at += 1;
            at <= first + 1
                || match key {
                    Key::Known(name) => line.name != name,
                    Key::Other(other) => !line.name_span().get(text).eq_ignore_ascii_case(other),
                }
        });
    }

    /// Adds a field at the end. The value holds no line end.
    #[inline]
    pub fn append<'k>(&mut self, key: impl Into<Key<'k>>, value: &[u8]) {
        let line = self.line(key.into(), value);
        self.push(line);
    }

    /// As [`Fields::set`], for a name that the file gives: written in title case (`x-set` as `X-Set`).
    pub fn set_named(&mut self, name: &HeaderName, value: &[u8]) {
        self.set(name, value);
        let set = self.first(name.into()).copied();
        self.title(set);
    }

    /// As [`Fields::append`], for a name that the file gives: written in title case.
    pub fn append_named(&mut self, name: &HeaderName, value: &[u8]) {
        self.append(name, value);
        self.title(self.lines.last().copied());
    }

    /// Puts the name of a line that was just written in title case. Known names have a spelling of their own.
    fn title(&mut self, line: Option<Line>) {
        let Some(line) = line.filter(|line| line.name == Name::Other) else { return };
        let at = line.at as usize;
        let mut first = true;
        for byte in &mut self.text[at..at + usize::from(line.name_length)] {
            if first {
                byte.make_ascii_uppercase();
            }
            first = *byte == b'-';
        }
    }

    /// Adds a field before all others.
    pub fn prepend<'k>(&mut self, key: impl Into<Key<'k>>, value: &[u8]) {
        let line = self.line(key.into(), value);
        self.prepend_line(line);
    }

    /// The same of a line that [`Fields::line`] has written.
    #[inline]
    pub(super) fn prepend_line(&mut self, line: Line) {
        self.names |= line.name.bit();
        self.lines.insert(0, line);
    }

    /// Where the first value under this name stands in the buffer that [`Fields::append_with`] hands to its closure.
    #[must_use]
    pub fn place<'k>(&self, key: impl Into<Key<'k>>) -> Option<std::ops::Range<usize>> {
        let line = self.first(key.into())?;
        Some(line.value_at as usize..(line.value_at + line.value_length) as usize)
    }

    /// Adds a field whose value `write` appends to the buffer. It must append no line end.
    pub fn append_with<'k>(&mut self, key: impl Into<Key<'k>>, write: impl FnOnce(&mut Vec<u8>)) {
        let (at, name_length, name) = self.put_name(key.into());
        let value_at = self.text.len();
        write(&mut self.text);
        let line = self.finish(at, name_length, name, value_at);
        self.push(line);
    }

    /// Writes a line without adding it.
    #[inline]
    pub(super) fn line(&mut self, key: Key<'_>, value: &[u8]) -> Line {
        let (at, name_length, name) = self.put_name(key);
        let value_at = self.text.len();
        self.text.extend_from_slice(value);
        self.finish(at, name_length, name, value_at)
    }

    #[inline]
    fn put_name(&mut self, key: Key<'_>) -> (usize, usize, Name) {
        let at = self.text.len();
        let (text, name) = match key {
            Key::Known(name) => (name.as_str().as_bytes(), name),
            Key::Other(text) => (text, Name::Other),
        };
        self.text.extend_from_slice(text);
        self.text.extend_from_slice(b": ");
        (at, text.len(), name)
    }

    #[inline]
    fn finish(&mut self, at: usize, name_length: usize, name: Name, value_at: usize) -> Line {
        let span = Span::new(value_at, self.text.len() - value_at);
        self.text.extend_from_slice(b"\r\n");
        Line {
            at: Span::new(at, 0).at,
            value_at: span.at,
            value_length: span.length,
            name_length: u16::try_from(name_length).unwrap_or(u16::MAX),
            name,
        }
    }

    /// Appends the fields as lines of HTTP/1, without the empty line behind them. Neighbours in the buffer are copied at once.
    pub fn write(&self, out: &mut Vec<u8>) {
        self.write_lines(self.lines.iter(), out);
    }

    /// The same without the fields of one name.
    pub fn write_without(&self, name: Name, out: &mut Vec<u8>) {
        self.write_lines(self.lines.iter().filter(|line| line.name != name), out);
    }

    fn write_lines<'a>(&self, lines: impl Iterator<Item = &'a Line>, out: &mut Vec<u8>) {
        let mut run = 0..0;
        for line in lines {
            let at = line.at as usize;
            let value_end = (line.value_at + line.value_length) as usize;
            let whole = line.value_at as usize == at + usize::from(line.name_length) + 2
                && self.text.get(value_end..value_end + 2) == Some(b"\r\n");
            if whole && at == run.end && !run.is_empty() {
                run.end = value_end + 2;
                continue;
            }
            out.extend_from_slice(&self.text[run.clone()]);
            run = 0..0;
            if whole {
                run = at..value_end + 2;
            } else {
                out.extend_from_slice(line.name_span().get(&self.text));
                out.extend_from_slice(b": ");
                out.extend_from_slice(line.value().get(&self.text));
                out.extend_from_slice(b"\r\n");
            }
        }
        out.extend_from_slice(&self.text[run]);
    }

    /// The same as a map, for the comparison of answers. Fields that a map cannot hold are left out.
    #[must_use]
    pub fn to_map(&self) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(self.len());
        for (name, value) in self.iter() {
            if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
                map.append(name, value);
            }
        }
        map
    }

    /// Bytes of names and values.
    #[must_use]
    #[inline]
    pub fn weight(&self) -> usize {
        self.lines.iter().map(|line| usize::from(line.name_length) + line.value_length as usize).sum()
    }
}

/// Whether bytes may be the value of a field: no control character but a tab (RFC 9110, 5.5).
#[must_use]
pub fn is_value(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~' | 0x80..))
}

/// The elements of a list in a field's value (RFC 9110, 5.6.1), without white space around them and without empty ones.
pub fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for (name, value) in self.iter() {
            map.entry(&name.escape_ascii().to_string(), &value.escape_ascii().to_string());
        }
        map.finish()
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Fields {
    fn from_iter<T: IntoIterator<Item = (&'a str, &'a str)>>(lines: T) -> Self {
        let mut fields = Self::new();
        for (name, value) in lines {
            let text = name.as_bytes();
            // The caller's spelling is kept, also of a known name.
            let (at, value_at) = (fields.text.len(), fields.text.len() + text.len() + 2);
            fields.text.extend_from_slice(text);
            fields.text.extend_from_slice(b": ");
            fields.text.extend_from_slice(value.as_bytes());
            let line = fields.finish(at, text.len(), Name::of(text), value_at);
            fields.push(line);
        }
        fields
    }
}

impl From<&HeaderMap> for Fields {
    fn from(map: &HeaderMap) -> Self {
        let mut fields = Self::new();
        for (name, value) in map {
            fields.push_raw(name.as_str().as_bytes(), value.as_bytes());
        }
        fields
    }
}

impl Fields {
    /// Adds a field at the end in the spelling that is given.
    #[inline]
    pub fn push_raw(&mut self, name: &[u8], value: &[u8]) {
        self.push_known(Name::of(name), name, value);
    }

    /// The same where the number of the name was found already.
    #[inline]
    pub fn push_known(&mut self, known: Name, name: &[u8], value: &[u8]) {
        let at = self.text.len();
        self.text.extend_from_slice(name);
        self.text.extend_from_slice(b": ");
        let value_at = self.text.len();
        self.text.extend_from_slice(value);
        let line = self.finish(at, name.len(), known, value_at);
        self.push(line);
    }
}

#[cfg(test)]
#[path = "fields_tests.rs"]
mod tests;
