//! Connections to upstreams that wait for their next request. Each thread keeps those that it uses itself.
//!
//! Pingora's pool is one for all threads, and keeps a task and a timer for each connection that waits. Here a connection
//! that comes back is put on a list, and one task for all of them looks once a second which have waited for long enough.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::hash::{BuildHasherDefault, Hasher};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, ReadBuf};

use super::Socket;
use crate::endpoint::IdleCloses;

const LOOK: Duration = Duration::from_secs(1);

thread_local! {
    static IDLE: RefCell<IdlePool> = RefCell::new(IdlePool::default());
}

#[derive(Default)]
struct IdlePool {
    /// By what may be mixed up: the address and all that a connection to it was made with.
    lists: HashMap<u64, List, BuildHasherDefault<Identity>>,
    count: usize,
    /// The task that looks is running.
    looked_after: bool,
}

#[derive(Default)]
struct List {
    /// The last is the freshest.
    waiting: Vec<Waiting>,
    /// Hears of each connection that the other end closes.
    closes: Option<Arc<IdleCloses>>,
}

struct Waiting {
    socket: Socket,
    since: Instant,
    until: Instant,
}

/// A connection for `key` that has waited less than `youngest`, if there is one that the other end has not closed.
pub fn take(key: u64, now: Instant, youngest: Duration) -> Option<Socket> {
    IDLE.with_borrow_mut(|pool| {
        let list = pool.lists.get_mut(&key)?;
        while let Some(mut waiting) = list.waiting.pop() {
            let waited = now.saturating_duration_since(waiting.since);
            if waited >= youngest {
                // The others have waited for longer still; they may serve a request that can be sent again.
                list.waiting.push(waiting);
                return None;
            }
            pool.count -= 1;
            if waiting.until <= now {
                continue;
            }
            if is_silent(&mut waiting.socket) {
                return Some(waiting.socket);
            }
            list.heard_close(&waiting, now);
        }
        None
    })
}

/// Keeps a connection whose last response was read to its end. At most `most` wait on one thread; the one that has waited
/// longest makes room. `closes` hears when the other end closes it while it waits.
pub fn keep(key: u64, mut socket: Socket, now: Instant, wait: Duration, most: usize, closes: Option<&Arc<IdleCloses>>) {
    if wait.is_zero() || !is_silent(&mut socket) {
        return;
    }
    let looked_after = IDLE.with_borrow_mut(|pool| {
        if pool.count >= most {
            pool.make_room(key);
        }
        let list = pool.lists.entry(key).or_default();
        // It is nearly always the same: then nothing that threads share is written.
        if let Some(closes) = closes.filter(|new| !list.closes.as_ref().is_some_and(|own| Arc::ptr_eq(own, new))) {
            list.closes = Some(Arc::clone(closes));
        }
        list.waiting.push(Waiting { socket, since: now, until: now + wait });
        pool.count += 1;
        std::mem::replace(&mut pool.looked_after, true)
    });
    if !looked_after {
        tokio::spawn(look_after());
    }
}

/// Closes what has waited for long enough, or was closed at the other end, until nothing waits any more.
async fn look_after() {
    loop {
        tokio::time::sleep(LOOK).await;
        let now = Instant::now();
        let done = IDLE.with_borrow_mut(|pool| {
            pool.lists.retain(|_, list| {
                let mut waiting = std::mem::take(&mut list.waiting);
                waiting.retain_mut(|waiting| {
                    if waiting.until <= now {
                        return false;
                    }
                    let silent = is_silent(&mut waiting.socket);
                    if !silent {
                        list.heard_close(waiting, now);
                    }
                    silent
                });
                list.waiting = waiting;
                !list.waiting.is_empty()
            });
            pool.count = pool.lists.values().map(|list| list.waiting.len()).sum();
            pool.looked_after = pool.count > 0;
            !pool.looked_after
        });
        if done {
            return;
        }
    }
}

impl List {
    /// The other end has closed this connection, at some time before now.
    fn heard_close(&self, waiting: &Waiting, now: Instant) {
        let Some(closes) = &self.closes else { return };
        // The pool looks once a second, but the system knows when the last segment came.
        let at = waiting.socket.silent_for().and_then(|silent| now.checked_sub(silent)).unwrap_or(now);
        let at = at.max(waiting.since);
        closes.closed(at, at.saturating_duration_since(waiting.since));
    }
}

impl IdlePool {
    /// Closes the connection that has waited longest: of this key, or else of any.
    fn make_room(&mut self, key: u64) {
        let own = self.lists.get(&key).filter(|list| !list.waiting.is_empty()).map(|_| key);
        let any = || self.lists.iter().find(|(_, list)| !list.waiting.is_empty()).map(|(key, _)| *key);
        if let Some(list) = own.or_else(any).and_then(|key| self.lists.get_mut(&key)) {
            list.waiting.remove(0);
            self.count -= 1;
        }
    }
}

/// Whether the other end says nothing, not even goodbye: an upstream speaks only when it is asked.
pub fn is_silent(socket: &mut Socket) -> bool {
    let mut byte = [0];
    let mut buffer = ReadBuf::new(&mut byte);
    // Without tokio's budget, which would make a busy task take any connection for silent.
    let read = pin!(tokio::task::unconstrained(poll_fn(|cx| Pin::new(&mut *socket).poll_read(cx, &mut buffer))));
    read.poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

/// The keys are hashes already.
#[derive(Default)]
pub(super) struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("the keys are numbers")
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}
