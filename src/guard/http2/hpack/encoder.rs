//! Writes header blocks of responses.
//!
//! A field that was sent before is its index in the dynamic table: of most responses on a connection little more than the date
//! and the length is left. A new field is written as it is and not in Huffman's code, whose bits cost more time than the bytes that they
//! save.

use std::collections::VecDeque;

use super::decoder::number as read_number;
use super::static_table::{STATIC, is_of_one_response, of_name, of_status};
use super::{OVERHEAD, TABLE};
use crate::message::Name;

/// Places for the numbers of entries, in pairs: a table of 4 096 bytes has seldom more than half as many entries.
const PLACES: usize = 128;
/// A name and a value with an index of their own.
const INDEXED: u8 = 0x80;
/// The prefixes of RFC 7541, 6.2: a literal that enters the table, one that does not, and one that no table on the way may keep.
const ENTERS: (u8, u32) = (0x40, 6);
const PASSES: (u8, u32) = (0x00, 4);
const SECRET: (u8, u32) = (0x10, 4);
/// The index of the name `:status`.
const STATUS: usize = 8;
/// A new size of the table.
const SIZE: u8 = 0x20;

/// The encoder of one connection: the dynamic table as the client has it.
#[derive(Debug)]
pub struct Encoder {
    /// The oldest first.
    entries: VecDeque<Entry>,
    /// Entries that have left the table: the number of the first that is in it.
    left: u32,
    size: usize,
    most: usize,
    /// By the hash of a field, where it may be. A number that is no longer right names an entry that is not equal, or none.
    places: Vec<u32>,
}

#[derive(Debug)]
struct Entry {
    /// The name in lower case, and the value behind it.
    text: Box<[u8]>,
    name: usize,
    known: Name,
}

impl Entry {
    const fn size(&self) -> usize {
        self.text.len() + OVERHEAD
    }

    fn is(&self, known: Name, name: &[u8], value: &[u8]) -> bool {
        self.known == known
            && self.text.len() == name.len() + value.len()
            && self.name == name.len()
            && self.text[self.name..] == *value
            && (known != Name::Other || self.text[..self.name].eq_ignore_ascii_case(name))
    }
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder {
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: VecDeque::new(), left: 0, size: 0, most: TABLE, places: Vec::new() }
    }

    /// Takes over the table's sizes that a block of another encoder begins with, at the beginning of a block. Bounded by what the
    /// standard allows unasked.
    pub fn take_sizes(&mut self, mut block: &[u8], out: &mut Vec<u8>) {
        while block.first().is_some_and(|first| first & 0xe0 == SIZE)
            && let Ok(size) = read_number(&mut block, 5)
        {
            self.most = size.min(TABLE);
            self.evict(0);
            number(out, (SIZE, 5), self.most);
        }
    }

    /// Writes the status, before all fields.
    pub fn status(&mut self, status: u16, out: &mut Vec<u8>) {
        if let Some(index) = of_status(status) {
            return number(out, (INDEXED, 7), index);
        }
        let digits = [status / 100 % 10, status / 10 % 10, status % 10].map(|digit| b'0' + (digit % 10) as u8);
        number(out, PASSES, STATUS);
        string(out, &digits);
    }

    /// Writes a field. Its name may be in any case.
    pub fn field(&mut self, known: Name, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
        let size = name.len() + value.len() + OVERHEAD;
        let literal = match known {
            Name::SetCookie | Name::Authorization | Name::Cookie => SECRET,
            Name::Age
            | Name::ContentLength
            | Name::ContentLocation
            | Name::Location
            | Name::Traceparent
            | Name::Tracestate
            | Name::XRequestId => PASSES,
            Name::Other if of_name(known, name).is_some_and(is_of_one_response) => PASSES,
            // One field does not push all others out.
            _ if size > self.most / 4 * 3 => PASSES,
            _ => {
                let places = pair_of(name, value);
                if let Some(index) = self.find(places, known, name, value) {
                    return number(out, (INDEXED, 7), index);
                }
                self.enter(places, known, name, value);
                ENTERS
            }
        };
        if let Some(index) = of_name(known, name) {
            number(out, literal, index);
        } else {
            out.push(literal.0);
            length(out, name.len());
            out.extend(name.iter().map(u8::to_ascii_lowercase));
        }
        string(out, value);
    }

    fn find(&self, places: usize, known: Name, name: &[u8], value: &[u8]) -> Option<usize> {
        let pair = self.places.get(places..places + 2)?;
        let places = pair.iter().map(|number| number.wrapping_sub(self.left) as usize);
        let mut places =
            places.filter(|place| self.entries.get(*place).is_some_and(|entry| entry.is(known, name, value)));
        // The newest has the lowest index.
        places.next().map(|place| STATIC.len() + self.entries.len() - place)
    }

    fn enter(&mut self, places: usize, known: Name, name: &[u8], value: &[u8]) {
        let mut text = Vec::with_capacity(name.len() + value.len());
        text.extend(name.iter().map(u8::to_ascii_lowercase));
        text.extend_from_slice(value);
        let entry = Entry { text: text.into(), name: name.len(), known };
        self.evict(entry.size());
        self.size += entry.size();
        self.entries.push_back(entry);
        if self.places.is_empty() {
            self.places = vec![u32::MAX; PLACES];
        }
        let number = self.left.wrapping_add(u32::try_from(self.entries.len() - 1).expect("a table is small"));
        // The older of the two goes.
        let age = |at: &usize| number.wrapping_sub(self.places[*at]);
        let at = [places, places + 1].into_iter().max_by_key(age).expect("there are two");
        self.places[at] = number;
    }

    /// Makes room for an entry of this size.
    fn evict(&mut self, size: usize) {
        while self.size + size > self.most
            && let Some(oldest) = self.entries.pop_front()
        {
            self.size -= oldest.size();
            self.left = self.left.wrapping_add(1);
        }
    }
}

/// The first of the two places of a field.
fn pair_of(name: &[u8], value: &[u8]) -> usize {
    const SMALL: u64 = 0x2020_2020_2020_2020;
    let mixed = (word(name) | SMALL).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ^ word(value).wrapping_mul(0xc2b2_ae3d_27d4_eb4f)
        ^ value.first_chunk().map_or(0, |first| u64::from_le_bytes(*first)).rotate_left(29)
        ^ (value.len() as u64) << 48;
    let spread = mixed.wrapping_mul(0xff51_afd7_ed55_8ccd) >> 32;
    usize::try_from(spread).expect("32 bits") % (PLACES / 2) * 2
}

/// The last eight bytes, or what there is.
fn word(bytes: &[u8]) -> u64 {
    match bytes.last_chunk() {
        Some(last) => u64::from_le_bytes(*last),
        None => bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

/// A number behind a prefix (RFC 7541, 5.1). Most are one byte.
#[inline]
fn number(out: &mut Vec<u8>, (first, bits): (u8, u32), number: usize) {
    let most = (1_usize << bits) - 1;
    if number < most {
        return out.push(first | low(number));
    }
    out.push(first | low(most));
    long_number(out, number - most);
}

#[inline(never)]
fn long_number(out: &mut Vec<u8>, mut rest: usize) {
    while rest >= 0x80 {
        out.push(low(rest) | 0x80);
        rest >>= 7;
    }
    out.push(low(rest));
}

fn low(number: usize) -> u8 {
    u8::try_from(number & 0xff).expect("eight bits")
}

fn length(out: &mut Vec<u8>, length: usize) {
    number(out, (0, 7), length);
}

fn string(out: &mut Vec<u8>, text: &[u8]) {
    length(out, text.len());
    out.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Decoder;
    use super::*;

    type Lines = Vec<(Vec<u8>, Vec<u8>)>;

    fn write(encoder: &mut Encoder, fields: &[(&str, &str)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, value) in fields {
            encoder.field(Name::of(name.as_bytes()), name.as_bytes(), value.as_bytes(), &mut out);
        }
        out
    }

    fn read(decoder: &mut Decoder, block: &[u8]) -> Lines {
        let mut lines = Lines::new();
        decoder.decode(block, |name, value| lines.push((name.to_vec(), value.to_vec()))).expect("HPACK");
        lines
    }

    fn lines(fields: &[(&str, &str)]) -> Lines {
        fields.iter().map(|(name, value)| (name.to_ascii_lowercase().into(), value.as_bytes().to_vec())).collect()
    }

    const PAGE: &[(&str, &str)] = &[
        ("Server", "nginx"),
        ("Date", "Sun, 29 Nov 2026 14:00:00 GMT"),
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Length", "5120"),
        ("X-Powered-By", "PHP/8.2.29"),
        ("Cache-Control", "no-cache, must-revalidate, max-age=0"),
        ("Content-Security-Policy", "default-src 'self'; img-src * data:; script-src 'self' 'unsafe-inline'"),
        ("Strict-Transport-Security", "max-age=31536000"),
    ];

    #[test]
    fn what_was_sent_before_is_an_index() {
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
        let first = write(&mut encoder, PAGE);
        let second = write(&mut encoder, PAGE);
        assert_eq!(read(&mut decoder, &first), lines(PAGE));
        assert_eq!(read(&mut decoder, &second), lines(PAGE));
        // Seven indices, and the length as it is.
        assert_eq!(second.len(), 7 + 3 + 4, "{}", second.escape_ascii());
    }

    #[test]
    fn a_secret_enters_no_table_and_says_so() {
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
        for _ in 0..2 {
            let block = write(&mut encoder, &[("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]);
            assert_eq!((block[0] & 0xf0, block.len()), (0x10, 2 * (2 + 1 + 3)));
            assert_eq!(read(&mut decoder, &block), lines(&[("set-cookie", "a=1"), ("set-cookie", "b=2")]));
        }
        assert!(encoder.entries.is_empty());
    }

    #[test]
    fn every_status_is_read_back() {
        for status in 100..1000 {
            let mut block = Vec::new();
            Encoder::new().status(status, &mut block);
            assert_eq!(read(&mut Decoder::new(), &block), lines(&[(":status", &status.to_string())]));
        }
    }

    #[test]
    fn sizes_of_the_table_are_followed_and_bounded() {
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
        read(&mut decoder, &write(&mut encoder, PAGE));
        // Nothing, then 100 bytes; and more than the standard allows unasked.
        for (sizes, most) in [(&[0x20, 0x3f, 0x45][..], 100), (&[0x3f, 0xe1, 0x7f], TABLE), (&[0x20], 0), (&[], 0)] {
            let mut block = Vec::new();
            encoder.take_sizes(&[sizes, &[0x88]].concat(), &mut block);
            assert_eq!((encoder.most, encoder.size <= most), (most, true));
            block.extend(write(&mut encoder, PAGE));
            assert_eq!(read(&mut decoder, &block), lines(PAGE));
            assert!(encoder.size <= most);
        }
        let mut block = Vec::new();
        // A number that does not end.
        encoder.take_sizes(&[0x3f, 0x80], &mut block);
        assert!(block.is_empty());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            blocks in proptest::collection::vec(
                (0_usize..5000, proptest::collection::vec((0_usize..14, 0_u32..6, 0_usize..300), 0..12)), 1..40),
        ) {
            const NAMES: [&str; 14] = ["Server", "date", "ETag", "X-A", "x-b", "Content-Type", "Set-Cookie", "Link",
                "Content-Length", "Vary", "Age", "X-Long-Name-Of-A-Vendor", "Cache-Control", "via"];
            let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
            for (size, fields) in blocks {
                let mut block = Vec::new();
                if size % 7 == 0 {
                    let mut sizes = Vec::new();
                    number(&mut sizes, (SIZE, 5), size);
                    encoder.take_sizes(&sizes, &mut block);
                }
                let mut expected = Lines::new();
                for (name, value, length) in fields {
                    let value = format!("{value}-{}", "v".repeat(if length > 290 { length * 20 } else { length / 10 }));
                    let name = NAMES[name].as_bytes();
                    encoder.field(Name::of(name), name, value.as_bytes(), &mut block);
                    expected.push((name.to_ascii_lowercase(), value.into_bytes()));
                }
                prop_assert_eq!(read(&mut decoder, &block), expected);
                let ours: Vec<_> = encoder.entries.iter().rev().map(|entry| (&*entry.text, entry.name)).collect();
                prop_assert_eq!(ours, decoder.table());
            }
        }
    }
}
