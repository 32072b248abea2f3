//! The generation in force: loaded once by each request, replaced as a whole.

use std::sync::Arc;

use arc_swap::ArcSwap;

/// One value in force. Readers never wait; a request that loaded the old value keeps it to its end.
#[derive(Debug)]
pub struct InForce<T> {
    current: ArcSwap<T>,
}

impl<T> InForce<T> {
    pub fn new(first: Arc<T>) -> Self {
        Self { current: ArcSwap::new(first) }
    }

    /// The value in force now.
    pub fn load(&self) -> Arc<T> {
        self.current.load_full()
    }

    /// Puts a new value in force and gives back the old one.
    pub fn replace(&self, next: Arc<T>) -> Arc<T> {
        self.current.swap(next)
    }
}
