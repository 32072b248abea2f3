//! A panic in a step ends one exchange as any other failure of ours does: its client gets 500, and nobody else notices.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;

use pingora::{Error, ErrorType, Result};

use super::Edge;
use super::exchange::Exchange;
use super::failure::Failure;
use crate::telemetry::PanicRecord;

/// Where on its way a request is, for whoever has to find the bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// Caught by the connection alone: there is no exchange yet.
    #[cfg(test)]
    Begin,
    Request,
    Peer,
    NotConnected,
    Connected,
    Outbound,
    RequestBody,
    AnswerHead,
    AnswerBody,
    Answer,
    Failed,
    Settle,
}

/// Runs the steps of a hook. What they left half done is thrown away with the exchange.
pub(super) fn caught<T>(
    edge: &Edge,
    hook: Hook,
    exchange: &mut Exchange,
    steps: impl FnOnce(&mut Exchange) -> Result<T>,
) -> Result<T> {
    let steps = || {
        #[cfg(test)]
        provoked::here(hook);
        steps(exchange)
    };
    catch_unwind(AssertUnwindSafe(steps)).unwrap_or_else(|panic| {
        let route = exchange.route().name();
        edge.telemetry.emit_panic(&PanicRecord { place: &format!("{hook:?}"), route, panic: &*panic });
        exchange.failure = Some(Failure::Internal);
        // Neither side's fault, and never a reason to ask anybody else.
        Err(Error::explain(ErrorType::InternalError, "a hook ended in a panic"))
    })
}

/// What a panic throws.
pub type Thrown = Box<dyn Any + Send>;

/// Runs a future; a panic in it is its result. What it has left half done must go with it. It comes in a box, so that nothing
/// that holds it has room for it twice.
pub fn alone<F: Future + Unpin>(mut future: F) -> impl Future<Output = Result<F::Output, Thrown>> {
    poll_fn(move |cx| match catch_unwind(AssertUnwindSafe(|| Pin::new(&mut future).poll(cx))) {
        Ok(polled) => polled.map(Ok),
        Err(thrown) => Poll::Ready(Err(thrown)),
    })
}

/// Panics on demand: there is no way to ask for one in a build for use.
#[cfg(test)]
pub mod provoked {
    use parking_lot::Mutex;

    pub use super::Hook;

    static NEXT: Mutex<Option<Hook>> = Mutex::new(None);

    /// The next request that comes here panics.
    pub fn next_at(hook: Hook) {
        *NEXT.lock() = Some(hook);
    }

    pub(in crate::proxy) fn here(hook: Hook) {
        if NEXT.lock().take_if(|next| *next == hook).is_some() {
            panic!("provoked at {hook:?}");
        }
    }
}
