//! How many bytes of bodies may be held at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Shared by everything that holds bodies.
#[derive(Debug)]
pub(super) struct ByteBudget {
    free: AtomicUsize,
}

/// Bytes taken out of the budget; given back when dropped.
#[derive(Debug)]
pub(super) struct Held {
    budget: Arc<ByteBudget>,
    bytes: usize,
}

impl ByteBudget {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { free: AtomicUsize::new(limit) })
    }

    /// Nothing yet; it grows.
    pub(super) fn hold(self: &Arc<Self>) -> Held {
        Held { budget: Arc::clone(self), bytes: 0 }
    }
}

impl Held {
    /// Takes more, or nothing at all when there is not enough.
    pub(super) fn grow(&mut self, bytes: usize) -> bool {
        let taken = self.budget.free.fetch_update(Relaxed, Relaxed, |free| free.checked_sub(bytes)).is_ok();
        if taken {
            self.bytes += bytes;
        }
        taken
    }

    /// Gives everything back.
    pub(super) fn release(&mut self) {
        self.budget.free.fetch_add(std::mem::take(&mut self.bytes), Relaxed);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_bounded_and_comes_back() {
        let budget = ByteBudget::new(100);
        let (mut a, mut b) = (budget.hold(), budget.hold());
        assert!(a.grow(60) && !b.grow(41) && b.grow(40));
        a.release();
        assert!(b.grow(60) && !a.grow(1));
        drop(b);
        assert!(a.grow(100));
    }
}
