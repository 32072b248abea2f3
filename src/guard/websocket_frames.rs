//! Follows the frames of a server on a WebSocket, so that a Close can be sent between two frames and not inside one.
//!
//! Only the headers of frames are looked at (RFC 6455, section 5.2); payloads are skipped. It begins before the head of the
//! `101`, because that passes on the same connection.

/// The longest header of a frame: two bytes, eight of a length, four of a mask.
const LONGEST_HEADER: usize = 14;
/// The opcode with which a server ends the conversation by itself.
const CLOSE: u8 = 8;
/// A length has its highest bit unset.
const NO_LENGTH: u64 = 1 << 63;
const BLANK_LINE: &[u8; 4] = b"\r\n\r\n";
/// Where the status stands in the head of an answer: `HTTP/1.1 101`.
const STATUS_AT: usize = 9;
const STATUS: &[u8; 3] = b"101";

/// The Close frame of a server that goes away: without a mask, code 1001 (RFC 6455, section 7.4.1).
pub const GOING_AWAY: [u8; 4] = [0x80 | CLOSE, 2, 0x03, 0xe9];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// In the head of an answer: how much of it passed, of its end, and whether it is still the one of an upgrade.
    Head { passed: usize, end: usize, switches: bool },
    /// In the header of a frame, with the number of its bytes that are known; 0: between two frames.
    Header { known: usize },
    /// In the data of a frame.
    Payload { left: u64 },
    /// The server has sent Close, or its bytes are no WebSocket.
    Over,
}

/// How far a server's side of a WebSocket has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebSocketFrames {
    at: At,
    header: [u8; LONGEST_HEADER],
}

impl Default for WebSocketFrames {
    fn default() -> Self {
        Self { at: At::Head { passed: 0, end: 0, switches: true }, header: [0; LONGEST_HEADER] }
    }
}

impl WebSocketFrames {
    /// The head of the `101` has passed: a frame comes next.
    #[must_use]
    pub const fn behind_head() -> Self {
        Self { at: At::Header { known: 0 }, header: [0; LONGEST_HEADER] }
    }

    /// No frame is half sent, and the server has not said its last word.
    pub fn between(&self) -> bool {
        self.at == At::Header { known: 0 }
    }

    /// Takes the next bytes.
    pub fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.at != At::Over {
            bytes = bytes.get(self.step(bytes)..).unwrap_or_default();
        }
    }

    /// How many of the next bytes belong to what has begun: up to the end of the frame, or all of them.
    pub fn until_between(mut self, bytes: &[u8]) -> usize {
        let mut passed = 0;
        while !self.between() && self.at != At::Over && passed < bytes.len() {
            passed += self.step(bytes.get(passed..).unwrap_or_default());
        }
        if self.at == At::Over { bytes.len() } else { passed }
    }

    /// Takes at least one of these bytes, of which there are some, and none behind the end of a frame.
    fn step(&mut self, bytes: &[u8]) -> usize {
        let byte = bytes.first().copied().unwrap_or_default();
        match self.at {
            At::Head { passed, end, switches } => {
                let wanted = passed.checked_sub(STATUS_AT).and_then(|digit| STATUS.get(digit));
                let switches = switches && wanted.is_none_or(|wanted| *wanted == byte);
                let end = if BLANK_LINE.get(end) == Some(&byte) { end + 1 } else { usize::from(byte == b'\r') };
                self.at = match (end == BLANK_LINE.len(), switches) {
                    (false, _) => At::Head { passed: passed + 1, end, switches },
                    // An interim answer: the one that switches follows.
                    (true, false) => Self::default().at,
                    (true, true) => At::Header { known: 0 },
                };
                1
            }
            At::Header { known } => {
                let Some(place) = self.header.get_mut(known) else {
                    self.at = At::Over;
                    return 1;
                };
                *place = byte;
                self.at = self.after_header(known + 1);
                1
            }
            At::Payload { left } => {
                let passed = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                self.at = self.with_left(left - passed as u64);
                passed
            }
            At::Over => bytes.len(),
        }
    }

    /// Whether the `known` bytes of a header are all of it.
    fn after_header(&self, known: usize) -> At {
        let [_, second, extended @ ..] = self.header;
        let width = match second & 0x7f {
            _ if known < 2 => return At::Header { known },
            126 => 2,
            127 => 8,
            _ => 0,
        };
        // No server masks; one that does is followed all the same.
        let mask = if second & 0x80 == 0 { 0 } else { 4 };
        if known < 2 + width + mask {
            return At::Header { known };
        }
        let length = match width {
            0 => u64::from(second & 0x7f),
            _ => extended.iter().take(width).fold(0, |length, byte| length << 8 | u64::from(*byte)),
        };
        self.with_left(length)
    }

    const fn with_left(&self, left: u64) -> At {
        match left {
            NO_LENGTH.. => At::Over,
            0 if self.header[0] & 0x0f == CLOSE => At::Over,
            0 => At::Header { known: 0 },
            left => At::Payload { left },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";

    fn frame(first: u8, length: usize) -> Vec<u8> {
        let mut frame = vec![first];
        match length {
            0..126 => frame.push(u8::try_from(length).unwrap()),
            126..65_536 => {
                frame.push(126);
                frame.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                frame.push(127);
                frame.extend(u64::try_from(length).unwrap().to_be_bytes());
            }
        }
        frame.extend((0..length).map(|index| u8::try_from(index % 251).unwrap()));
        frame
    }

    fn after(bytes: &[u8], piece: usize) -> WebSocketFrames {
        let mut frames = WebSocketFrames::default();
        bytes.chunks(piece).for_each(|piece| frames.take(piece));
        frames
    }

    /// The lengths of the prefixes behind which there is room for a word, found byte by byte.
    fn rooms(bytes: &[u8]) -> Vec<usize> {
        let mut frames = WebSocketFrames::default();
        (1..=bytes.len())
            .filter(|length| {
                frames.take(&bytes[length - 1..*length]);
                frames.between()
            })
            .collect()
    }

    #[test]
    fn there_is_room_between_two_frames_and_nowhere_else() {
        let (mut stream, mut expected) = (HEAD.to_vec(), vec![HEAD.len()]);
        for (first, length) in
            [(0x81, 0), (0x82, 1), (0x01, 125), (0x00, 126), (0x80, 65_535), (0x89, 5), (0xc2, 65_536)]
        {
            stream.extend(frame(first, length));
            expected.push(stream.len());
        }
        assert_eq!(rooms(&stream), expected);
    }

    #[test]
    fn however_the_bytes_are_cut_they_are_read_alike() {
        let mut stream = HEAD.to_vec();
        for length in [0, 3, 125, 126, 300] {
            stream.extend(frame(0x82, length));
        }
        for end in 0..=stream.len() {
            let (whole, single) = (after(&stream[..end], stream.len()), after(&stream[..end], 1));
            assert_eq!(whole, single, "{end}");
            for piece in [2, 3, 7, 64] {
                assert_eq!(whole, after(&stream[..end], piece), "{end} in pieces of {piece}");
            }
        }
        let rooms = rooms(&stream);
        for cut in 0..stream.len() {
            let (frames, rest) = (after(&stream[..cut], cut.max(1)), &stream[cut..]);
            let next = rooms.iter().find(|room| **room >= cut).copied().unwrap_or(stream.len());
            assert_eq!(frames.until_between(rest), next - cut, "cut at {cut}");
        }
    }

    #[test]
    fn behind_a_close_of_the_servers_own_there_is_no_room() {
        let stream = [HEAD, &frame(0x81, 2), &frame(0x88, 2), b"more"].concat();
        assert_eq!(rooms(&stream), [HEAD.len(), HEAD.len() + 4]);
        assert_eq!(rooms(&[HEAD, &frame(0x88, 0)].concat()), [HEAD.len()]);
    }

    #[test]
    fn an_interim_answer_comes_before_the_one_that_switches() {
        let early: &[u8] = b"HTTP/1.1 103 Early Hints\r\nLink: </101>\r\n\r\n";
        assert_eq!(rooms(&[early, HEAD].concat()), [early.len() + HEAD.len()]);
    }

    #[test]
    fn a_masked_frame_is_followed_and_a_length_that_is_none_ends_it() {
        let masked = [HEAD, &[0x81, 0x83, 1, 2, 3, 4, 9, 9, 9]].concat();
        assert_eq!(rooms(&masked), [HEAD.len(), masked.len()]);
        let endless = [HEAD, &[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], &[0; 64]].concat();
        assert_eq!(rooms(&endless), [HEAD.len()]);
        assert_eq!(after(&endless, 1).until_between(&[0; 9]), 9);
    }

    #[test]
    fn what_is_said_at_the_end_is_itself_a_frame() {
        let said = after(&[HEAD, &GOING_AWAY].concat(), 1);
        assert_eq!(said.at, At::Over);
        assert_eq!(u16::from_be_bytes([GOING_AWAY[2], GOING_AWAY[3]]), 1001);
    }
}
