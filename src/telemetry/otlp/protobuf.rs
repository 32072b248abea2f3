//! The parts of protobuf that spans need, written by hand: a code generator and its runtime would outweigh the rest of this module.

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const LENGTH: u32 = 2;
const FIXED32: u32 = 5;

/// Appends the fields of one message.
pub(super) struct Message<'a> {
    bytes: &'a mut Vec<u8>,
}

impl<'a> Message<'a> {
    pub(super) const fn new(bytes: &'a mut Vec<u8>) -> Self {
        Self { bytes }
    }

    pub(super) fn varint(&mut self, field: u32, value: u64) {
        self.tag(field, VARINT);
        push_varint(self.bytes, value);
    }

    pub(super) fn fixed64(&mut self, field: u32, value: u64) {
        self.tag(field, FIXED64);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn fixed32(&mut self, field: u32, value: u32) {
        self.tag(field, FIXED32);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn bytes(&mut self, field: u32, value: &[u8]) {
        self.tag(field, LENGTH);
        push_varint(self.bytes, value.len() as u64);
        self.bytes.extend_from_slice(value);
    }

    /// Protobuf strings are UTF-8; what is not becomes U+FFFD, or the collector would refuse the whole batch.
    pub(super) fn text(&mut self, field: u32, value: &[u8]) {
        match std::str::from_utf8(value) {
            Ok(_) => self.bytes(field, value),
            Err(_) => self.bytes(field, String::from_utf8_lossy(value).as_bytes()),
        }
    }

    /// A message within this one. Its length comes first and is known last: it is written behind and turned to the front.
    pub(super) fn message(&mut self, field: u32, write: impl FnOnce(&mut Message<'_>)) {
        self.tag(field, LENGTH);
        let start = self.bytes.len();
        write(&mut Message { bytes: self.bytes });
        let end = self.bytes.len();
        push_varint(self.bytes, (end - start) as u64);
        let length_of_length = self.bytes.len() - end;
        if let Some(written) = self.bytes.get_mut(start..) {
            written.rotate_right(length_of_length);
        }
    }

    /// Bytes that are fields already.
    pub(super) fn fields(&mut self, encoded: &[u8]) {
        self.bytes.extend_from_slice(encoded);
    }

    fn tag(&mut self, field: u32, kind: u32) {
        push_varint(self.bytes, u64::from(field << 3 | kind));
    }
}

fn push_varint(bytes: &mut Vec<u8>, mut value: u64) {
    loop {
        let seven = u8::try_from(value & 0x7f).expect("seven bits fit");
        value >>= 7;
        if value == 0 {
            bytes.push(seven);
            return;
        }
        bytes.push(seven | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_those_of_the_specification() {
        let mut bytes = Vec::new();
        let mut message = Message::new(&mut bytes);
        message.varint(1, 150);
        message.bytes(2, b"testing");
        message.message(3, |inner| inner.varint(1, 150));
        message.fixed32(4, 1);
        message.fixed64(16, 2);
        let wanted = b"\x08\x96\x01\x12\x07testing\x1a\x03\x08\x96\x01\x25\x01\0\0\0\x81\x01\x02\0\0\0\0\0\0\0";
        assert_eq!(bytes, wanted);
    }

    #[test]
    fn a_long_inner_message_has_a_longer_length() {
        let mut bytes = Vec::new();
        Message::new(&mut bytes).message(1, |inner| inner.bytes(1, &[7; 300]));
        assert_eq!(bytes[..6], [0x0a, 0xaf, 0x02, 0x0a, 0xac, 0x02]);
        assert_eq!(bytes.len(), 306);
    }

    #[test]
    fn text_is_always_utf_8() {
        let mut bytes = Vec::new();
        Message::new(&mut bytes).text(1, b"a\xff");
        assert_eq!(bytes, "\x0a\x04a\u{fffd}".as_bytes());
    }
}
