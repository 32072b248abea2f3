//! Background tasks: of each future that is spawned as it is, the runtime has code of its own, and together they were a tenth of this crate's.

use std::pin::Pin;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// To be spawned: a task that begins rarely and runs long, where one allocation is nothing.
pub fn task(work: impl Future<Output = ()> + Send + 'static) -> Task {
    Box::pin(work)
}
