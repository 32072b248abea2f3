//! A client that writes frames by hand, so that it can write wrong ones.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::{self, JoinHandle};

use crate::harness::PATIENCE;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const END_STREAM: u8 = 0x1;
pub(super) const ACK: u8 = 0x1;
pub(super) const END_HEADERS: u8 = 0x4;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const HEADER_TABLE_SIZE: u16 = 1;
pub(super) const INITIAL_WINDOW_SIZE: u16 = 4;

/// A frame as it was read.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) payload: Vec<u8>,
}

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Answered(u16),
    /// The stream was reset, for this reason.
    Reset(u32),
    /// The connection ended, with this reason in its GOAWAY.
    Gone(Option<u32>),
}

/// The bytes of a frame.
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a payload of less than 4 GiB");
    let mut bytes = length.to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Literal fields that enter no table, without Huffman's code (RFC 7541, 6.2.2).
pub(super) fn block<N: AsRef<[u8]>, V: AsRef<[u8]>>(fields: &[(N, V)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        for text in [name.as_ref(), value.as_ref()] {
            length(&mut bytes, text.len());
            bytes.extend(text);
        }
    }
    bytes
}

/// An integer with a prefix of seven bits (RFC 7541, 5.1).
fn length(bytes: &mut Vec<u8>, length: usize) {
    let Some(mut rest) = length.checked_sub(127) else {
        return bytes.push(u8::try_from(length).expect("less than 127"));
    };
    bytes.push(127);
    while rest >= 128 {
        bytes.push(u8::try_from(rest % 128).expect("less than 128") | 128);
        rest /= 128;
    }
    bytes.push(u8::try_from(rest).expect("less than 128"));
}

/// The pseudo fields of a GET.
pub(super) fn get(path: &str) -> Vec<(&str, &str)> {
    vec![(":method", "GET"), (":scheme", "http"), (":path", path), (":authority", "edge.test")]
}

pub(super) struct Http2 {
    stream: TcpStream,
}

impl Http2 {
    pub(super) fn connect(address: SocketAddr) -> Self {
        Self::connect_with(address, &[])
    }

    /// With these settings beside the one that keeps heads of answers readable.
    pub(super) fn connect_with(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let stream = TcpStream::connect(address).expect("the proxy accepts");
        stream.set_nodelay(true).expect("a socket takes options");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket takes options");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket takes options");
        let mut client = Self { stream };
        client.write(PREFACE).expect("the proxy takes a preface");
        let all = [&[(HEADER_TABLE_SIZE, 0)], settings].concat();
        client.send(SETTINGS, 0, 0, &pairs(&all));
        client
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    pub(super) fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.write(&frame(kind, flags, stream, payload)).expect("the proxy takes a frame");
    }

    /// A request without a body.
    pub(super) fn get(&mut self, stream: u32, path: &str) {
        self.send(HEADERS, END_HEADERS | END_STREAM, stream, &block(&get(path)));
    }

    pub(super) fn open_window(&mut self, stream: u32, by: u32) {
        self.send(WINDOW_UPDATE, 0, stream, &by.to_be_bytes());
    }

    /// The next frame; `None` at the end. Settings and pings are acknowledged.
    pub(super) fn frame(&mut self) -> io::Result<Option<Frame>> {
        let mut head = [0; 9];
        match self.stream.read_exact(&mut head) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            other => other?,
        }
        let [a, b, c, kind, flags, s @ ..] = head;
        let mut payload = vec![0; usize::try_from(u32::from_be_bytes([0, a, b, c])).expect("24 bits")];
        self.stream.read_exact(&mut payload)?;
        if matches!(kind, SETTINGS | PING) && flags & ACK == 0 {
            let answer = if kind == PING { &payload[..] } else { &[] };
            // Whoever has said goodbye may not listen any more.
            drop(self.write(&frame(kind, ACK, 0, answer)));
        }
        Ok(Some(Frame { kind, flags, stream: u32::from_be_bytes(s), payload }))
    }

    /// Reads until it is clear what became of the request on this stream.
    pub(super) fn outcome(&mut self, stream: u32) -> Outcome {
        let mut status = None;
        while let Ok(Some(frame)) = self.frame() {
            match frame.kind {
                GOAWAY if reason(&frame.payload[4..]) != super::NO_ERROR => {
                    return Outcome::Gone(Some(reason(&frame.payload[4..])));
                }
                RST_STREAM if frame.stream == stream => return Outcome::Reset(reason(&frame.payload)),
                HEADERS if frame.stream == stream && status.is_none() => status = Some(status_of(&frame.payload)),
                _ => {}
            }
            if let Some(status) = status
                && frame.stream == stream
                && matches!(frame.kind, DATA | HEADERS)
                && frame.flags & END_STREAM != 0
            {
                return Outcome::Answered(status);
            }
        }
        Outcome::Gone(None)
    }

    /// Reads until the end, and gives the reasons of every GOAWAY.
    pub(super) fn until_gone(&mut self) -> Vec<u32> {
        let mut reasons = Vec::new();
        while let Ok(Some(frame)) = self.frame() {
            if frame.kind == GOAWAY {
                reasons.push(reason(&frame.payload[4..]));
            }
        }
        reasons
    }

    /// Reads on a thread of its own while this one writes; the reasons of every GOAWAY are the thread's.
    pub(super) fn reading(&self) -> JoinHandle<Vec<u32>> {
        let mut other = Self { stream: self.stream.try_clone().expect("a socket can be shared") };
        thread::spawn(move || {
            let mut reasons = Vec::new();
            // Nothing is acknowledged: two threads would write into each other's frames.
            let mut head = [0; 9];
            while other.stream.read_exact(&mut head).is_ok() {
                let mut payload =
                    vec![0; usize::try_from(u32::from_be_bytes([0, head[0], head[1], head[2]])).expect("24 bits")];
                if other.stream.read_exact(&mut payload).is_err() {
                    break;
                }
                if head[3] == GOAWAY {
                    reasons.push(reason(&payload[4..]));
                }
            }
            reasons
        })
    }
}

pub(super) fn pairs(settings: &[(u16, u32)]) -> Vec<u8> {
    settings.iter().flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect()
}

fn reason(payload: &[u8]) -> u32 {
    u32::from_be_bytes(payload[..4].try_into().expect("a reason has four octets"))
}

/// The status is the first field. Common ones have an entry in the static table, the others are written out.
fn status_of(block: &[u8]) -> u16 {
    let field = block.iter().position(|byte| byte & 0xe0 != 0x20).expect("a field behind changes of the table's size");
    match block[field..] {
        [indexed @ 0x88..=0x8e, ..] => [200, 204, 206, 304, 400, 404, 500][usize::from(indexed - 0x88)],
        [0x08 | 0x18 | 0x48, length, ref value @ ..] => {
            let value = &value[..usize::from(length & 0x7f)];
            let digits = if length & 0x80 == 0 { String::from_utf8_lossy(value).into_owned() } else { huffman(value) };
            digits.parse().expect("a status is a number")
        }
        ref other => panic!("no status in {other:x?}"),
    }
}

/// Digits in Huffman's code: 0 to 2 have five bits, 3 to 9 have six (RFC 7541, appendix B).
fn huffman(bytes: &[u8]) -> String {
    let bits = bytes.iter().map(|byte| format!("{byte:08b}")).collect::<Vec<_>>().concat();
    let (mut rest, mut digits) = (&bits[..], String::new());
    while rest.len() >= 5 && rest.contains('0') {
        let five = u8::from_str_radix(&rest[..5], 2).expect("bits");
        let (digit, length) =
            if five < 3 { (five, 5) } else { (u8::from_str_radix(&rest[..6], 2).expect("bits") - 0b01_1001 + 3, 6) };
        digits.push(char::from(b'0' + digit));
        rest = &rest[length..];
    }
    digits
}
