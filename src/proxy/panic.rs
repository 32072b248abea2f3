//! A panic in a step ends one exchange as any other failure of ours does: its client gets 500, and no other exchange notices.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;

use super::Steps;
use super::exchange::Exchange;
use super::failure::Failure;
use crate::telemetry::PanicRecord;

/// Which step a request is in, for the report of a bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Caught by the connection alone: there is no exchange yet.
    #[cfg(any(test, feature = "provoked-panics"))]
    Begin,
    Admit,
    Identified,
    Choose,
    NotConnected,
    Connected,
    RequestHead,
    RequestPiece,
    Interim,
    ResponseHead,
    ResponsePiece,
    Failed,
    Finish,
}

/// Runs a step. Its half-done work is thrown away with the exchange.
pub(super) fn caught<T>(
    steps: &Steps,
    step: Step,
    exchange: &mut Exchange,
    run: impl FnOnce(&mut Exchange) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let run = || {
        #[cfg(any(test, feature = "provoked-panics"))]
        provoked::here(step);
        run(exchange)
    };
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let route = exchange.route().name();
        steps.telemetry.emit_panic(&PanicRecord { place: &format!("{step:?}"), route, panic: &*panic });
        // Neither side's fault, and never a reason to ask another endpoint.
        Err(Failure::Internal)
    })
}

/// The payload of a panic.
pub type Thrown = Box<dyn Any + Send>;

/// Runs a future; a panic in it is its result. Its half-done work must go with it. It comes in a box, so that nothing that holds it has
/// room for it twice.
pub fn alone<F: Future + Unpin>(mut future: F) -> impl Future<Output = Result<F::Output, Thrown>> {
    poll_fn(move |cx| match catch_unwind(AssertUnwindSafe(|| Pin::new(&mut future).poll(cx))) {
        Ok(polled) => polled.map(Ok),
        Err(thrown) => Poll::Ready(Err(thrown)),
    })
}

/// Panics on demand: there is no way to ask for one in a build for use.
#[cfg(any(test, feature = "provoked-panics"))]
pub mod provoked {
    use parking_lot::Mutex;

    pub use super::Step;

    static NEXT: Mutex<Option<Step>> = Mutex::new(None);

    /// The next request that comes here panics.
    pub fn next_at(step: Step) {
        *NEXT.lock() = Some(step);
    }

    pub(in crate::proxy) fn here(step: Step) {
        let hit = NEXT.lock().take_if(|next| *next == step).is_some();
        assert!(!hit, "provoked at {step:?}");
    }
}
