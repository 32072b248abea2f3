//! The frames in a stream of bytes that comes in pieces (RFC 9113, 4.1).

/// The client preface (RFC 9113, 3.4).
const PREFACE: u32 = 24;
const HEAD: u8 = 9;
/// The head of a frame, and what stands behind it up to the reason of a reset, and of a GOAWAY.
const OF_RESET: u8 = HEAD + 4;
const OF_GOAWAY: u8 = HEAD + 8;

const ACK: u8 = 0x1;

/// The types of frames (RFC 9113, 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    Data = 0,
    Headers = 1,
    Priority = 2,
    Reset = 3,
    Settings = 4,
    PushPromise = 5,
    Ping = 6,
    GoAway = 7,
    WindowUpdate = 8,
    Continuation = 9,
    /// Browsers send some of these: frames of extensions have to be passed over.
    Unknown,
}

impl FrameKind {
    const fn of(number: u8) -> Self {
        match number {
            0 => Self::Data,
            1 => Self::Headers,
            2 => Self::Priority,
            3 => Self::Reset,
            4 => Self::Settings,
            5 => Self::PushPromise,
            6 => Self::Ping,
            7 => Self::GoAway,
            8 => Self::WindowUpdate,
            9 => Self::Continuation,
            _ => Self::Unknown,
        }
    }
}

/// A frame, without its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    pub kind: FrameKind,
    pub flags: u8,
    /// Of the payload.
    pub length: u32,
    /// The stream that it belongs to; 0: the connection.
    pub stream: u32,
    /// Why a stream was reset, or why the sender goes away; 0 for all other frames.
    pub reason: u32,
}

impl Frame {
    /// Bytes of a head.
    pub const HEAD: usize = HEAD as usize;
    pub const END_STREAM: u8 = 0x1;
    pub const END_HEADERS: u8 = 0x4;

    /// The head of a frame of this kind.
    pub fn head(kind: FrameKind, flags: u8, stream: u32, length: usize) -> [u8; Self::HEAD] {
        let [_, high, middle, low] = u32::try_from(length).expect("a frame is short").to_be_bytes();
        let [first, second, third, fourth] = stream.to_be_bytes();
        [high, middle, low, kind as u8, flags, first, second, third, fourth]
    }

    /// Reads the head of a frame. Why a stream was reset stands behind it.
    pub const fn of(head: [u8; Self::HEAD]) -> Self {
        let [high, middle, low, kind, flags, first, second, third, fourth] = head;
        Self {
            kind: FrameKind::of(kind),
            flags,
            length: u32::from_be_bytes([0, high, middle, low]),
            stream: u32::from_be_bytes([first & 0x7f, second, third, fourth]),
            reason: 0,
        }
    }

    /// A header block ends with it.
    pub const fn ends_headers(self) -> bool {
        self.flags & Self::END_HEADERS != 0
    }

    pub const fn ends_stream(self) -> bool {
        matches!(self.kind, FrameKind::Data | FrameKind::Headers) && self.flags & Self::END_STREAM != 0
    }

    pub const fn acknowledges(self) -> bool {
        matches!(self.kind, FrameKind::Settings | FrameKind::Ping) && self.flags & ACK != 0
    }

    const fn opens_block(self) -> bool {
        matches!(self.kind, FrameKind::Headers | FrameKind::PushPromise)
    }

    const fn ends_block(self) -> bool {
        matches!(self.kind, FrameKind::Headers | FrameKind::PushPromise | FrameKind::Continuation)
            && self.flags & Self::END_HEADERS != 0
    }
}

/// One direction of a connection. Knows no more of a frame than its head.
#[derive(Debug)]
pub struct Frames {
    head: [u8; OF_GOAWAY as usize],
    have: u8,
    need: u8,
    /// Of the payload, or of the preface, that is still to come.
    left: u32,
    /// A header block has begun and its end is not there.
    block: bool,
    /// The frame whose payload is passing ends it.
    ends: bool,
}

impl Frames {
    /// The client's bytes: the preface, then frames.
    pub const fn of_client() -> Self {
        Self { left: PREFACE, ..Self::of_server() }
    }

    pub const fn of_server() -> Self {
        Self { head: [0; OF_GOAWAY as usize], have: 0, need: HEAD, left: 0, block: false, ends: false }
    }

    /// More bytes passed; `seen` hears of each frame as soon as its head is complete.
    pub fn take(&mut self, mut bytes: &[u8], mut seen: impl FnMut(Frame)) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let passing = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
                bytes = &bytes[passing..];
                self.left -= u32::try_from(passing).expect("no more than what is left");
                if self.left == 0 {
                    self.payload_passed();
                }
                continue;
            }
            let (have, need) = (usize::from(self.have), usize::from(self.need));
            let more = (need - have).min(bytes.len());
            self.head[have..have + more].copy_from_slice(&bytes[..more]);
            self.have += u8::try_from(more).expect("a head is short");
            bytes = &bytes[more..];
            if let Some(frame) = self.complete() {
                seen(frame);
            }
        }
    }

    /// A header block is not complete: nothing else may come on this connection before its end.
    pub const fn in_header_block(&self) -> bool {
        self.block
    }

    fn complete(&mut self) -> Option<Frame> {
        if self.have < self.need {
            return None;
        }
        let [high, middle, low, kind, flags, ..] = self.head;
        let (length, kind) = (u32::from_be_bytes([0, high, middle, low]), FrameKind::of(kind));
        self.need = match kind {
            FrameKind::Reset if length == u32::from(OF_RESET - HEAD) => OF_RESET,
            FrameKind::GoAway if length >= u32::from(OF_GOAWAY - HEAD) => OF_GOAWAY,
            _ => HEAD,
        };
        if self.have < self.need {
            return None;
        }
        let reason = match self.head[..usize::from(self.need)].split_last_chunk() {
            Some((_, reason)) if self.need > HEAD => u32::from_be_bytes(*reason),
            _ => 0,
        };
        let frame = Frame { kind, flags, length, stream: self.stream(), reason };
        self.left = length - u32::from(self.need - HEAD);
        (self.have, self.need) = (0, HEAD);
        self.block |= frame.opens_block();
        self.ends = frame.ends_block();
        if self.left == 0 {
            self.payload_passed();
        }
        Some(frame)
    }

    const fn stream(&self) -> u32 {
        let [.., first, second, third, fourth, _, _, _, _, _, _, _, _] = self.head;
        u32::from_be_bytes([first & 0x7f, second, third, fourth])
    }

    fn payload_passed(&mut self) {
        self.block &= !self.ends;
        self.ends = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
        bytes.extend([kind, flags, 0, 0, 0, 1]);
        bytes.extend(payload);
        bytes
    }

    fn all_kinds() -> (Vec<u8>, Vec<Frame>) {
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        let mut expected = Vec::new();
        for (number, kind, flags, payload) in [
            (4, FrameKind::Settings, 0, &b"\0\x03\0\0\0\x64"[..]),
            (4, FrameKind::Settings, ACK, b""),
            (1, FrameKind::Headers, 0, b"\x82"),
            (9, FrameKind::Continuation, 0, b""),
            (9, FrameKind::Continuation, Frame::END_HEADERS, b"\x86\x84"),
            (0, FrameKind::Data, 0, &[7; 300]),
            (0, FrameKind::Data, Frame::END_STREAM, b""),
            (2, FrameKind::Priority, 0, b"\0\0\0\0\x10"),
            (3, FrameKind::Reset, 0, b"\0\0\0\x08"),
            // Not a length that a reset may have: the library will say so.
            (3, FrameKind::Reset, 0, b"\0\0\0\0\x08"),
            (3, FrameKind::Reset, 0, b""),
            (5, FrameKind::PushPromise, Frame::END_HEADERS, b"\0\0\0\x02\x82"),
            (6, FrameKind::Ping, ACK, b"01234567"),
            (7, FrameKind::GoAway, 0, b"\0\0\0\x01\0\0\0\x08bye"),
            (7, FrameKind::GoAway, 0, b"\0\0\0\x01\0\0\0"),
            (7, FrameKind::GoAway, 0, b"\0\0\0\x01\0\0\0\x08"),
            (8, FrameKind::WindowUpdate, 0, b"\0\0\x01\0"),
            (16, FrameKind::Unknown, 0, b"\0\0\0\x01u=1"),
            (255, FrameKind::Unknown, 0xff, b""),
        ] {
            bytes.extend(frame(number, flags, payload));
            let reason = match (kind, payload.len()) {
                (FrameKind::Reset, 4) | (FrameKind::GoAway, 8 | 11) => 8,
                _ => 0,
            };
            expected.push(Frame { kind, flags, length: u32::try_from(payload.len()).unwrap(), stream: 1, reason });
        }
        (bytes, expected)
    }

    #[test]
    fn every_frame_is_seen_however_the_bytes_are_cut() {
        let (bytes, expected) = all_kinds();
        for cut in 0..=bytes.len() {
            let (mut frames, mut seen) = (Frames::of_client(), Vec::new());
            frames.take(&bytes[..cut], |frame| seen.push(frame));
            frames.take(&bytes[cut..], |frame| seen.push(frame));
            assert_eq!(seen, expected, "cut at {cut}");
            assert!(!frames.in_header_block(), "cut at {cut}");
        }
        for size in 1..20 {
            let (mut frames, mut seen) = (Frames::of_client(), Vec::new());
            bytes.chunks(size).for_each(|piece| frames.take(piece, |frame| seen.push(frame)));
            assert_eq!(seen, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn a_header_block_lasts_from_its_first_head_to_the_last_byte_of_its_last_fragment() {
        let mut frames = Frames::of_server();
        let mut bytes = frame(1, 0, b"\x82");
        bytes.extend(frame(9, 0, b""));
        bytes.extend(frame(9, Frame::END_HEADERS, b"\x86\x84"));
        for (place, byte) in bytes.iter().enumerate() {
            assert_eq!(frames.in_header_block(), place >= 9, "before byte {place}");
            frames.take(&[*byte], |_| {});
        }
        assert!(!frames.in_header_block());
        frames.take(&frame(1, Frame::END_HEADERS, b"\x82"), |_| {});
        assert!(!frames.in_header_block());
        frames.take(&frame(1, Frame::END_HEADERS, b"\x82\x86")[..10], |_| {});
        assert!(frames.in_header_block(), "a part of the block is missing");
    }

    #[test]
    fn the_longest_payload_is_passed_over() {
        let (mut frames, mut seen) = (Frames::of_server(), 0);
        let payload = vec![9; (1 << 24) - 1];
        frames.take(&frame(0, 0, &payload), |_| seen += 1);
        frames.take(&frame(6, 0, b"01234567"), |frame| seen += u32::from(frame.kind == FrameKind::Ping));
        assert_eq!(seen, 2);
    }
}
