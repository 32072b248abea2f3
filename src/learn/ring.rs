//! The ring between a thread that serves requests and the learner: bounded, without a lock, without a wait.
//!
//! One thread writes, one reads. A slot is 32 words of eight bytes; they are atomic so that no unsafe code is needed, and the
//! order of what is written is that of `head`.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

use crate::inventory::MethodId;

/// Requests that wait for the learner; at 50 ms between two looks, 20 000 a second on each thread.
const SLOTS: usize = 1024;
const WORDS: usize = 32;
/// Words of a path: one of more bytes than this is counted and not looked at.
const PATH_WORDS: usize = 24;
const AGENT_WORDS: usize = 5;
const HEAD_WORDS: usize = 2;
/// Bytes of a user agent that are copied; the inventory keeps no more.
const AGENT_BYTES: usize = AGENT_WORDS * 8;
pub const PATH_BYTES: usize = PATH_WORDS * 8;

/// What is copied of an exchange that an upstream answered.
#[derive(Debug, Clone, Copy)]
pub struct Answered<'a> {
    pub method: &'a str,
    /// As sent, without its query.
    pub path: &'a [u8],
    pub agent: &'a [u8],
    pub client: Option<IpAddr>,
    pub status: u16,
    /// From the request's head to the end of the answer.
    pub micros: u32,
    /// The monolith answered.
    pub monolith: bool,
}

/// An exchange as it comes out of the ring. Path and agent stand in buffers of the reader.
#[derive(Debug, Default)]
pub struct Taken {
    pub method: Option<MethodId>,
    pub path: Vec<u8>,
    pub agent: Vec<u8>,
    pub client: u32,
    pub status: u16,
    pub micros: u32,
    pub monolith: bool,
}

pub struct ExchangeRing {
    words: Box<[AtomicU64]>,
    /// Slots written since the start; only the writer changes it.
    head: AtomicUsize,
    /// Slots read since the start; only the reader changes it.
    tail: AtomicUsize,
    /// Where the last request that was recorded stood; only the writer changes it.
    recorded: AtomicUsize,
    /// One in this number of requests is recorded; only the reader changes it.
    every: AtomicUsize,
    /// Exchanges that found no room, or whose path is too long. Only the writer changes it.
    dropped: AtomicU64,
}

impl Default for ExchangeRing {
    fn default() -> Self {
        Self {
            words: (0..SLOTS * WORDS).map(|_| AtomicU64::new(0)).collect(),
            head: AtomicUsize::new(0),
            tail: AtomicUsize::new(0),
            recorded: AtomicUsize::new(0),
            // Until the first look says how many there are, few of them.
            every: AtomicUsize::new(16),
            dropped: AtomicU64::new(0),
        }
    }
}

impl ExchangeRing {
    /// Copies what the learner needs. To be called by one thread alone. A number: record this request in place of that many.
    #[inline]
    pub fn push(&self, answered: &Answered<'_>) -> Option<u32> {
        let head = self.head.load(Relaxed);
        let path = answered.path;
        if head.wrapping_sub(self.tail.load(Acquire)) >= SLOTS || path.len() > PATH_BYTES {
            self.dropped.store(self.dropped.load(Relaxed).wrapping_add(1), Relaxed);
            return None;
        }
        let slot = &self.words[head % SLOTS * WORDS..][..WORDS];
        let agent = &answered.agent[..answered.agent.len().min(AGENT_BYTES)];
        let flags = u64::from(MethodId::of(answered.method).code()) | u64::from(answered.monolith) << 7;
        let lengths = (path.len() as u64) << 8 | (agent.len() as u64) << 16;
        slot[0].store(flags | lengths | u64::from(answered.status) << 32, Relaxed);
        slot[1].store(u64::from(client(answered.client)) | u64::from(answered.micros) << 32, Relaxed);
        copy(&slot[HEAD_WORDS..HEAD_WORDS + PATH_WORDS], path);
        copy(&slot[HEAD_WORDS + PATH_WORDS..], agent);
        let head = head.wrapping_add(1);
        self.head.store(head, Release);
        let passed = head.wrapping_sub(self.recorded.load(Relaxed));
        if passed < self.every.load(Relaxed) {
            return None;
        }
        self.recorded.store(head, Relaxed);
        u32::try_from(passed).ok()
    }

    /// From now on one in this number of requests is recorded.
    pub fn record_every(&self, requests: usize) {
        self.every.store(requests.max(1), Relaxed);
    }

    /// How many wait. To be called by the reader.
    pub fn waiting(&self) -> usize {
        self.head.load(Acquire).wrapping_sub(self.tail.load(Relaxed))
    }

    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Passes over `count` entries, which must be there.
    pub fn skip(&self, count: usize) {
        self.tail.store(self.tail.load(Relaxed).wrapping_add(count), Release);
    }

    /// Takes the next, which must wait. To be called by one thread alone.
    pub fn take(&self, into: &mut Taken) {
        let tail = self.tail.load(Relaxed);
        let slot = &self.words[tail % SLOTS * WORDS..][..WORDS];
        let [first, second] = [slot[0].load(Relaxed), slot[1].load(Relaxed)];
        let byte = |at: u32| u8::try_from(first >> at & 0xff).expect("eight bits");
        into.method = MethodId::from_code(byte(0) & 0x7f);
        into.monolith = byte(0) & 0x80 > 0;
        into.status = u16::try_from(first >> 32 & 0xffff).expect("sixteen bits");
        into.client = u32::try_from(second & 0xffff_ffff).expect("thirty-two bits");
        into.micros = u32::try_from(second >> 32).expect("thirty-two bits");
        read(&slot[HEAD_WORDS..], byte(8).into(), &mut into.path);
        read(&slot[HEAD_WORDS + PATH_WORDS..], byte(16).into(), &mut into.agent);
        self.tail.store(tail.wrapping_add(1), Release);
    }
}

/// Whole words first. The last word of a text that is no multiple of eight holds its last eight bytes, of which some stand in
/// the word before, too: cheaper than to put a part of a word together.
#[inline]
fn copy(words: &[AtomicU64], bytes: &[u8]) {
    let (whole, rest) = bytes.as_chunks::<8>();
    for (word, chunk) in words.iter().zip(whole) {
        word.store(u64::from_le_bytes(*chunk), Relaxed);
    }
    if rest.is_empty() {
        return;
    }
    let last = match bytes.last_chunk::<8>() {
        Some(last) => u64::from_le_bytes(*last),
        None => rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    words[whole.len()].store(last, Relaxed);
}

fn read(words: &[AtomicU64], length: usize, into: &mut Vec<u8>) {
    into.clear();
    for word in &words[..length / 8] {
        into.extend_from_slice(&word.load(Relaxed).to_le_bytes());
    }
    let rest = length % 8;
    if rest > 0 {
        let last = words[length / 8].load(Relaxed).to_le_bytes();
        into.extend_from_slice(if length < 8 { &last[..rest] } else { &last[8 - rest..] });
    }
}

/// A hash of the address that does not leave the process.
#[inline]
fn client(address: Option<IpAddr>) -> u32 {
    let number = match address {
        Some(IpAddr::V4(address)) => u64::from(u32::from(address)),
        Some(IpAddr::V6(address)) => {
            let bits = u128::from(address);
            u64::try_from(bits >> 64).expect("the upper half")
                ^ u64::try_from(bits & u128::from(u64::MAX)).expect("the lower half")
        }
        None => 0,
    };
    u32::try_from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32).expect("the upper half")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered<'a>(path: &'a [u8], agent: &'a [u8]) -> Answered<'a> {
        Answered {
            method: "PATCH",
            path,
            agent,
            client: Some(IpAddr::from([10, 0, 0, 7])),
            status: 204,
            micros: 70_000,
            monolith: true,
        }
    }

    #[test]
    fn what_goes_in_comes_out() {
        let ring = ExchangeRing::default();
        let mut taken = Taken::default();
        let long = [b'x'; 400];
        for length in 1..=PATH_BYTES {
            let mut path = b"/".to_vec();
            path.extend((1..length).map(|at| b'a' + u8::try_from(at % 26).expect("small")));
            let agent = &long[..length.min(60)];
            ring.push(&answered(&path, agent));
            assert_eq!(ring.waiting(), 1);
            ring.take(&mut taken);
            assert_eq!(taken.path, path);
            assert_eq!(taken.agent, agent[..agent.len().min(AGENT_BYTES)]);
            assert_eq!((taken.status, taken.micros, taken.monolith), (204, 70_000, true));
            assert_eq!(taken.method.map(MethodId::as_str), Some("PATCH"));
        }
        assert_eq!(ring.waiting(), 0);
    }

    #[test]
    fn a_full_ring_drops_what_is_new_and_counts_it() {
        let ring = ExchangeRing::default();
        for _ in 0..SLOTS + 5 {
            ring.push(&answered(b"/a", b""));
        }
        ring.push(&answered(&[b'/'; PATH_BYTES + 1], b""));
        assert_eq!((ring.waiting(), ring.dropped()), (SLOTS, 6));
        ring.skip(10);
        ring.push(&answered(b"/b", b""));
        assert_eq!((ring.waiting(), ring.dropped()), (SLOTS - 9, 6));
    }

    #[test]
    fn two_threads_agree() {
        let ring = std::sync::Arc::new(ExchangeRing::default());
        let writer = std::sync::Arc::clone(&ring);
        let written = 20_000_u32;
        let thread = std::thread::spawn(move || {
            for number in 0..written {
                while writer.waiting() > SLOTS / 2 {
                    std::thread::yield_now();
                }
                let path = format!("/orders/{number}/and/something/behind/{number}");
                writer.push(&Answered { micros: number, ..answered(path.as_bytes(), b"agent") });
            }
        });
        let mut taken = Taken::default();
        for number in 0..written {
            while ring.waiting() == 0 {
                std::thread::yield_now();
            }
            ring.take(&mut taken);
            assert_eq!(taken.micros, number);
            assert_eq!(taken.path, format!("/orders/{number}/and/something/behind/{number}").into_bytes());
        }
        thread.join().expect("the writer ends well");
        assert_eq!(ring.dropped(), 0);
    }
}
