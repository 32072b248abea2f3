//! The heads and trailers that the gate took out of a client's bytes, until their streams ask for them.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

use crate::message::{Fields, Malformed, RequestHead};

/// Malformed heads of one connection; with the last of them, the client has asked for too much.
const MOST_MALFORMED: u32 = 32;
/// Streams beyond those that may be open, until the library has refused them.
const BEYOND: usize = 64;

/// By stream. Bounded by the streams in flight: a stream that the library refuses or that is over takes its head with it.
#[derive(Debug)]
pub struct Heads {
    of: HashMap<u32, Arrived, BuildHasherDefault<Spread>>,
    /// Streams that were not accepted yet, in their order.
    new: VecDeque<u32>,
    /// The highest stream so far.
    highest: u32,
    malformed: u32,
    /// Most streams that wait to be accepted.
    most: usize,
}

#[derive(Debug)]
struct Arrived {
    head: Option<(RequestHead, Option<Malformed>)>,
    trailers: Option<Result<Fields, Malformed>>,
}

impl Heads {
    /// `streams`: most streams open at once.
    pub fn new(streams: u32) -> Self {
        let most = streams as usize + BEYOND;
        Self { of: HashMap::default(), new: VecDeque::new(), highest: 0, malformed: 0, most }
    }

    /// Whether a header block on this stream begins it.
    pub const fn begins(&self, stream: u32) -> bool {
        stream > self.highest
    }

    /// The head of a new stream. `false`: one malformed head too many, or more streams than the library ever hands out: the
    /// client was told to go and opens one after the other.
    pub fn head(&mut self, stream: u32, head: (RequestHead, Option<Malformed>)) -> bool {
        self.highest = stream;
        if head.1.is_some_and(|malformed| malformed.status == 400) {
            self.malformed += 1;
        }
        // The library ends the connection for an even number.
        if stream % 2 == 1 {
            self.of.insert(stream, Arrived { head: Some(head), trailers: None });
            self.new.push_back(stream);
        }
        self.malformed < MOST_MALFORMED && self.new.len() <= self.most
    }

    /// What stands behind the body of a stream.
    pub fn trailers(&mut self, stream: u32, trailers: Result<Fields, Malformed>) {
        if let Some(arrived) = self.of.get_mut(&stream).filter(|arrived| arrived.trailers.is_none()) {
            arrived.trailers = Some(trailers);
        }
    }

    /// The library hands out this stream. Streams come in their order: a lower one will not come any more.
    pub fn accept(&mut self, stream: u32) -> Option<(RequestHead, Option<Malformed>)> {
        while let Some(first) = self.new.front().copied().filter(|first| *first <= stream) {
            self.new.pop_front();
            if first < stream {
                self.of.remove(&first);
            }
        }
        self.of.get_mut(&stream)?.head.take()
    }

    /// The library has refused this stream: it is not handed out. A stream that is reset for any other reason is.
    pub fn refused(&mut self, stream: u32) {
        if self.new.back() == Some(&stream) {
            self.new.pop_back();
        }
        if self.of.get(&stream).is_some_and(|arrived| arrived.head.is_some()) {
            self.of.remove(&stream);
        }
    }

    /// The trailers of a stream, once its body was read; told once.
    pub fn take_trailers(&mut self, stream: u32) -> Option<Result<Fields, Malformed>> {
        self.of.get_mut(&stream)?.trailers.take()
    }

    /// What is wrong with the trailers of a stream, if they have come.
    pub fn malformed_trailers(&self, stream: u32) -> Option<Malformed> {
        self.of.get(&stream)?.trailers.as_ref()?.as_ref().err().copied()
    }

    /// The stream is over.
    pub fn forget(&mut self, stream: u32) {
        self.of.remove(&stream);
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.of.len()
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
