//! The ring between a thread that serves requests and the learner: bounded, without a lock, without a wait.
//!
//! One thread writes, one reads. A slot is 32 words of eight bytes; they are atomic so that no unsafe code is needed, and the
//! order of what is written is that of `head`. At a high rate only some requests are copied, each in place of those before it:
//! the reader says how many.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use std::time::Duration;

use http::Method;

use crate::inventory::MethodId;

/// Copied requests that wait for the learner, which looks every 50 ms: room for a burst. A steady rate is thinned before.
const SLOTS: usize = 1024;
/// Words of a path: one of more bytes than this is counted and not looked at.
const PATH_WORDS: usize = 24;
const AGENT_WORDS: usize = 5;
/// Bytes of a user agent that are copied; the inventory keeps no more.
const AGENT_BYTES: usize = AGENT_WORDS * 8;
pub const PATH_BYTES: usize = PATH_WORDS * 8;
/// Bytes that are copied at once.
const BLOCK: usize = 32;

/// What is copied of an exchange that an upstream answered.
#[derive(Debug, Clone, Copy)]
pub struct Answered<'a> {
    pub method: &'a Method,
    /// As sent, without its query.
    pub path: &'a [u8],
    pub agent: &'a [u8],
    pub client: Option<&'a IpAddr>,
    pub status: u16,
    /// Where a redirect leads: [`crate::inventory::redirect_target`].
    pub location: u32,
    /// From the request's head to the end of the answer.
    pub time: Duration,
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
    pub location: u32,
    pub micros: u32,
    pub monolith: bool,
    /// For how many requests it stands: itself, and those before it that were not copied.
    pub weight: u32,
}

/// What most requests write stands in the first two cache lines.
#[derive(Default)]
#[repr(align(64))]
struct Slot {
    /// Method and side, lengths of path and agent, status (16 bits), and where it leads (24 bits).
    head: AtomicU64,
    /// The request's number, cut to 32 bits, and the client.
    number: AtomicU64,
    /// Nanoseconds and seconds.
    time: AtomicU64,
    agent: [AtomicU64; AGENT_WORDS],
    path: [AtomicU64; PATH_WORDS],
}

pub struct ExchangeRing {
    slots: Box<[Slot; SLOTS]>,
    /// Requests offered since the start, less those that were dropped; only the writer changes it.
    offered: AtomicU64,
    /// The number of the request that is copied next, and of the last one that was recorded; only the writer changes them.
    next: AtomicU64,
    recorded: AtomicU64,
    /// The number of the last one that was taken; only the reader changes it.
    taken: AtomicU64,
    /// Slots written since the start; only the writer changes it.
    head: AtomicUsize,
    /// Slots read since the start; only the reader changes it.
    tail: AtomicUsize,
    /// One in about this number of requests is copied, and one in this number recorded; only the reader changes them.
    copy_every: AtomicU64,
    record_every: AtomicU64,
    /// Requests that found no room, or whose path is too long. Only the writer changes it.
    dropped: AtomicU64,
}

impl Default for ExchangeRing {
    fn default() -> Self {
        let slots: Box<[Slot]> = (0..SLOTS).map(|_| Slot::default()).collect();
        Self {
            slots: slots.try_into().unwrap_or_else(|_| unreachable!("there are as many as the type says")),
            offered: AtomicU64::new(0),
            next: AtomicU64::new(1),
            recorded: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            head: AtomicUsize::new(0),
            tail: AtomicUsize::new(0),
            copy_every: AtomicU64::new(1),
            // Until the first look says how many there are, few of them.
            record_every: AtomicU64::new(16),
            dropped: AtomicU64::new(0),
        }
    }
}

impl ExchangeRing {
    /// Copies what the learner needs, if it is this request's turn. To be called by one thread alone. A number: record this
    /// request in place of that many.
    #[inline]
    pub fn offer<'a>(&self, answered: impl FnOnce() -> Answered<'a>) -> Option<u32> {
        let number = self.offered.load(Relaxed) + 1;
        if number >= self.next.load(Relaxed) {
            return self.push(&answered(), number);
        }
        self.offered.store(number, Relaxed);
        None
    }

    #[inline]
    fn push(&self, answered: &Answered<'_>, number: u64) -> Option<u32> {
        let head = self.head.load(Relaxed);
        let path = answered.path;
        if head.wrapping_sub(self.tail.load(Acquire)) >= SLOTS || path.len() > PATH_BYTES {
            return self.drop_one();
        }
        // Only now: the reader may look at any moment, and the count never falls.
        self.offered.store(number, Relaxed);
        let every = self.copy_every.load(Relaxed);
        self.next.store(number + if every <= 1 { 1 } else { gap(number, every) }, Relaxed);
        let slot = &self.slots[head % SLOTS];
        let agent = &answered.agent[..answered.agent.len().min(AGENT_BYTES)];
        let method =
            if *answered.method == Method::GET { MethodId::GET } else { MethodId::of(answered.method.as_str()) };
        let flags = u64::from(method.code()) | u64::from(answered.monolith) << 7;
        let lengths = (path.len() as u64) << 8 | (agent.len() as u64) << 16;
        slot.head
            .store(flags | lengths | u64::from(answered.status) << 24 | u64::from(answered.location) << 40, Relaxed);
        slot.number.store(number & 0xffff_ffff | u64::from(folded(answered.client)) << 32, Relaxed);
        slot.time.store(u64::from(answered.time.subsec_nanos()) | answered.time.as_secs() << 32, Relaxed);
        copy(&slot.agent, agent);
        copy(&slot.path, path);
        self.head.store(head.wrapping_add(1), Release);
        let passed = number - self.recorded.load(Relaxed);
        if passed < self.record_every.load(Relaxed) {
            return None;
        }
        self.recorded.store(number, Relaxed);
        u32::try_from(passed).ok()
    }

    /// The next request is tried again, and does not stand for this one.
    #[cold]
    fn drop_one(&self) -> Option<u32> {
        self.dropped.store(self.dropped.load(Relaxed) + 1, Relaxed);
        None
    }

    /// From now on one in about this number of requests is copied.
    pub fn copy_every(&self, requests: u64) {
        self.copy_every.store(requests.max(1), Relaxed);
    }

    /// From now on one in this number of requests is recorded.
    pub fn record_every(&self, requests: u64) {
        self.record_every.store(requests.max(1), Relaxed);
    }

    /// Requests offered since the start.
    pub fn offered(&self) -> u64 {
        self.offered.load(Relaxed)
    }

    /// How many wait. To be called by the reader.
    pub fn waiting(&self) -> usize {
        self.head.load(Acquire).wrapping_sub(self.tail.load(Relaxed))
    }

    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Passes over so many, which must wait: the one that is taken after them stands for them, too.
    pub fn skip(&self, several: usize) {
        self.tail.store(self.tail.load(Relaxed).wrapping_add(several), Release);
    }

    /// Takes the next, which must wait. To be called by one thread alone.
    pub fn take(&self, into: &mut Taken) {
        let tail = self.tail.load(Relaxed);
        let slot = &self.slots[tail % SLOTS];
        let head = slot.head.load(Relaxed);
        let [flags, path, agent, status @ .., a, b, c] = head.to_le_bytes();
        into.method = MethodId::from_code(flags & 0x7f);
        into.monolith = flags & 0x80 > 0;
        into.status = u16::from_le_bytes(status);
        into.location = u32::from_le_bytes([a, b, c, 0]);
        let (number, client) = halves(slot.number.load(Relaxed));
        into.client = spread(client);
        into.weight = number.wrapping_sub(halves(self.taken.load(Relaxed)).0);
        self.taken.store(number.into(), Relaxed);
        let (nanos, seconds) = halves(slot.time.load(Relaxed));
        into.micros = seconds.saturating_mul(1_000_000).saturating_add(nanos / 1_000);
        read(&slot.path, path.into(), &mut into.path);
        read(&slot.agent, agent.into(), &mut into.agent);
        self.tail.store(tail.wrapping_add(1), Release);
    }
}

/// How many requests further on the next one is copied: between half of `every` and one and a half, so that what a client does
/// in turns is not always passed over.
#[cold]
fn gap(number: u64, every: u64) -> u64 {
    let random = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    every.div_ceil(2) + random % every
}

fn halves(word: u64) -> (u32, u32) {
    let half = |bits: u64| u32::try_from(bits & 0xffff_ffff).expect("thirty-two bits");
    (half(word), half(word >> 32))
}

/// Blocks of 32 bytes; what is left is copied with bytes of the block before, as whole words: cheaper than byte by byte. Where a
/// byte stands depends on the length, which the reader knows.
#[inline]
fn copy<const WORDS: usize>(words: &[AtomicU64; WORDS], bytes: &[u8]) {
    // Most paths, and nearly all agents, which are cut to 40 bytes; then short ones: `curl/8.5.0`.
    match (bytes.first_chunk::<16>(), bytes.last_chunk::<16>(), bytes.first_chunk::<AGENT_BYTES>()) {
        (Some(first), Some(last), _) if bytes.len() <= BLOCK => {
            put(&words[..2], first);
            put(&words[2..4], last);
        }
        (.., Some(all)) if bytes.len() == AGENT_BYTES => put(&words[..5], all),
        (None, ..) => match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
            (Some(first), Some(last)) => {
                put(&words[..1], first);
                put(&words[1..2], last);
            }
            _ => words[0].store(bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)), Relaxed),
        },
        _ => match (bytes.first_chunk::<BLOCK>(), bytes.last_chunk::<BLOCK>(), words.get(4..8)) {
            // As `copy_any` would.
            (Some(first), Some(last), Some(behind)) if (BLOCK + 9..=2 * BLOCK).contains(&bytes.len()) => {
                put(&words[..4], first);
                put(behind, last);
            }
            _ => copy_any(words, bytes),
        },
    }
}

/// More than a block.
#[inline(never)]
fn copy_any(words: &[AtomicU64], bytes: &[u8]) {
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    for (group, block) in words.as_chunks::<4>().0.iter().zip(blocks) {
        put(group, block);
    }
    let words = &words[blocks.len() * 4..];
    match rest.len() {
        0 => {}
        1..=8 => put(&words[..1], bytes.last_chunk::<8>().expect("a block")),
        _ => put(&words[..4], bytes.last_chunk::<BLOCK>().expect("a block")),
    }
}

#[inline]
fn put<const BYTES: usize>(words: &[AtomicU64], bytes: &[u8; BYTES]) {
    for (word, chunk) in words.iter().zip(bytes.as_chunks::<8>().0) {
        word.store(u64::from_le_bytes(*chunk), Relaxed);
    }
}

/// The reverse of [`copy`].
fn read(words: &[AtomicU64], length: usize, into: &mut Vec<u8>) {
    into.clear();
    let mut add = |words: &[AtomicU64], last: usize| {
        let before = into.len();
        into.extend(words.iter().flat_map(|word| word.load(Relaxed).to_le_bytes()));
        let _ = into.drain(before..into.len() - last);
    };
    let (whole, rest) = (length / BLOCK * 4, length % BLOCK);
    add(&words[..whole], whole * 8);
    let words = &words[whole..];
    match (rest, whole == 0) {
        (0, _) => {}
        (1..=8, false) => add(&words[..1], rest),
        (_, false) => add(&words[..4], rest),
        (16.., true) => {
            add(&words[..2], 16);
            add(&words[2..4], rest - 16);
        }
        (8..=15, true) => {
            add(&words[..1], 8);
            add(&words[1..2], rest - 8);
        }
        (_, true) => into.extend_from_slice(&words[0].load(Relaxed).to_le_bytes()[..rest]),
    }
}

/// The address, or a part of it that tells one from another.
#[inline]
fn folded(address: Option<&IpAddr>) -> u32 {
    match address {
        Some(IpAddr::V4(address)) => u32::from_ne_bytes(address.octets()),
        Some(IpAddr::V6(address)) => {
            address.octets().as_chunks().0.iter().fold(0, |all, word| all.rotate_left(5) ^ u32::from_ne_bytes(*word))
        }
        None => 0,
    }
}

/// A hash of it that does not leave the process.
fn spread(client: u32) -> u32 {
    halves(u64::from(client).wrapping_mul(0x9e37_79b9_7f4a_7c15)).1
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7));

    fn answered<'a>(path: &'a [u8], agent: &'a [u8]) -> Answered<'a> {
        Answered {
            method: &Method::PATCH,
            path,
            agent,
            client: Some(&CLIENT),
            status: 204,
            location: 0xba_dcaf,
            time: Duration::from_millis(70),
            monolith: true,
        }
    }

    #[test]
    fn what_goes_in_comes_out() {
        let ring = ExchangeRing::default();
        let mut taken = Taken::default();
        for length in 1..=PATH_BYTES {
            let mut path = b"/".to_vec();
            path.extend((1..length).map(|at| b'a' + u8::try_from(at % 26).expect("small")));
            let agent: Vec<u8> = path.iter().rev().copied().collect();
            ring.offer(|| answered(&path, &agent));
            assert_eq!(ring.waiting(), 1);
            ring.take(&mut taken);
            assert_eq!(taken.path, path);
            assert_eq!(taken.agent, agent[..agent.len().min(AGENT_BYTES)]);
            assert_eq!((taken.status, taken.micros, taken.monolith), (204, 70_000, true));
            assert_eq!((taken.location, taken.weight), (0xba_dcaf, 1));
            assert_eq!(taken.method.map(MethodId::as_str), Some("PATCH"));
        }
        assert_eq!(ring.waiting(), 0);
    }

    #[test]
    fn a_full_ring_drops_what_is_new_and_counts_it() {
        let ring = ExchangeRing::default();
        for _ in 0..SLOTS + 5 {
            ring.offer(|| answered(b"/a", b""));
        }
        ring.offer(|| answered(&[b'/'; PATH_BYTES + 1], b""));
        assert_eq!((ring.waiting(), ring.dropped()), (SLOTS, 6));
        ring.skip(10);
        ring.offer(|| answered(b"/b", b""));
        assert_eq!((ring.waiting(), ring.dropped()), (SLOTS - 9, 6));
    }

    #[test]
    fn a_thinned_ring_copies_some_in_place_of_all_and_leaves_none_of_two_in_turns_out() {
        let ring = ExchangeRing::default();
        ring.copy_every(40);
        let (mut taken, mut copied, mut all, mut even) = (Taken::default(), 0_u32, 0_u32, 0_u32);
        let offered = 100_000_u32;
        for number in 0..offered {
            ring.offer(|| answered(if number % 2 == 0 { b"/even" } else { b"/odd" }, b"agent"));
            while ring.waiting() > 0 {
                ring.take(&mut taken);
                (copied, all) = (copied + 1, all + taken.weight);
                even += if taken.path == b"/even" { taken.weight } else { 0 };
            }
        }
        assert!((2_400..2_600).contains(&copied), "{copied}");
        assert!((offered - 60..=offered).contains(&all), "{all}");
        assert!((45_000..55_000).contains(&even), "{even}");
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
                let time = Duration::from_micros(number.into());
                writer.offer(|| Answered { time, ..answered(path.as_bytes(), b"agent") });
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
