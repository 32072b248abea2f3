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
use super::task;
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
    /// Hears of each connection that the peer closes.
    closes: Option<Arc<IdleCloses>>,
}

struct Waiting {
    socket: Socket,
    since: Instant,
    until: Instant,
}

/// A connection for `key` that has waited less than `youngest`, if there is one that the peer has not closed.
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

/// Keeps a connection whose last response was read to its end; `take` checks whether the peer has sent anything. At most `most`
/// wait on one thread; the one that has waited longest makes room. `closes` hears when the peer closes it while it waits.
pub fn keep(key: u64, socket: Socket, now: Instant, wait: Duration, most: usize, closes: Option<&Arc<IdleCloses>>) {
    if wait.is_zero() {
        return;
    }
    let looked_after = IDLE.with_borrow_mut(|pool| {
        if pool.count >= most {
            pool.make_room(key);
        }
        let list = pool.lists.entry(key).or_default();
        // It is nearly always the same: then nothing that threads share is written.
        if list.closes.as_ref().map(Arc::as_ptr) != closes.map(Arc::as_ptr) {
            list.closes = closes.cloned();
        }
        list.waiting.push(Waiting { socket, since: now, until: now + wait });
        pool.count += 1;
        std::mem::replace(&mut pool.looked_after, true)
    });
    if !looked_after {
        tokio::spawn(task::boxed(look_after()));
    }
}

/// Closes connections that have waited for long enough, or that the peer closed, until none waits any more.
async fn look_after() {
    loop {
        tokio::time::sleep(LOOK).await;
        let now = Instant::now();
        let done = IDLE.with_borrow_mut(|pool| {
            pool.lists.retain(|_, list| {
                list.look(now);
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
    /// Closes connections that have waited for long enough, or that the peer closed. Of those that have waited for too long to be used
    /// again, the oldest stays: it shows when the peer closes it.
    fn look(&mut self, now: Instant) {
        let mut waiting = std::mem::take(&mut self.waiting);
        let useful = self.closes.as_ref().map(|closes| closes.reuse_within(true));
        let mut watched = false;
        waiting.retain_mut(|waiting| {
            if waiting.until <= now {
                return false;
            }
            let silent = is_silent(&mut waiting.socket);
            if !silent {
                self.heard_close(waiting, now);
            }
            let useless = useful.is_some_and(|useful| now.saturating_duration_since(waiting.since) >= useful);
            silent && (!useless || !std::mem::replace(&mut watched, true))
        });
        self.waiting = waiting;
    }

    /// The peer has closed this connection, at some time before now.
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

/// Whether the peer has sent nothing, not even the end: an upstream speaks only when it is asked.
pub fn is_silent(socket: &mut Socket) -> bool {
    if socket.is_quiet() {
        return true;
    }
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

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// Connections to a server, each with the server's socket.
    async fn connections<const N: usize>() -> [(Socket, TcpStream); N] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let mut all = Vec::new();
        for _ in 0..N {
            let ours = TcpStream::connect(address).await.expect("it listens");
            let (theirs, _) = listener.accept().await.expect("a connection comes");
            all.push((Socket::from(ours), theirs));
        }
        all.try_into().expect("so many were made")
    }

    /// Some time ago, as the test has it.
    fn before(now: Instant, seconds: u64) -> Instant {
        now.checked_sub(Duration::from_secs(seconds)).expect("the machine runs for longer")
    }

    #[tokio::test]
    async fn a_connection_that_the_other_end_closes_is_heard_of_with_the_time_at_which_it_did() {
        const KEY: u64 = 71;
        let closes = Arc::new(IdleCloses::default());
        let [(socket, theirs)] = connections().await;
        let kept = before(Instant::now(), 3);
        keep(KEY, socket, kept, Duration::from_secs(60), 10, Some(&closes));
        drop(theirs);
        let end = Instant::now();
        // The pool finds out only later.
        while end.elapsed() < Duration::from_millis(250) {
            tokio::task::yield_now().await;
        }
        assert!(take(KEY, Instant::now(), Duration::MAX).is_none());
        IDLE.with_borrow(|pool| assert_eq!(pool.count, 0));
        closes.second_passed(end + Duration::from_secs(9));
        let learned = closes.reuse_within(true).as_millis();
        assert!((2350..2500).contains(&learned), "0.8 of 3 s, not of 3.25 s: {learned} ms");
    }

    #[tokio::test]
    async fn of_those_that_are_too_old_to_be_used_again_the_oldest_stays() {
        const KEY: u64 = 72;
        let closes = Arc::new(IdleCloses::default());
        let now = Instant::now();
        let all: [(Socket, TcpStream); 4] = connections().await;
        let mut theirs = Vec::new();
        for ((socket, other), seconds) in all.into_iter().zip([9, 8, 7, 1]) {
            keep(KEY, socket, before(now, seconds), Duration::from_secs(60), 10, Some(&closes));
            theirs.push(other);
        }
        let ages = IDLE.with_borrow_mut(|pool| {
            let list = pool.lists.get_mut(&KEY).expect("it was kept");
            list.look(now);
            list.waiting
                .iter()
                .map(|waiting| now.saturating_duration_since(waiting.since).as_secs())
                .collect::<Vec<_>>()
        });
        assert_eq!(ages, [9, 1]);
    }
}
