//! Bounds the requests of an upstream at once. The others wait, first come first served.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::endpoint::InFlightLimit;

/// The permits of one upstream, and the requests that wait for one. The pools that follow one another under a name share it: a reload
/// changes the limits and loses nothing that waits.
#[derive(Debug)]
pub struct RequestQueue(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Permits in all; a reload may have lowered it below `taken`.
    most: u32,
    /// Most requests that may wait.
    length: usize,
    taken: u32,
    next_ticket: u64,
    /// In the order in which they came. Never any while a permit is free.
    waiting: VecDeque<(u64, oneshot::Sender<Permit>)>,
}

/// The right to have one request at the upstream. Dropping it lets the next in.
#[derive(Debug)]
pub struct Permit {
    /// `None`: it was taken back.
    queue: Option<Arc<RequestQueue>>,
}

/// The queue's answer to a request.
#[derive(Debug)]
pub enum Entered {
    Permit(Permit),
    Waits(PermitWait),
    /// As many wait as may.
    Full,
}

/// A copy gets no permit now, and copies do not wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy;

impl RequestQueue {
    pub(super) fn new(limit: &InFlightLimit) -> Arc<Self> {
        let state = State { most: 0, length: 0, taken: 0, next_ticket: 0, waiting: VecDeque::new() };
        let queue = Arc::new(Self(Mutex::new(state)));
        queue.set(Some(limit));
        queue
    }

    /// The limits from now on; `None`: there are none any more. Waiting requests that may go at once do.
    pub(super) fn set(self: &Arc<Self>, limit: Option<&InFlightLimit>) {
        let mut state = self.0.lock();
        state.most = limit.map_or(u32::MAX, |limit| limit.most);
        // Requests that wait already stay, however short the queue is now.
        state.length = limit.map_or(usize::MAX, |limit| usize::try_from(limit.length).unwrap_or(usize::MAX));
        self.let_in(&mut state);
    }

    /// A permit, or a place behind those that wait already.
    pub fn enter(self: &Arc<Self>) -> Entered {
        let mut state = self.0.lock();
        if state.taken < state.most {
            state.taken += 1;
            return Entered::Permit(self.permit());
        }
        if state.waiting.len() >= state.length {
            return Entered::Full;
        }
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        let (sender, granted) = oneshot::channel();
        state.waiting.push_back((ticket, sender));
        Entered::Waits(PermitWait { queue: Arc::clone(self), ticket, granted })
    }

    /// A permit for a copy: half of them (one at least) are enough for copies, so that clients find the other half free.
    pub(super) fn enter_copy(self: &Arc<Self>) -> Result<Permit, Busy> {
        let mut state = self.0.lock();
        if state.taken >= (state.most / 2).max(1) {
            return Err(Busy);
        }
        state.taken += 1;
        Ok(self.permit())
    }

    /// Permits that are taken, and requests that wait.
    pub fn counts(&self) -> (u32, usize) {
        let state = self.0.lock();
        (state.taken, state.waiting.len())
    }

    fn permit(self: &Arc<Self>) -> Permit {
        Permit { queue: Some(Arc::clone(self)) }
    }

    /// Gives the permits that are free to those that have waited longest.
    fn let_in(self: &Arc<Self>, state: &mut State) {
        while state.taken < state.most {
            let Some((_, sender)) = state.waiting.pop_front() else { return };
            match sender.send(self.permit()) {
                Ok(()) => state.taken += 1,
                // It has just left. Its permit is not counted, and must not be given back.
                Err(mut permit) => permit.queue = None,
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(queue) = self.queue.take() {
            let mut state = queue.0.lock();
            state.taken -= 1;
            queue.let_in(&mut state);
        }
    }
}

/// A place in the queue. Dropping it leaves the queue.
#[derive(Debug)]
pub struct PermitWait {
    queue: Arc<RequestQueue>,
    ticket: u64,
    granted: oneshot::Receiver<Permit>,
}

impl Future for PermitWait {
    type Output = Permit;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Permit> {
        // The queue holds the other end until it is used, and this holds the queue.
        Pin::new(&mut self.granted).poll(cx).map(|granted| granted.expect("who waits is let in or leaves"))
    }
}

impl Drop for PermitWait {
    fn drop(&mut self) {
        let mut state = self.queue.0.lock();
        if let Ok(place) = state.waiting.binary_search_by_key(&self.ticket, |(ticket, _)| *ticket) {
            state.waiting.remove(place);
        }
        // A permit that was granted meanwhile is dropped behind this, and lets the next in.
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;
    use std::time::Duration;

    use super::*;

    fn limit(most: u32, length: u32) -> InFlightLimit {
        InFlightLimit { most, length, timeout: Duration::from_secs(5) }
    }

    fn permit(queue: &Arc<RequestQueue>) -> Permit {
        match queue.enter() {
            Entered::Permit(permit) => permit,
            other => panic!("no permit: {other:?}"),
        }
    }

    fn waits(queue: &Arc<RequestQueue>) -> PermitWait {
        match queue.enter() {
            Entered::Waits(wait) => wait,
            other => panic!("it does not wait: {other:?}"),
        }
    }

    fn granted(wait: &mut PermitWait) -> Option<Permit> {
        match Pin::new(wait).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(permit) => Some(permit),
            Poll::Pending => None,
        }
    }

    #[test]
    fn who_came_first_goes_first_and_never_more_than_the_limit() {
        let queue = RequestQueue::new(&limit(2, 3));
        let (one, two) = (permit(&queue), permit(&queue));
        let mut waiting = [waits(&queue), waits(&queue), waits(&queue)];
        assert!(matches!(queue.enter(), Entered::Full));
        assert!(waiting.iter_mut().all(|wait| granted(wait).is_none()));
        assert_eq!(queue.counts(), (2, 3));
        drop(one);
        let third = granted(&mut waiting[0]).expect("the first is let in");
        assert!(granted(&mut waiting[1]).is_none());
        drop((two, third));
        assert_eq!(queue.counts(), (2, 0));
        assert!(granted(&mut waiting[1]).is_some() && granted(&mut waiting[2]).is_some());
        drop(waiting);
        assert_eq!(queue.counts(), (0, 0));
    }

    #[test]
    fn who_leaves_makes_room_and_loses_no_permit() {
        let queue = RequestQueue::new(&limit(1, 2));
        let one = permit(&queue);
        let (first, mut second) = (waits(&queue), waits(&queue));
        drop(first);
        assert_eq!(queue.counts(), (1, 1));
        let third = waits(&queue);
        drop(one);
        let held = granted(&mut second).expect("the first has left");
        // Let in, and gone before it heard of it.
        drop(held);
        assert_eq!(queue.counts(), (1, 0));
        drop(third);
        assert_eq!(queue.counts(), (0, 0));
        drop(permit(&queue));
    }

    #[test]
    fn limits_change_under_those_that_wait() {
        let queue = RequestQueue::new(&limit(1, 5));
        let one = permit(&queue);
        let mut waiting = [waits(&queue), waits(&queue), waits(&queue)];
        queue.set(Some(&limit(2, 0)));
        let two = granted(&mut waiting[0]).expect("there are two now");
        assert!(matches!(queue.enter(), Entered::Full), "the queue is shorter, and nobody is sent away");
        queue.set(Some(&limit(1, 5)));
        drop(one);
        assert!(granted(&mut waiting[1]).is_none(), "one is at the upstream, and one may be");
        drop(two);
        let three = granted(&mut waiting[1]).expect("it is empty");
        queue.set(None);
        assert!(granted(&mut waiting[2]).is_some(), "there is no limit any more");
        drop(three);
    }

    #[test]
    fn copies_do_not_wait_and_leave_half_to_clients() {
        for (most, copies) in [(1, 1), (2, 1), (5, 2), (8, 4)] {
            let queue = RequestQueue::new(&limit(most, 5));
            let held: Vec<_> = std::iter::from_fn(|| queue.enter_copy().ok()).take(100).collect();
            assert_eq!(held.len(), copies, "of {most}");
        }
        let queue = RequestQueue::new(&limit(4, 5));
        let _clients = (permit(&queue), permit(&queue));
        assert_eq!(queue.enter_copy().err(), Some(Busy));
    }
}
