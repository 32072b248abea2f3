//! One connection of HTTP/2 is made at a time for each key on a thread: requests that come meanwhile wait for it and share it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

thread_local! {
    static OPENING: RefCell<HashMap<u64, Arc<Opening>>> = RefCell::default();
}

/// A connection that is being made.
#[derive(Debug, Default)]
struct Opening {
    over: AtomicBool,
    ended: Notify,
}

/// The right to make a connection; dropping it wakes the waiting tasks.
#[derive(Debug)]
pub(super) struct Turn {
    key: u64,
    opening: Arc<Opening>,
}

/// The turn, if no connection is being made for this key; else `None` once that is over.
pub(super) async fn turn(key: u64) -> Option<Turn> {
    let (opening, first) = OPENING.with_borrow_mut(|all| {
        let running = all.get(&key).filter(|opening| !opening.over.load(Ordering::Acquire)).cloned();
        let first = running.is_none();
        let opening = running.unwrap_or_default();
        if first {
            all.insert(key, Arc::clone(&opening));
        }
        (opening, first)
    });
    if first {
        return Some(Turn { key, opening });
    }
    let ended = opening.ended.notified();
    if !opening.over.load(Ordering::Acquire) {
        ended.await;
    }
    None
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.opening.over.store(true, Ordering::Release);
        self.opening.ended.notify_waiters();
        // The thread may be ending.
        let _ = OPENING.try_with(|all| {
            let mut all = all.borrow_mut();
            if all.get(&self.key).is_some_and(|opening| Arc::ptr_eq(opening, &self.opening)) {
                all.remove(&self.key);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_second_waits_for_the_first_and_takes_no_turn_of_its_own() {
        let first = turn(1).await.expect("nobody else makes one");
        assert!(turn(2).await.is_some(), "another key is another matter");
        let mut second = std::pin::pin!(turn(1));
        assert!(futures_now(second.as_mut()).is_none(), "it waits");
        drop(first);
        assert!(futures_now(second.as_mut()).is_some_and(|turn| turn.is_none()));
        assert!(turn(1).await.is_some());
    }

    fn futures_now<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Option<T> {
        match future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
            std::task::Poll::Ready(done) => Some(done),
            std::task::Poll::Pending => None,
        }
    }
}
