//! Heads and trailers for which stand-ins pass through the library: of requests, until their streams ask for them, and of
//! responses, until the gate writes them.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

use http::StatusCode;

use crate::client::http2::is_of_connection;
use crate::guard::http2::hpack::Encoder;
use crate::message::{Fields, Malformed, RequestHead};

/// Malformed heads of one connection; with the last of them, the client has asked for too much.
const MOST_MALFORMED: u32 = 32;
/// Streams beyond those that may be open, until the library has refused them.
const BEYOND: usize = 64;

/// By stream. Bounded by the streams in flight: a stream that the library refuses or that is over takes its head with it.
#[derive(Debug)]
pub struct Heads {
    /// Streams that were not accepted yet, in their order.
    new: VecDeque<(u32, Arrived)>,
    /// Streams that have not ended with their heads, and what stands behind their bodies.
    open: HashMap<u32, Option<Result<Fields, Malformed>>, BuildHasherDefault<Spread>>,
    /// The highest stream so far.
    highest: u32,
    malformed: u32,
    /// Most streams that wait to be accepted.
    most: usize,
    /// Blocks whose stand-ins the library has, in the order in which it got them. It sends those of one stream in this order.
    outgoing: VecDeque<(u32, OutgoingBlock)>,
}

/// A header block of a response: a head, or trailers, which have no status.
#[derive(Debug)]
pub struct OutgoingBlock {
    pub status: Option<StatusCode>,
    pub fields: Fields,
}

impl OutgoingBlock {
    pub fn write(&self, encoder: &mut Encoder, out: &mut Vec<u8>) {
        if let Some(status) = self.status {
            encoder.status(status.as_u16(), out);
        }
        for (known, name, value) in self.fields.named() {
            if !is_of_connection(known, value) {
                encoder.field(known, name, value, out);
            }
        }
    }
}

/// A head, and what is wrong with it.
type Arrived = (RequestHead, Option<Malformed>);

impl Heads {
    /// `streams`: most streams open at once.
    pub fn new(streams: u32) -> Self {
        let most = streams as usize + BEYOND;
        Self {
            new: VecDeque::new(),
            open: HashMap::default(),
            highest: 0,
            malformed: 0,
            most,
            outgoing: VecDeque::new(),
        }
    }

    /// Whether a header block on this stream begins it.
    pub const fn begins(&self, stream: u32) -> bool {
        stream > self.highest
    }

    /// The head of a new stream. `false`: one malformed head too many, or more streams than the library ever hands out: the
    /// client was told to go and opens one after the other. `bodiless`: the stream ends with it.
    pub fn head(&mut self, stream: u32, head: Arrived, bodiless: bool) -> bool {
        self.highest = stream;
        if head.1.is_some_and(|malformed| malformed.status == 400) {
            self.malformed += 1;
        }
        // The library ends the connection for an even number.
        if stream % 2 == 1 {
            self.new.push_back((stream, head));
            if !bodiless {
                self.open.insert(stream, None);
            }
        }
        self.malformed < MOST_MALFORMED && self.new.len() <= self.most
    }

    /// Keeps the trailers of a stream.
    pub fn trailers(&mut self, stream: u32, trailers: Result<Fields, Malformed>) {
        if let Some(open) = self.open.get_mut(&stream) {
            open.get_or_insert(trailers);
        }
    }

    /// The library hands out this stream. Streams come in their order: a lower one will not come any more.
    pub fn accept(&mut self, stream: u32) -> Option<Arrived> {
        while self.new.front().is_some_and(|(first, _)| *first <= stream) {
            let (first, head) = self.new.pop_front()?;
            if first == stream {
                return Some(head);
            }
            self.open.remove(&first);
        }
        None
    }

    /// The library has refused this stream: it is not handed out. A stream that is reset for any other reason is.
    pub fn refused(&mut self, stream: u32) {
        if let Ok(place) = self.new.binary_search_by_key(&stream, |(new, _)| *new) {
            self.new.remove(place);
            self.open.remove(&stream);
        }
    }

    /// The trailers of a stream, once its body was read; told once.
    pub fn take_trailers(&mut self, stream: u32) -> Option<Result<Fields, Malformed>> {
        self.open.get_mut(&stream)?.take()
    }

    /// The fault of a stream's trailers, if they have come.
    pub fn malformed_trailers(&self, stream: u32) -> Option<Malformed> {
        self.open.get(&stream)?.as_ref()?.as_ref().err().copied()
    }

    /// The library gets the stand-in of this block.
    pub fn send(&mut self, stream: u32, block: OutgoingBlock) {
        self.outgoing.push_back((stream, block));
    }

    /// The library did not take the stand-in that was announced last.
    pub fn take_back(&mut self) {
        self.outgoing.pop_back();
    }

    /// The library sends a stand-in on this stream.
    pub fn take_outgoing(&mut self, stream: u32) -> Option<OutgoingBlock> {
        let place = self.outgoing.iter().position(|(of, _)| *of == stream)?;
        // Nearly always the first.
        let block = if place == 0 { self.outgoing.pop_front() } else { self.outgoing.remove(place) };
        Some(block?.1)
    }

    /// This stream was reset from one side: what the library has of it, it sends no more.
    pub fn reset(&mut self, stream: u32) {
        self.outgoing.retain(|(of, _)| *of != stream);
    }

    /// The stream is over.
    pub fn forget(&mut self, stream: u32) {
        self.open.remove(&stream);
    }

    /// Blocks that the library has not sent yet.
    #[cfg(test)]
    pub fn outgoing(&self) -> usize {
        self.outgoing.len()
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.new.len() + self.open.len()
    }
}

/// The library takes streams in their order alone, and bounds them: no client can choose numbers that meet.
#[derive(Debug, Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("the keys are numbers")
    }

    fn write_u32(&mut self, stream: u32) {
        self.0 = u64::from(stream).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}
