//! The bounded room in which events wait for their broker.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::sync::Notify;

/// About 6000 events of requests.
const ROOM: usize = 8 * 1024 * 1024;
/// The size of an event beside its data, in bytes.
const OVERHEAD: usize = 256;
/// Sent at once.
const BATCH: usize = 256;

/// One event on its way.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    pub(super) kind: &'static str,
    /// Empty: it concerns no route.
    pub(super) route: Box<str>,
    id: Box<str>,
    time: Timestamp,
    /// Of its route, from 1: a gap is an event that was dropped.
    sequence: u64,
    data: Arc<str>,
}

#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    pub(super) wake: Notify,
    closing: AtomicBool,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    sequences: HashMap<Box<str>, u64>,
}

impl Queue {
    /// Never waits. False: there is no room, and the event is dropped.
    pub(super) fn put(&self, kind: &'static str, route: &str, id: &str, data: Arc<str>) -> bool {
        let (time, size) = (Timestamp::now(), data.len() + OVERHEAD);
        {
            let mut state = self.state.lock();
            // An entry would ask for the route's name as one's own each time.
            if !state.sequences.contains_key(route) {
                state.sequences.insert(route.into(), 0);
            }
            let sequence = state.sequences.get_mut(route).map_or(0, |last| {
                *last += 1;
                *last
            });
            if state.bytes + size > ROOM {
                return false;
            }
            state.bytes += size;
            state.waiting.push_back(Waiting { kind, route: route.into(), id: id.into(), time, sequence, data });
        }
        self.wake.notify_one();
        true
    }

    /// The oldest; they stay until they are known to have arrived.
    pub(super) fn batch(&self) -> Vec<Waiting> {
        self.state.lock().waiting.iter().take(BATCH).cloned().collect()
    }

    /// The broker has confirmed this number of the oldest.
    pub(super) fn sent(&self, count: usize) {
        let mut state = self.state.lock();
        for _ in 0..count {
            let Some(event) = state.waiting.pop_front() else { return };
            state.bytes -= event.data.len() + OVERHEAD;
        }
    }

    /// Nothing that waits will be sent; how many these are.
    pub(super) fn give_up(&self) -> u64 {
        let mut state = self.state.lock();
        state.bytes = 0;
        std::mem::take(&mut state.waiting).len() as u64
    }

    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }
}

impl Waiting {
    /// `CloudEvents` 1.0 in JSON.
    pub(super) fn body(&self, source: &str) -> Vec<u8> {
        let data = RawValue::from_string(self.data.to_string()).ok();
        let mut event = json!({
            "specversion": "1.0",
            "id": &*self.id,
            "source": source,
            "type": format!("multilith.{}.v1", self.kind),
            "time": self.time.to_string(),
            "sequence": self.sequence.to_string(),
            "datacontenttype": "application/json",
        });
        if !self.route.is_empty() {
            event["subject"] = (*self.route).into();
        }
        let head = event.to_string();
        let data = data.as_deref().map_or("null", RawValue::get);
        format!("{},\"data\":{data}}}", head.strip_suffix('}').unwrap_or(&head)).into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_dropped_and_its_number_missing() {
        let queue = Queue::default();
        let data: Arc<str> = format!("\"{}\"", "x".repeat(1024 * 1024)).into();
        let taken = (0..10).filter(|_| queue.put("exchange", "a", "1", Arc::clone(&data))).count();
        assert_eq!(taken, 7);
        queue.sent(7);
        assert!(queue.batch().is_empty() && queue.put("exchange", "a", "1", data));
        assert_eq!(queue.batch()[0].sequence, 11);
        assert_eq!(queue.give_up(), 1);
        assert!(queue.put("exchange", "b", "1", "{}".into()), "the room is free again");
    }

    #[test]
    fn an_event_is_a_cloud_event_of_its_route() {
        let queue = Queue::default();
        queue.put("move", "read-user", "abc", "{\"to\": 1.50}".into());
        let text = String::from_utf8(queue.batch()[0].body("//edge-1/multilith")).expect("text");
        assert!(text.ends_with(",\"data\":{\"to\": 1.50}}"), "as it came: {text}");
        let event: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(event["type"], "multilith.move.v1");
        assert_eq!((&event["subject"], &event["sequence"]), (&json!("read-user"), &json!("1")));
        assert_eq!((&event["id"], &event["source"]), (&json!("abc"), &json!("//edge-1/multilith")));
        queue.put("reload", "", "abc", "{}".into());
        assert!(!String::from_utf8(queue.batch()[1].body("s")).expect("text").contains("subject"));
    }
}
