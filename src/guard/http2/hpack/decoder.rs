//! Reads header blocks (HPACK, RFC 7541): every field in its order, as bytes, and nothing beyond what the block says.
//!
//! The library's own decoder ends the whole connection at a name or value that it does not like. This one has no opinion of
//! fields: only what breaks HPACK itself is an error, because then the tables of both ends have come apart.

use std::collections::VecDeque;

use super::static_table::STATIC;
use super::{OVERHEAD, TABLE, huffman};

/// A block that is not HPACK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotHpack {
    /// The block ends inside of a field.
    Short,
    /// No field has this index.
    Index,
    /// A number beyond all use.
    Number,
    Huffman,
    /// A table size that was not allowed, or behind the first field.
    TableSize,
}

/// The decoder of one connection: its dynamic table.
#[derive(Debug)]
pub struct Decoder {
    /// The newest first.
    entries: VecDeque<Entry>,
    size: usize,
    most: usize,
    /// Of the field that is being read, where they are not found elsewhere as they are.
    name: Vec<u8>,
    value: Vec<u8>,
}

#[derive(Debug)]
struct Entry {
    text: Box<[u8]>,
    name: usize,
}

impl Entry {
    const fn size(&self) -> usize {
        self.text.len() + OVERHEAD
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: VecDeque::new(), size: 0, most: TABLE, name: Vec::new(), value: Vec::new() }
    }

    /// Reads a whole header block; `field` hears of each name and value.
    ///
    /// # Errors
    /// Behind an error the table is not the sender's any more: the connection has to end.
    pub fn decode(&mut self, block: &[u8], mut field: impl FnMut(&[u8], &[u8])) -> Result<(), NotHpack> {
        let mut rest = block;
        let mut begun = false;
        while let Some(first) = rest.first().copied() {
            if first & 0xe0 == 0x20 {
                let size = number(&mut rest, 5)?;
                if begun || size > TABLE {
                    return Err(NotHpack::TableSize);
                }
                self.most = size;
                self.evict(0);
                continue;
            }
            begun = true;
            if first & 0x80 != 0 {
                let index = number(&mut rest, 7)?;
                let (name, value) = self.get(index)?;
                field(name, value);
                continue;
            }
            let indexed = first & 0x40 != 0;
            let index = number(&mut rest, if indexed { 6 } else { 4 })?;
            self.literal(index, indexed, &mut rest, &mut field)?;
        }
        Ok(())
    }

    fn literal(
        &mut self,
        index: usize,
        indexed: bool,
        rest: &mut &[u8],
        field: &mut impl FnMut(&[u8], &[u8]),
    ) -> Result<(), NotHpack> {
        let (mut name, mut value) = (std::mem::take(&mut self.name), std::mem::take(&mut self.value));
        let entry = self.read_literal(index, indexed, rest, (&mut name, &mut value), field);
        (self.name, self.value) = (name, value);
        if let Some(entry) = entry? {
            self.evict(entry.size());
            if entry.size() <= self.most {
                self.size += entry.size();
                self.entries.push_front(entry);
            }
        }
        Ok(())
    }

    fn read_literal(
        &self,
        index: usize,
        indexed: bool,
        rest: &mut &[u8],
        (name, value): (&mut Vec<u8>, &mut Vec<u8>),
        field: &mut impl FnMut(&[u8], &[u8]),
    ) -> Result<Option<Entry>, NotHpack> {
        let name = if index == 0 { string(rest, name)? } else { self.get(index)?.0 };
        let value = string(rest, value)?;
        field(name, value);
        // A copy: the name may be one of an entry that is about to leave.
        Ok(indexed.then(|| Entry { text: [name, value].concat().into(), name: name.len() }))
    }

    fn get(&self, index: usize) -> Result<(&[u8], &[u8]), NotHpack> {
        let place = index.checked_sub(1).ok_or(NotHpack::Index)?;
        if let Some((name, value)) = STATIC.get(place) {
            return Ok((name.as_bytes(), value.as_bytes()));
        }
        let entry = self.entries.get(place - STATIC.len()).ok_or(NotHpack::Index)?;
        Ok(entry.text.split_at(entry.name))
    }

    /// The newest first: each entry's text, and the length of its name.
    #[cfg(test)]
    pub(super) fn table(&self) -> Vec<(&[u8], usize)> {
        self.entries.iter().map(|entry| (&*entry.text, entry.name)).collect()
    }

    /// Makes room for an entry of this size.
    fn evict(&mut self, size: usize) {
        while self.size + size > self.most
            && let Some(oldest) = self.entries.pop_back()
        {
            self.size -= oldest.size();
        }
    }
}

/// A number with a prefix of `bits` bits (RFC 7541, 5.1).
pub(super) fn number(rest: &mut &[u8], prefix: u32) -> Result<usize, NotHpack> {
    /// Of bytes behind the first: no block is longer than 28 bits can say.
    const MOST: u32 = 4;
    let (first, mut behind) = rest.split_first().ok_or(NotHpack::Short)?;
    let mask = (1_u8 << prefix) - 1;
    let mut number = usize::from(first & mask);
    if number == usize::from(mask) {
        let mut shift = 0;
        loop {
            let (byte, more) = behind.split_first().ok_or(NotHpack::Short)?;
            if shift == 7 * MOST {
                return Err(NotHpack::Number);
            }
            number += usize::from(byte & 0x7f) << shift;
            shift += 7;
            behind = more;
            if byte & 0x80 == 0 {
                break;
            }
        }
    }
    *rest = behind;
    Ok(number)
}

/// A string (RFC 7541, 5.2); one in Huffman's code is written out in `text`.
fn string<'t, 'b: 't>(rest: &mut &'b [u8], text: &'t mut Vec<u8>) -> Result<&'t [u8], NotHpack> {
    let coded = rest.first().ok_or(NotHpack::Short)? & 0x80 != 0;
    let length = number(rest, 7)?;
    let (string, behind) = rest.split_at_checked(length).ok_or(NotHpack::Short)?;
    *rest = behind;
    if !coded {
        return Ok(string);
    }
    text.clear();
    huffman::decode(string, text).map_err(|_| NotHpack::Huffman)?;
    Ok(text)
}

#[cfg(test)]
#[path = "decoder_tests.rs"]
mod tests;
