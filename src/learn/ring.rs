//! The ring between a thread that serves requests and the learner: bounded, without a lock, without a wait.
//!
//! One thread writes, one reads. A slot is 256 bytes; they are atomic so that no unsafe code is needed, and the order of what is
//! written is that of `head`. At a high rate only some requests are copied, each in place of those before it: the reader says
//! how many.

use std::net::IpAddr;
use std::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering::Acquire, Ordering::Relaxed,
    Ordering::Release,
};
use std::time::Duration;

use crate::inventory::MethodId;
use crate::message::{Name, RequestHead};

/// Copied requests that wait for the learner, which looks every 50 ms: room for a burst. A steady rate is thinned before.
const SLOTS: usize = 1024;
/// Words of a path: one of more bytes than this is counted and not looked at.
const PATH_WORDS: usize = 23;
const AGENT_WORDS: usize = 5;
/// Bytes of a user agent that are copied; the inventory keeps no more.
const AGENT_BYTES: usize = AGENT_WORDS * 8;
pub const PATH_BYTES: usize = PATH_WORDS * 8;

/// The copied parts of an exchange that an upstream answered: of its head the method, the path as sent and the user agent.
#[derive(Debug, Clone, Copy)]
pub struct Answered<'a> {
    pub head: &'a RequestHead,
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

/// The fields that most requests write stand in the first two cache lines.
#[derive(Default)]
#[repr(C, align(64))]
struct Slot {
    /// The request's number, cut to 32 bits.
    number: AtomicU32,
    client: AtomicU32,
    location: AtomicU32,
    seconds: AtomicU32,
    nanos: AtomicU32,
    agent_length: AtomicU32,
    path_length: AtomicU32,
    status: AtomicU16,
    method: AtomicU8,
    monolith: AtomicBool,
    agent: [AtomicU64; AGENT_WORDS],
    path: [AtomicU64; PATH_WORDS],
}

impl Slot {
    /// All but method, path and agent. One by one, each as it is: to pack them into words costs more than to store them.
    #[inline]
    fn put(&self, number: u64, answered: &Answered<'_>) {
        self.number.store(low(number), Relaxed);
        self.client.store(folded(answered.client), Relaxed);
        self.location.store(answered.location, Relaxed);
        self.seconds.store(low(answered.time.as_secs()), Relaxed);
        self.nanos.store(answered.time.subsec_nanos(), Relaxed);
        self.status.store(answered.status, Relaxed);
        self.monolith.store(answered.monolith, Relaxed);
    }

    /// In blocks of one length, with what stands behind path and agent in the head's buffer, which the reader leaves alone.
    /// `None`: a rare method, a long path, or the buffer ends too soon.
    #[inline]
    fn copy(&self, head: &RequestHead) -> Option<()> {
        self.method.store(MethodId::common(&head.method)?.code(), Relaxed);
        let path = head.path_excerpt();
        self.path_length.store(low(path.len() as u64), Relaxed);
        put(&self.path, path.onwards().first_chunk::<32>()?);
        if path.len() > 32 {
            let more = path.onwards()[32..].first_chunk::<32>().filter(|_| path.len() <= 64)?;
            put(&self.path[4..], more);
        }
        let Some(agent) = head.fields.excerpt(Name::UserAgent) else {
            self.agent_length.store(0, Relaxed);
            return Some(());
        };
        self.agent_length.store(low(agent.len() as u64), Relaxed);
        put(&self.agent, agent.onwards().first_chunk::<16>()?);
        if agent.len() > 16 {
            put(&self.agent[2..], agent.onwards()[16..].first_chunk::<{ AGENT_BYTES - 16 }>()?);
        }
        Some(())
    }

    /// The same for any head.
    fn copy_any(&self, head: &RequestHead) {
        self.method.store(MethodId::of(head.method.as_str()).code(), Relaxed);
        let (path, agent) = (head.path(), head.fields.get(Name::UserAgent).unwrap_or_default());
        self.path_length.store(low(path.len() as u64), Relaxed);
        put_any(&self.path, path);
        self.agent_length.store(low(agent.len() as u64), Relaxed);
        put_any(&self.agent, agent);
    }
}

pub struct ExchangeRing {
    slots: Box<[Slot; SLOTS]>,
    /// Requests offered since the start, less those that were dropped; only the writer changes it.
    offered: AtomicU64,
    /// The number of the request that is copied next, and of the last one that was recorded; only the writer changes them.
    next: AtomicU64,
    recorded: AtomicU64,
    /// The number of the last one that was taken; only the reader changes it.
    taken: AtomicU32,
    /// Slots written since the start; only the writer changes it.
    head: AtomicUsize,
    /// How many may be written before the writer must look at `tail` again; only the writer changes it.
    limit: AtomicUsize,
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
            taken: AtomicU32::new(0),
            head: AtomicUsize::new(0),
            limit: AtomicUsize::new(SLOTS),
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
    pub fn offer<'a>(&self, answered: impl Fn() -> Answered<'a>) -> Option<u32> {
        let number = self.offered.load(Relaxed) + 1;
        if number < self.next.load(Relaxed) {
            self.offered.store(number, Relaxed);
            return None;
        }
        let head = self.head.load(Relaxed);
        if head != self.limit.load(Relaxed) {
            let slot = &self.slots[head % SLOTS];
            slot.put(number, &answered());
            if slot.copy(answered().head).is_some() {
                return self.publish(head, number);
            }
        }
        self.push_any(number, answered())
    }

    #[cold]
    #[inline(never)]
    fn push_any(&self, number: u64, answered: Answered<'_>) -> Option<u32> {
        let (head, limit) = (self.head.load(Relaxed), self.tail.load(Acquire).wrapping_add(SLOTS));
        self.limit.store(limit, Relaxed);
        if head == limit || answered.head.path().len() > PATH_BYTES {
            // The next request is tried again, and does not stand for this one.
            self.dropped.store(self.dropped.load(Relaxed) + 1, Relaxed);
            return None;
        }
        let slot = &self.slots[head % SLOTS];
        slot.put(number, &answered);
        slot.copy_any(answered.head);
        self.publish(head, number)
    }

    /// Lets the reader see the slot. The count of requests never falls: one that is dropped has not come here.
    #[inline]
    fn publish(&self, head: usize, number: u64) -> Option<u32> {
        self.offered.store(number, Relaxed);
        self.head.store(head.wrapping_add(1), Release);
        let every = self.copy_every.load(Relaxed);
        if every > 1 {
            self.next.store(number + gap(number, every), Relaxed);
        }
        let passed = number - self.recorded.load(Relaxed);
        if passed < self.record_every.load(Relaxed) {
            return None;
        }
        self.recorded.store(number, Relaxed);
        u32::try_from(passed).ok()
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

    /// Passes over `several` entries, which must wait: the one that is taken after them stands for them, too.
    pub fn skip(&self, several: usize) {
        self.tail.store(self.tail.load(Relaxed).wrapping_add(several), Release);
    }

    /// Takes the next, which must wait. To be called by one thread alone.
    pub fn take(&self, into: &mut Taken) {
        let tail = self.tail.load(Relaxed);
        let slot = &self.slots[tail % SLOTS];
        into.method = MethodId::from_code(slot.method.load(Relaxed));
        into.status = slot.status.load(Relaxed);
        into.location = slot.location.load(Relaxed);
        into.monolith = slot.monolith.load(Relaxed);
        into.client = spread(slot.client.load(Relaxed));
        let number = slot.number.load(Relaxed);
        into.weight = number.wrapping_sub(self.taken.swap(number, Relaxed));
        into.micros = slot.seconds.load(Relaxed).saturating_mul(1_000_000);
        into.micros = into.micros.saturating_add(slot.nanos.load(Relaxed) / 1_000);
        read(&slot.path, slot.path_length.load(Relaxed), &mut into.path);
        read(&slot.agent, slot.agent_length.load(Relaxed), &mut into.agent);
        self.tail.store(tail.wrapping_add(1), Release);
    }
}

/// How many requests further on the next one is copied: between half of `every` and one and a half, so that what a client does
/// in turns is not always passed over.
fn gap(number: u64, every: u64) -> u64 {
    let random = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    every.div_ceil(2) + random % every
}

#[inline]
fn low(number: u64) -> u32 {
    let [a, b, c, d, ..] = number.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

#[inline]
fn put<const BYTES: usize>(words: &[AtomicU64], bytes: &[u8; BYTES]) {
    for (word, chunk) in words.iter().zip(bytes.as_chunks::<8>().0) {
        word.store(u64::from_le_bytes(*chunk), Relaxed);
    }
}

/// As far as there are words.
fn put_any(words: &[AtomicU64], bytes: &[u8]) {
    let (whole, rest) = bytes.as_chunks::<8>();
    for (word, chunk) in words.iter().zip(whole) {
        word.store(u64::from_le_bytes(*chunk), Relaxed);
    }
    if let Some(word) = words.get(whole.len()) {
        word.store(rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)), Relaxed);
    }
}

/// The bytes of the part alone, whatever else stands in the words.
fn read(words: &[AtomicU64], length: u32, into: &mut Vec<u8>) {
    into.clear();
    into.extend(words.iter().flat_map(|word| word.load(Relaxed).to_le_bytes()).take(length as usize));
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
    low(u64::from(client).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use http::{Method, Version};

    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7));

    /// A head of HTTP/1 in which nothing stands behind the user agent.
    fn head(path: &str, agent: &str) -> RequestHead {
        let text = format!("PATCH {path}?query=1 HTTP/1.1\r\nHost: a\r\nUser-Agent: {agent}\r\n\r\n");
        RequestHead::parse(text.as_bytes(), false).expect("a good head")
    }

    fn answered(head: &RequestHead) -> Answered<'_> {
        Answered {
            head,
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
            let letters: String = ('a'..='z').cycle().take(length).collect();
            let path = format!("/{}", &letters[1..]);
            // With the fields behind the path, and with nothing behind it.
            for (head, agent) in [
                (head(&path, &letters), &letters[..]),
                (RequestHead::new(Method::PATCH, Version::HTTP_2, path.as_bytes()), ""),
            ] {
                ring.offer(|| answered(&head));
                assert_eq!(ring.waiting(), 1);
                ring.take(&mut taken);
                assert_eq!(String::from_utf8_lossy(&taken.path), path);
                assert_eq!(String::from_utf8_lossy(&taken.agent), agent[..agent.len().min(AGENT_BYTES)]);
                assert_eq!((taken.status, taken.micros, taken.monolith), (204, 70_000, true));
                assert_eq!((taken.location, taken.weight), (0xba_dcaf, 1));
                assert_eq!(taken.method.map(MethodId::as_str), Some("PATCH"));
            }
        }
        assert_eq!(ring.waiting(), 0);
    }

    #[test]
    fn a_full_ring_drops_what_is_new_and_counts_it() {
        let ring = ExchangeRing::default();
        let (short, long) = (head("/a", ""), head(&"/a".repeat(PATH_BYTES / 2 + 1), ""));
        for _ in 0..SLOTS + 5 {
            ring.offer(|| answered(&short));
        }
        ring.offer(|| answered(&long));
        assert_eq!((ring.waiting(), ring.dropped()), (SLOTS, 6));
        ring.skip(10);
        ring.offer(|| answered(&short));
        assert_eq!((ring.waiting(), ring.dropped()), (SLOTS - 9, 6));
    }

    #[test]
    fn a_thinned_ring_copies_some_in_place_of_all_and_leaves_none_of_two_in_turns_out() {
        let ring = ExchangeRing::default();
        ring.copy_every(40);
        let (mut taken, mut copied, mut all, mut even) = (Taken::default(), 0_u32, 0_u32, 0_u32);
        let (odd, even_head) = (head("/odd", "agent"), head("/even", "agent"));
        let offered = 100_000_u32;
        for number in 0..offered {
            ring.offer(|| answered(if number % 2 == 0 { &even_head } else { &odd }));
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
                let head = head(&format!("/orders/{number}/and/something/behind/{number}"), "agent");
                let time = Duration::from_micros(number.into());
                writer.offer(|| Answered { time, ..answered(&head) });
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
