//! The library's frames on their way to the client: in the place of its stand-ins for header blocks stand the blocks themselves.
//!
//! The library gets a status and no field. So no response's fields are copied into its types, in the order of a hash table, and
//! fields of one name stay where they were. All blocks are written here: its own tables and the client's have come apart.

use parking_lot::Mutex;

use super::heads::Heads;
use crate::guard::http2::hpack::Encoder;
use crate::guard::http2::{Frame, FrameKind};

/// The longest payload that every client takes (RFC 9113, 6.5.2).
const LONGEST: usize = 16_384;
/// The status of a block without one: only a client that has reset the stream can see it.
const NONE: u16 = 500;

/// One connection's direction to the client.
#[derive(Debug, Default)]
pub struct OutgoingFrames {
    encoder: Encoder,
    /// Bytes of a passing frame's payload that are still to come.
    left: usize,
    /// The beginning of a frame that has to be whole.
    held: Vec<u8>,
}

impl OutgoingFrames {
    /// Whether `length` bytes are all payload of a frame that passes.
    pub const fn are_payload(&self, length: usize) -> bool {
        self.left >= length
    }

    /// `length` bytes of a payload passed by another way.
    pub const fn passed(&mut self, length: usize) {
        self.left -= length;
    }

    /// Appends what the client gets for these bytes of the library.
    pub fn put(&mut self, bytes: &[u8], heads: &Mutex<Heads>, out: &mut Vec<u8>) {
        if self.held.is_empty() {
            let done = self.put_frames(bytes, heads, out);
            self.held.extend_from_slice(&bytes[done..]);
            return;
        }
        self.held.extend_from_slice(bytes);
        let mut held = std::mem::take(&mut self.held);
        let done = self.put_frames(&held, heads, out);
        held.drain(..done);
        self.held = held;
    }

    /// How much of the bytes is done with: a frame of headers has to be whole.
    fn put_frames(&mut self, bytes: &[u8], heads: &Mutex<Heads>, out: &mut Vec<u8>) -> usize {
        let (mut at, mut copied) = (0, 0);
        loop {
            let through = self.left.min(bytes.len() - at);
            at += through;
            self.left -= through;
            let Some(head) = bytes[at..].first_chunk() else { break };
            let frame = Frame::of(*head);
            let (begin, length) = (at + Frame::HEAD, frame.length as usize);
            if frame.kind != FrameKind::Headers {
                at = begin;
                self.left = length;
                continue;
            }
            let Some(stand_in) = bytes.get(begin..begin + length) else { break };
            out.extend_from_slice(&bytes[copied..at]);
            self.put_block(frame, stand_in, heads, out);
            at = begin + length;
            copied = at;
        }
        out.extend_from_slice(&bytes[copied..at]);
        at
    }

    fn put_block(&mut self, frame: Frame, stand_in: &[u8], heads: &Mutex<Heads>, out: &mut Vec<u8>) {
        let block = heads.lock().take_outgoing(frame.stream);
        let start = out.len();
        let ends = frame.flags & Frame::END_STREAM;
        out.extend_from_slice(&Frame::head(FrameKind::Headers, ends | Frame::END_HEADERS, frame.stream, 0));
        // The sizes that the client allows its table are the library's to know.
        self.encoder.take_sizes(stand_in, out);
        match block {
            Some(block) => block.write(&mut self.encoder, out),
            None => self.encoder.status(NONE, out),
        }
        let length = out.len() - start - Frame::HEAD;
        if length <= LONGEST {
            out[start..start + Frame::HEAD].copy_from_slice(&Frame::head(
                FrameKind::Headers,
                ends | Frame::END_HEADERS,
                frame.stream,
                length,
            ));
            return;
        }
        let block = out.split_off(start + Frame::HEAD);
        out.truncate(start);
        let (mut kind, mut flags) = (FrameKind::Headers, ends);
        let mut fragments = block.chunks(LONGEST).peekable();
        while let Some(fragment) = fragments.next() {
            flags |= if fragments.peek().is_none() { Frame::END_HEADERS } else { 0 };
            out.extend_from_slice(&Frame::head(kind, flags, frame.stream, fragment.len()));
            out.extend_from_slice(fragment);
            (kind, flags) = (FrameKind::Continuation, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::super::heads::OutgoingBlock;
    use super::*;

    #[test]
    fn frames_are_the_same_however_their_bytes_are_cut() {
        let frame = |kind, flags, stream, payload: &[u8]| {
            [&Frame::head(kind, flags, stream, payload.len())[..], payload].concat()
        };
        let bytes = [
            frame(FrameKind::Settings, 0, 0, &[]),
            frame(FrameKind::Headers, Frame::END_HEADERS, 1, &[0x20, 0x3f, 0xe1, 0x1f, 0x88]),
            frame(FrameKind::Data, 0, 1, b"hello"),
            frame(FrameKind::Headers, Frame::END_HEADERS | Frame::END_STREAM, 1, &[]),
            frame(FrameKind::Headers, Frame::END_HEADERS, 5, &[0x8d]),
            frame(FrameKind::Reset, 0, 5, &[0; 4]),
            frame(FrameKind::Headers, Frame::END_HEADERS | Frame::END_STREAM, 3, &[0x48, 3, b'2', b'9', b'9']),
        ]
        .concat();
        let written = |size: usize| {
            let heads = Mutex::new(Heads::new(100));
            for (stream, status, field) in [(3, 299, "x-b"), (1, 200, "x-a"), (1, 0, "x-t")] {
                let status = StatusCode::from_u16(status).ok();
                let fields = [(field, "value")].into_iter().collect();
                heads.lock().send(stream, OutgoingBlock { status, fields });
            }
            let (mut frames, mut out) = (OutgoingFrames::default(), Vec::new());
            for piece in bytes.chunks(size) {
                frames.put(piece, &heads, &mut out);
            }
            assert_eq!(heads.lock().outgoing(), 0);
            out
        };
        let field = |name: &[u8]| [&[0x40, 3][..], name, b"\x05value"].concat();
        let whole = [
            frame(FrameKind::Settings, 0, 0, &[]),
            frame(
                FrameKind::Headers,
                Frame::END_HEADERS,
                1,
                &[&[0x20, 0x3f, 0xe1, 0x1f, 0x88], &field(b"x-a")[..]].concat(),
            ),
            frame(FrameKind::Data, 0, 1, b"hello"),
            frame(FrameKind::Headers, Frame::END_HEADERS | Frame::END_STREAM, 1, &field(b"x-t")),
            frame(FrameKind::Headers, Frame::END_HEADERS, 5, &[0x8e]),
            frame(FrameKind::Reset, 0, 5, &[0; 4]),
            frame(
                FrameKind::Headers,
                Frame::END_HEADERS | Frame::END_STREAM,
                3,
                &[b"\x08\x03299", &field(b"x-b")[..]].concat(),
            ),
        ]
        .concat();
        for size in 1..=bytes.len() {
            assert_eq!(written(size), whole, "in pieces of {size}");
        }
    }
}
