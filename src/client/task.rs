//! Tasks in a box. Of each future that is spawned as it is, the runtime has code of its own: a tenth of what the compiler was given.

use std::pin::Pin;

/// The future of a task that is not one for each request, so that an allocation is nothing to it.
pub fn boxed(work: impl Future<Output = ()> + Send + 'static) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(work)
}
